//! What a consumer's leader, its host and the API ask of the replicated state.

use super::machine::{Consumer, Position};
use super::pending::Pending;
use crate::{ConsumerConfig, SequenceRange, Timestamp};

impl Consumer {
    /// What it is asked to be.
    #[must_use]
    pub fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The greatest time of any entry applied.
    #[must_use]
    pub fn applied_time(&self) -> Timestamp {
        self.applied_time
    }

    /// The running hash: replicas that applied the same entries have the same.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.value()
    }

    /// Whether a leader has resolved where it begins.
    #[must_use]
    pub fn is_started(&self) -> bool {
        self.started
    }

    /// The next stream sequence to consider.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Up to where only the last message of each subject counts, if that is not passed yet.
    #[must_use]
    pub fn resume(&self) -> Option<u64> {
        self.resume
    }

    /// The last delivery; all of the stream up to it was delivered or did not match.
    #[must_use]
    pub fn delivered(&self) -> Position {
        Position {
            consumer_seq: self.consumer_seq,
            stream_seq: self.cursor - 1,
            last_active: self.last_delivered,
        }
    }

    /// Everything up to here needs no acknowledgement. It never falls, and never passes
    /// [`Self::delivered`].
    #[must_use]
    pub fn ack_floor(&self) -> Position {
        let (consumer_seq, stream_seq) = match self.pending.first() {
            Some((seq, pending)) => (pending.consumer_seq - 1, seq - 1),
            None => (self.consumer_seq, self.cursor - 1),
        };
        Position { consumer_seq, stream_seq, last_active: self.last_acked }
    }

    /// The messages that wait for an acknowledgement, by stream sequence.
    pub fn pending(&self) -> impl Iterator<Item = (u64, &Pending)> {
        self.pending.iter()
    }

    /// Those of them in `range`.
    pub(super) fn pending_in(&self, range: SequenceRange) -> impl Iterator<Item = (u64, &Pending)> {
        self.pending.range(range.first..=range.last)
    }

    /// The message `seq`, if it waits for an acknowledgement.
    #[must_use]
    pub fn pending_message(&self, seq: u64) -> Option<&Pending> {
        self.pending.get(seq)
    }

    /// How many messages wait for an acknowledgement.
    #[must_use]
    pub fn num_ack_pending(&self) -> usize {
        self.pending.len()
    }

    /// How many messages were delivered more than once, or given up, and are not settled otherwise.
    #[must_use]
    pub fn num_redelivered(&self) -> usize {
        let again = self.pending().filter(|(_, pending)| pending.deliveries > 1).count();
        again + self.given_up.len()
    }

    /// The messages that were delivered as often as they may be, and how often that was. They count as
    /// not acknowledged for a stream that keeps messages until they are.
    pub fn given_up(&self) -> impl Iterator<Item = (u64, u64)> {
        self.given_up.iter().map(|(seq, deliveries)| (*seq, *deliveries))
    }

    /// All sequences that the consumer needs no more, for
    /// [`StreamChange::Acknowledge`](crate::StreamChange::Acknowledge): its leader says so once after it
    /// began to lead, and then what each entry adds.
    #[must_use]
    pub fn done(&self) -> Vec<SequenceRange> {
        let given_up = self.given_up.keys().copied();
        let mut open: Vec<u64> = self.pending().map(|(seq, _)| seq).chain(given_up).collect();
        open.sort_unstable();
        let (mut done, mut next) = (Vec::new(), 1);
        for seq in open {
            done.extend(SequenceRange::new(next, seq - 1));
            next = seq + 1;
        }
        done.extend(SequenceRange::new(next, self.cursor - 1));
        done
    }

    /// Gives back memory that it does not need while nobody uses it.
    pub fn rest(&mut self) {
        self.pending.shrink();
    }

    /// Whether `seq` was delivered as often as it may be.
    #[must_use]
    pub fn is_given_up(&self, seq: u64) -> bool {
        self.given_up.contains_key(&seq)
    }

    /// When `pending` is to be delivered again: when the client said, or when its wait is over. Each
    /// delivery has its own wait if there is a backoff.
    #[must_use]
    pub fn deadline(&self, pending: &Pending) -> Timestamp {
        pending.redeliver_at.unwrap_or_else(|| {
            let backoff = &self.config.backoff;
            let nth = usize::try_from(pending.deliveries.saturating_sub(1)).unwrap_or(usize::MAX);
            let wait = backoff.get(nth).or(backoff.last()).copied();
            pending.delivered_at.after(wait.unwrap_or(self.config.ack_wait))
        })
    }

    /// Whether a message that was delivered `deliveries` times may not be delivered again.
    #[must_use]
    pub fn is_spent(&self, deliveries: u64) -> bool {
        self.config.max_deliver.is_some_and(|max| deliveries >= max)
    }
}
