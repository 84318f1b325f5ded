//! Applying the entries of a stream's log.

use bytes::Bytes;

use super::{
    dedup::Dedup,
    interest::Interests,
    messages::Messages,
    outcome::{Applied, ChangeError, ChangeOutcome},
};
use crate::{
    DamagedCommand, StorageKind, StreamChange, StreamConfig, Timestamp, codec,
    command::Entry,
    hash::{Fold, RunningHash},
    sequence::{MAX_JUMP, push_range, push_sequence},
};

/// One stream: its configuration, what it holds, and how it got there.
///
/// It keeps 16 bytes of each message in memory and no body. Its state is a function of its
/// configuration, its creation time and the commands applied, in their order, and of nothing else.
#[derive(Debug)]
pub struct Stream {
    pub(super) config: StreamConfig,
    pub(super) created: Timestamp,
    /// The greatest time of any command applied: the only clock in here.
    pub(super) applied_time: Timestamp,
    pub(super) messages: Messages,
    pub(super) dedup: Dedup,
    pub(super) interests: Interests,
    /// The id of the last message stored; empty if it had none.
    pub(super) last_msg_id: Vec<u8>,
    pub(super) hash: RunningHash,
}

impl Stream {
    /// An empty stream, created at `created`.
    #[must_use]
    pub fn new(mut config: StreamConfig, created: Timestamp) -> Self {
        config.first_seq = config.first_seq.map(|first| first.min(MAX_JUMP));
        let tracking = config.max_msgs_per_subject.is_some();
        Self {
            messages: Messages::new(config.first_seq, tracking),
            config,
            created,
            applied_time: created,
            dedup: Dedup::default(),
            interests: Interests::default(),
            last_msg_id: Vec::new(),
            hash: RunningHash::default(),
        }
    }

    /// Applies one committed entry, and fills `out` (emptied first) with what it did.
    ///
    /// # Errors
    /// When the entry does not decode. Nothing is applied then, and nothing after it may be: the
    /// replica does not know what the others know.
    pub fn apply(&mut self, command: &Bytes, out: &mut Applied) -> Result<(), DamagedCommand> {
        out.clear();
        match Entry::decode(command)? {
            Entry::Publish(batch) => {
                self.advance(batch.time, out);
                out.outcomes.reserve(batch.len());
                for message in batch.messages() {
                    let outcome = self.publish(command, &message, out);
                    out.outcomes.push(outcome);
                }
            }
            Entry::Change(command) => {
                self.advance(command.time, out);
                let outcome = match command.change {
                    StreamChange::Delete { seq, erase } => self.delete(seq, erase, out),
                    StreamChange::Purge { filter, up_to, keep } => {
                        self.purge(filter.as_deref(), up_to, keep, out)
                    }
                    StreamChange::Update(config) => self.update(*config, out),
                    StreamChange::SetInterest { consumer, filters, new_only } => {
                        Ok(self.set_interest(consumer, filters, new_only, out))
                    }
                    StreamChange::DropInterest { consumer } => {
                        Ok(self.drop_interest(consumer, out))
                    }
                    StreamChange::Acknowledge { consumer, done } => {
                        Ok(self.acknowledge(consumer, &done, out))
                    }
                    StreamChange::Expire => Ok(ChangeOutcome::Expired),
                };
                out.change = Some(outcome.unwrap_or_else(ChangeOutcome::Refused));
            }
        }
        Ok(())
    }

    /// Moves the applied time to `stamped`, never back, and drops what is too old by then.
    fn advance(&mut self, stamped: Timestamp, out: &mut Applied) {
        self.applied_time = self.applied_time.max(stamped);
        self.hash.fold_time(self.applied_time);
        self.dedup.expire(self.applied_time, self.config.duplicate_window);
        self.drop_aged(out);
    }

    /// Takes out one message; `false` when there is none.
    pub(super) fn remove(&mut self, seq: u64, out: &mut Applied) -> bool {
        let removed = self.messages.remove(seq);
        if removed {
            self.hash.fold(Fold::Removal, [seq, seq, 0]);
            push_sequence(&mut out.removed, seq);
        }
        removed
    }

    fn delete(
        &mut self,
        seq: u64,
        erase: bool,
        out: &mut Applied,
    ) -> Result<ChangeOutcome, ChangeError> {
        if self.config.sealed {
            return Err(ChangeError::Sealed);
        }
        if self.config.deny_delete {
            return Err(ChangeError::DeleteDenied);
        }
        let removed = self.remove(seq, out);
        Ok(if removed {
            ChangeOutcome::Deleted { seq, erase }
        } else {
            ChangeOutcome::NotFound { seq }
        })
    }

