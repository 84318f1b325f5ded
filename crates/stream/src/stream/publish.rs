//! Deciding about one message of a batch.

use bytes::Bytes;
use flotilla_mutation::{Mutation, is_on};

use super::{
    machine::Stream,
    outcome::{Applied, PublishError, PublishOutcome},
};
use crate::{
    Discard, Record,
    command::RawMessage,
    hash::Fold,
    headers::{PublishHeaders, expected_sequence},
};

/// What `Nats-Rollup` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rollup {
    Subject,
    All,
}

impl Stream {
    /// Applies one message of the batch `command`. The checks and their order are NATS's.
    pub(super) fn publish(
        &mut self,
        command: &Bytes,
        message: &RawMessage<'_>,
        out: &mut Applied,
    ) -> PublishOutcome {
        let headers = PublishHeaders::parse(message.headers);
        let outcome = match self.decide(message, &headers) {
            Ok((size, rollup)) => {
                let seq = self.messages.last_seq + 1;
                self.remember(headers.msg_id, seq);
                if self.is_wanted(message.subject) {
                    self.store(command, message, (seq, size), out);
                    self.drop_above_subject_limit(message.subject, out);
                    self.drop_above_limits(out);
                    self.roll_up(rollup, message.subject, Some(1), out);
                } else {
                    self.hash.fold(Fold::Skipped, [seq, 0, 0]);
                    self.messages.skip(seq, self.applied_time);
                    self.roll_up(rollup, message.subject, None, out);
                }
                return PublishOutcome::Stored { seq };
            }
            Err(outcome) => outcome,
        };
        if is_on(Mutation::RefusedIsRemembered)
            && let Some(id) = headers.msg_id.filter(|id| self.dedup.get(id).is_none())
        {
            self.dedup.insert(id, self.messages.last_seq, self.applied_time);
        }
        let (code, seq) = match &outcome {
            PublishOutcome::Duplicate { seq } | PublishOutcome::Stored { seq } => (0, *seq),
            PublishOutcome::Refused(error) => (u64::from(error.code()), 0),
        };
        self.hash.fold(Fold::Outcome, [code, seq, 0]);
        outcome
    }

    /// The message's size and rollup if it is to be stored, or what becomes of it instead.
    fn decide(
        &self,
        message: &RawMessage<'_>,
        headers: &PublishHeaders<'_>,
    ) -> Result<(u32, Option<Rollup>), PublishOutcome> {
        let size = self.check_size(message).map_err(PublishOutcome::Refused)?;
        if headers.expected_stream.is_some_and(|name| name != self.config.name.as_bytes()) {
            return Err(PublishOutcome::Refused(PublishError::StreamMismatch));
        }
        // Before the expectations: a client that repeats a publish whose answer it missed must hear
        // that it is stored, not that the sequence has moved on.
        let seen = headers.msg_id.filter(|_| !is_on(Mutation::DuplicateStored));
        if let Some(seq) = seen.and_then(|id| self.dedup.get(id)) {
            return Err(PublishOutcome::Duplicate { seq });
        }
        let checked = self
            .check_expectations(message.subject, headers)
            .and_then(|()| self.check_rollup(headers))
            .and_then(|rollup| self.check_room(message.subject, size, headers).map(|()| rollup));
        checked.map(|rollup| (size, rollup)).map_err(PublishOutcome::Refused)
    }

    fn check_size(&self, message: &RawMessage<'_>) -> Result<u32, PublishError> {
        if self.config.sealed {
            return Err(PublishError::Sealed);
        }
        let (headers, payload) = (message.headers.len(), message.payload.len());
        if self.config.max_msg_size.is_some_and(|max| headers + payload > max as usize) {
            return Err(PublishError::MessageTooLarge);
        }
        u32::try_from(self.message_size(message.subject.len(), headers, payload))
            .map_err(|_| PublishError::MessageTooLarge)
    }

