//! Messages to be delivered again, and when.

use std::collections::{BTreeSet, VecDeque};

use super::machine::Consumer;
use crate::{SequenceRange, Timestamp};

/// The deadlines of pending messages, and the queue of those whose deadline has passed. The deadline of
/// a message that was acknowledged or postponed since is found to be wrong when it is looked at, and
/// not before: an acknowledgement costs nothing here.
#[derive(Debug, Default)]
pub(super) struct Redeliveries {
    deadlines: Deadlines,
    queue: VecDeque<u64>,
    /// The messages in `queue`, and those on their way into the log.
    taken: BTreeSet<u64>,
}

impl Redeliveries {
    /// The deadlines of everything that is pending.
    pub(super) fn new(state: &Consumer) -> Self {
        let mut redeliveries = Self::default();
        redeliveries.rearm(state);
        redeliveries
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
            self.deadlines.insert(state.deadline(pending), seq);
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
        while let Some(range) = self.deadlines.pop(now) {
            for (seq, pending) in state.pending_in(range) {
                let deadline = state.deadline(pending);
                if self.taken.contains(&seq) {
                    continue;
                }
                if deadline > now {
                    self.deadlines.insert(deadline, seq);
                } else if state.is_spent(pending.deliveries) {
                    self.taken.insert(seq);
                    spent.push(seq);
                } else {
                    due.insert(seq);
                }
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
        for (seq, pending) in state.pending() {
            self.deadlines.insert(state.deadline(pending), seq);
        }
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }
}

/// When to look at which messages. Those that were delivered together have the same deadline, and are one range: a message
/// stays here for as long as it might have had to wait, so of a quick consumer there are many more than wait.
///
/// What lies between the messages of a range is looked at with them, and found to be settled, or to have another deadline. So
/// there is not much between one and the next.
#[derive(Debug, Default)]
struct Deadlines {
    ranges: BTreeSet<(Timestamp, SequenceRange)>,
    /// The range that grows.
    last: Option<(Timestamp, SequenceRange)>,
}

/// The next message of a range is no further from the one before.
const NEAR: u64 = 16;

impl Deadlines {
    fn insert(&mut self, deadline: Timestamp, seq: u64) {
        let is_next = |range: SequenceRange| (1..=NEAR).contains(&seq.wrapping_sub(range.last));
        match &mut self.last {
            Some((at, range)) if *at == deadline && is_next(*range) => range.last = seq,
            last => self.ranges.extend(last.replace((deadline, SequenceRange::single(seq)))),
        }
    }

    /// Takes out a range whose deadline has passed.
    fn pop(&mut self, now: Timestamp) -> Option<SequenceRange> {
        if let Some((_, range)) = self.last.take_if(|(at, _)| *at <= now) {
            return Some(range);
        }
        let first = self.ranges.first().copied().filter(|(at, _)| *at <= now)?;
        self.ranges.remove(&first);
        Some(first.1)
    }

    /// The earliest deadline.
    fn next(&self) -> Option<Timestamp> {
        let first = self.ranges.first().map(|(at, _)| *at);
        self.last.map(|(at, _)| at).into_iter().chain(first).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_delivered_together_is_one_range() {
        let mut deadlines = Deadlines::default();
        for turn in 0..100_u64 {
            (1..=256).for_each(|n| deadlines.insert(Timestamp(turn as i64), 256 * turn + n));
        }
        assert_eq!(deadlines.ranges.len(), 99);
        assert_eq!(deadlines.pop(Timestamp(0)), SequenceRange::new(1, 256));
        assert_eq!(deadlines.next(), Some(Timestamp(1)));
    }

    proptest! {
        #[test]
        fn what_is_due_is_looked_at_and_no_far_neighbour(
            inserted in proptest::collection::vec((0..5_i64, 0..400_u64), 0..200),
            now in 0..5_i64,
        ) {
            let mut deadlines = Deadlines::default();
            inserted.iter().for_each(|(at, seq)| deadlines.insert(Timestamp(*at), *seq));
            let earliest = inserted.iter().map(|(at, _)| Timestamp(*at)).min();
            prop_assert_eq!(deadlines.next(), earliest);
            let ranges: Vec<_> = std::iter::from_fn(|| deadlines.pop(Timestamp(now))).collect();
            let due = inserted.iter().filter(|(at, _)| *at <= now).map(|(_, seq)| *seq);
            let due: BTreeSet<u64> = due.collect();
            prop_assert!(due.iter().all(|seq| ranges.iter().any(|range| range.contains(*seq))));
            for range in ranges {
                let within = due.range(range.first..=range.last).count() as u64;
                prop_assert!(range.count() <= within * NEAR);
            }
            prop_assert!(deadlines.next().is_none_or(|at| at > Timestamp(now)));
        }
    }
}