    fn purge(
        &mut self,
        filter: Option<&str>,
        up_to: Option<u64>,
        keep: Option<u64>,
        out: &mut Applied,
    ) -> Result<ChangeOutcome, ChangeError> {
        if self.config.sealed {
            return Err(ChangeError::Sealed);
        }
        if self.config.deny_purge {
            return Err(ChangeError::PurgeDenied);
        }
        Ok(ChangeOutcome::Purged { messages: self.drop_oldest(filter, up_to, keep, out) })
    }

    /// Takes out messages as [`StreamChange::Purge`] says, and counts them. Zero is no value, as in
    /// NATS.
    pub(super) fn drop_oldest(
        &mut self,
        filter: Option<&str>,
        up_to: Option<u64>,
        keep: Option<u64>,
        out: &mut Applied,
    ) -> u64 {
        let filter = filter.filter(|filter| !filter.is_empty() && *filter != ">");
        let up_to = up_to.filter(|up_to| *up_to > 0).map(|up_to| up_to.min(MAX_JUMP));
        let keep = keep.filter(|keep| *keep > 0);
        match (filter, up_to, keep) {
            // Nothing is below the first sequence there can be.
            (_, Some(1), _) => 0,
            (None, None, None) => self.drop_all(self.messages.last_seq + 1, out),
            // A sequence not reached yet becomes the next one.
            (None, Some(up_to), _) if up_to > self.messages.last_seq => self.drop_all(up_to, out),
            (None, Some(up_to), _) => self.drop_matching(None, up_to, u64::MAX, out),
            (filter, up_to, keep) => {
                let held: u64 = match filter {
                    None => self.messages.len(),
                    Some(filter) => self.subjects_matching(filter).map(|(_, count)| count).sum(),
                };
                let most = held.saturating_sub(keep.unwrap_or(0));
                self.drop_matching(filter, up_to.unwrap_or(u64::MAX), most, out)
            }
        }
    }

    fn drop_all(&mut self, next: u64, out: &mut Applied) -> u64 {
        let dropped = self.messages.len();
        for range in self.messages.clear(next) {
            self.hash.fold(Fold::Removal, [range.first, range.last, 0]);
            push_range(&mut out.removed, range);
        }
        self.hash.fold(Fold::Removal, [0, self.messages.last_seq, 0]);
        dropped
    }

    /// Takes out the `most` oldest messages below `end` that `filter` matches.
    fn drop_matching(
        &mut self,
        filter: Option<&str>,
        end: u64,
        most: u64,
        out: &mut Applied,
    ) -> u64 {
        let mut filter = super::FilterSet::new(filter.map(str::to_owned).into_iter().collect());
        let (mut next, mut dropped) = (self.messages.first_seq, 0);
        while dropped < most
            && let Some(seq) = self.next_match(&mut filter, next).filter(|seq| *seq < end)
        {
            self.remove(seq, out);
            dropped += 1;
            next = seq + 1;
        }
        dropped
    }

    fn update(
        &mut self,
        config: StreamConfig,
        out: &mut Applied,
    ) -> Result<ChangeOutcome, ChangeError> {
        if config.name != self.config.name {
            return Err(ChangeError::Immutable("name"));
        }
        if config.storage != self.config.storage {
            return Err(ChangeError::Immutable("storage"));
        }
        self.hash.fold_bytes(Fold::Config, &codec::encode(0, &config));
        self.config = config;
        self.messages.track(self.config.max_msgs_per_subject.is_some());
        self.dedup.expire(self.applied_time, self.config.duplicate_window);
        self.drop_aged(out);
        self.drop_above_subject_limits(out);
        self.drop_above_limits(out);
        self.drop_unneeded(out);
        Ok(ChangeOutcome::Updated)
    }

    /// What it is asked to be.
    #[must_use]
    pub fn config(&self) -> &StreamConfig {
        &self.config
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The time it has got to: the greatest of its commands', or its creation's.
    #[must_use]
    pub fn applied_time(&self) -> Timestamp {
        self.applied_time
    }

    /// The running hash: replicas that applied the same commands have the same.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// How many `Nats-Msg-Id`s it remembers.
    #[must_use]
    pub fn remembered_ids(&self) -> usize {
        self.dedup.len()
    }

    /// The bytes that a message of these lengths counts for in this stream.
    #[must_use]
    pub fn message_size(&self, subject: usize, headers: usize, payload: usize) -> u64 {
        crate::message_size(self.config.storage, subject, headers, payload)
    }

    /// Whether it lives in memory only.
    #[must_use]
    pub fn is_memory(&self) -> bool {
        self.config.storage == StorageKind::Memory
    }
}