    fn check_expectations(
        &self,
        subject: &str,
        headers: &PublishHeaders<'_>,
    ) -> Result<(), PublishError> {
        if let Some(expected) = headers.expected_last_seq
            && expected_sequence(expected) != self.messages.last_seq
            && !is_on(Mutation::ExpectedSequenceNotChecked)
        {
            return Err(PublishError::WrongLastSequence { last: self.messages.last_seq });
        }
        if let Some(expected) = headers.expected_last_msg_id
            && expected != self.last_msg_id
        {
            let last = String::from_utf8_lossy(&self.last_msg_id).into_owned();
            return Err(PublishError::WrongLastMsgId { last });
        }
        match (headers.expected_last_subject_seq, headers.expected_subject) {
            (None, Some(_)) => Err(PublishError::ExpectedSubjectWithoutSequence),
            (None, None) => Ok(()),
            (Some(expected), other) => {
                // What is not UTF-8 is no subject of this stream.
                let asked = other.map_or(Ok(subject), std::str::from_utf8);
                let last = asked.ok().and_then(|asked| self.last_by_subject(asked)).unwrap_or(0);
                if expected_sequence(expected) == last {
                    Ok(())
                } else {
                    Err(PublishError::WrongLastSequence { last })
                }
            }
        }
    }

    fn check_rollup(&self, headers: &PublishHeaders<'_>) -> Result<Option<Rollup>, PublishError> {
        let Some(value) = headers.rollup else { return Ok(None) };
        if !self.config.allow_rollup || self.config.deny_purge {
            return Err(PublishError::RollupNotPermitted);
        }
        match value.to_ascii_lowercase().as_slice() {
            b"sub" => Ok(Some(Rollup::Subject)),
            b"all" => Ok(Some(Rollup::All)),
            other => Err(PublishError::RollupInvalid {
                value: String::from_utf8_lossy(other).into_owned(),
            }),
        }
    }

    /// With [`Discard::New`]: whether the message fits. A subject at its own limit makes room for its
    /// new message by its oldest, which counts in both limits of the stream.
    fn check_room(
        &self,
        subject: &str,
        size: u32,
        headers: &PublishHeaders<'_>,
    ) -> Result<(), PublishError> {
        if self.config.discard == Discard::Old || !self.is_wanted(subject) {
            return Ok(());
        }
        let full = self.subject_at_limit(subject);
        if full.is_some() && self.config.discard_new_per_subject && headers.rollup.is_none() {
            return Err(PublishError::MaxMessagesPerSubject);
        }
        let replaced = full.and_then(|id| self.messages.subjects.first(id));
        if self.config.max_msgs.is_some_and(|max| self.messages.len() >= max) && full.is_none() {
            return Err(PublishError::MaxMessages);
        }
        let after = self.messages.bytes.saturating_add(u64::from(size));
        if self.config.max_bytes.is_some_and(|max| after > max) {
            let freed = replaced.and_then(|seq| self.messages.index.get(seq));
            if freed.is_none_or(|slot| slot.size < size) {
                return Err(PublishError::MaxBytes);
            }
        }
        Ok(())
    }

    fn store(
        &mut self,
        command: &Bytes,
        message: &RawMessage<'_>,
        (seq, size): (u64, u32),
        out: &mut Applied,
    ) {
        let time = self.applied_time;
        let lengths = (message.subject.len(), message.headers.len());
        self.hash.fold_record(seq, time, message.body, lengths);
        self.messages.store(seq, time, message.subject, size);
        let body = command.slice_ref(message.body);
        // A batch has no longer ones.
        let (subject_len, headers_len) = (lengths.0 as u16, lengths.1 as u16);
        out.stored.push(Record { seq, time, body, subject_len, headers_len });
    }

    fn remember(&mut self, msg_id: Option<&[u8]>, seq: u64) {
        let msg_id = msg_id.unwrap_or_default();
        self.last_msg_id.clear();
        self.last_msg_id.extend_from_slice(msg_id);
        if !msg_id.is_empty() && self.config.duplicate_window > 0 {
            self.dedup.insert(msg_id, seq, self.applied_time);
        }
    }

    /// Drops what the message replaces, all but the `keep` newest: itself, if it is kept.
    fn roll_up(
        &mut self,
        rollup: Option<Rollup>,
        subject: &str,
        keep: Option<u64>,
        out: &mut Applied,
    ) {
        match rollup {
            None => {}
            Some(Rollup::Subject) => {
                self.drop_oldest(Some(subject), None, keep, out);
            }
            Some(Rollup::All) => {
                self.drop_oldest(None, None, keep, out);
            }
        }
    }
}
