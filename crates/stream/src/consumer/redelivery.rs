//! Messages to be delivered again, and when.

use std::collections::{BTreeSet, VecDeque};

use super::machine::Consumer;
use crate::Timestamp;

/// The deadlines of pending messages, and the queue of those whose deadline has passed. The deadline of
/// a message that was acknowledged or postponed since is found to be wrong when it is looked at, and
/// not before: an acknowledgement costs nothing here.
#[derive(Debug, Default)]
pub(super) struct Redeliveries {
    deadlines: BTreeSet<(Timestamp, u64)>,
    queue: VecDeque<u64>,
    /// The messages in `queue`, and those on their way into the log.
    taken: BTreeSet<u64>,
}

impl Redeliveries {
    /// The deadlines of everything that is pending.
    pub(super) fn new(state: &Consumer) -> Self {
        let deadlines = state.pending().map(|(seq, pending)| (state.deadline(pending), seq));
        Self { deadlines: deadlines.collect(), ..Self::default() }
    }

    /// How many messages wait for a request.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Watches over `seq`, whose deadline is new, if it is pending; else forgets it.
    pub(super) fn arm(&mut self, seq: u64, state: &Consumer) {
        self.taken.remove(&seq);
        self.hasten(seq, state);
    }

    /// Watches over the pending message `seq` from an earlier time on; it may be on its way already.
    pub(super) fn hasten(&mut self, seq: u64, state: &Consumer) {
        if let Some(pending) = state.pending_message(seq) {
            self.deadlines.insert((state.deadline(pending), seq));
        }
    }

    /// Has `seq` delivered again as soon as anybody asks.
    pub(super) fn queue(&mut self, seq: u64) {
        if self.taken.insert(seq) {
            self.queue.push_back(seq);
        }
    }

    /// Queues the messages whose deadline has passed, and returns those of them that were delivered
    /// as often as they may be instead.
    pub(super) fn expire(&mut self, now: Timestamp, state: &Consumer) -> Vec<u64> {
        let mut due = BTreeSet::new();
        let mut spent = Vec::new();
        while let Some((deadline, seq)) =
            self.deadlines.first().copied().filter(|(at, _)| *at <= now)
        {
            self.deadlines.remove(&(deadline, seq));
            let Some(pending) = state.pending_message(seq) else { continue };
            let actual = state.deadline(pending);
            if self.taken.contains(&seq) {
                continue;
            }
            if actual > now {
                self.deadlines.insert((actual, seq));
            } else if state.is_spent(pending.deliveries) {
                self.taken.insert(seq);
                spent.push(seq);
            } else {
                due.insert(seq);
            }
        }
        // In the order of the stream, as far as they are due together.
        due.into_iter().for_each(|seq| self.queue(seq));
        spent
    }

    /// The next message to deliver again. It counts as on its way until it is armed again.
    pub(super) fn next(&mut self, state: &Consumer) -> Option<u64> {
        while let Some(seq) = self.queue.pop_front() {
            if state.pending_message(seq).is_some() {
                return Some(seq);
            }
            self.taken.remove(&seq);
        }
        None
    }

    /// Puts back what [`Self::next`] gave.
    pub(super) fn put_back(&mut self, seq: u64) {
        self.queue.push_front(seq);
    }

    /// Looks at all deadlines anew: the configuration changed.
    pub(super) fn rearm(&mut self, state: &Consumer) {
        let deadlines = state.pending().map(|(seq, pending)| (state.deadline(pending), seq));
        self.deadlines.extend(deadlines);
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}
