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
        let mut spent = Vec::new();
        let deadlines =
            |range| state.pending_in(range).map(|(seq, pending)| (seq, state.deadline(pending)));
        let mut due = self.deadlines.expire(now, deadlines);
        due.retain(|seq| {
            let Some(pending) = state.pending_message(*seq) else { return false };
            if self.taken.contains(seq) {
                return false;
            }
            let is_spent = state.is_spent(pending.deliveries);
            if is_spent {
                self.taken.insert(*seq);
                spent.push(*seq);
            }
            !is_spent
        });
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
        let is_next = |last: u64| (1..=NEAR).contains(&seq.wrapping_sub(last));
        match self.last {
            Some((at, SequenceRange { first, last })) if at == deadline && is_next(last) => {
                self.last = Some((at, SequenceRange { first, last: seq }));
            }
            _ if self.is_covered(deadline, seq) => {}
            _ => self.ranges.extend(self.last.replace((deadline, SequenceRange::single(seq)))),
        }
    }

    /// Whether `seq` is looked at then in any case.
    fn is_covered(&self, deadline: Timestamp, seq: u64) -> bool {
        let up_to = (deadline, SequenceRange { first: seq, last: u64::MAX });
        let before = self.ranges.range(..=up_to).next_back().copied();
        let mut ranges = before.into_iter().chain(self.last);
        ranges.any(|(at, range)| at == deadline && range.contains(seq))
    }

    /// The messages that are due, of those that `pending` says are in a range, with their deadlines. The others are looked at
    /// again when these have passed.
    fn expire<P: Iterator<Item = (u64, Timestamp)>>(
        &mut self,
        now: Timestamp,
        pending: impl Fn(SequenceRange) -> P,
    ) -> BTreeSet<u64> {
        let (mut due, mut later) = (BTreeSet::new(), BTreeSet::new());
        while let Some(range) = self.pop(now) {
            for (seq, deadline) in pending(range) {
                if deadline <= now {
                    due.insert(seq);
                } else {
                    later.insert((deadline, seq));
                }
            }
        }
        for (deadline, seq) in later {
            self.insert(deadline, seq);
        }
        due
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
    use std::collections::BTreeMap;

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

    #[test]
    fn who_is_looked_at_with_others_is_not_entered_again() {
        let mut deadlines = Deadlines::default();
        (1..=256).for_each(|seq| deadlines.insert(Timestamp(9), seq));
        deadlines.insert(Timestamp(5), 1);
        deadlines.insert(Timestamp(5), 17);
        let pending = |range: SequenceRange| {
            (range.first..=range.last).map(|seq| (seq, Timestamp(if seq == 1 { 5 } else { 9 })))
        };
        assert_eq!(deadlines.expire(Timestamp(5), pending), BTreeSet::from([1]));
        assert_eq!((deadlines.ranges.len(), deadlines.last), (1, None));
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Some neighbours get a deadline, so long from now.
        Set(u64, u64, i64),
        Settle(u64),
        Pass(i64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (1..60_u64, 1..30_u64, 1..6_i64).prop_map(|(f, n, at)| Step::Set(f, n, at)),
            2 => (1..90_u64).prop_map(Step::Settle),
            2 => (0..4_i64).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// As with a set of deadlines and messages, which knows of each by itself.
        #[test]
        fn they_are_due_at_their_time(steps in proptest::collection::vec(step(), 0..60)) {
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeSet::new());
            let (mut pending, mut now) = (BTreeMap::new(), 0);
            for step in steps {
                match step {
                    Step::Set(first, count, wait) => {
                        for seq in first..first + count {
                            pending.insert(seq, Timestamp(now + wait));
                            deadlines.insert(Timestamp(now + wait), seq);
                            model.insert((Timestamp(now + wait), seq));
                        }
                    }
                    Step::Settle(settled) => pending.retain(|seq, _| *seq != settled),
                    Step::Pass(time) => now += time,
                }
                let within = |range: SequenceRange| {
                    pending.range(range.first..=range.last).map(|(seq, at)| (*seq, *at))
                };
                let due = deadlines.expire(Timestamp(now), within);
                let (passed, later): (BTreeSet<_>, _) =
                    model.into_iter().partition(|(at, _)| *at <= Timestamp(now));
                model = later;
                let mut expected = BTreeSet::new();
                for (_, seq) in passed {
                    let at = pending.get(&seq).copied();
                    expected.extend(at.filter(|at| *at <= Timestamp(now)).map(|_| seq));
                    model.extend(at.filter(|at| *at > Timestamp(now)).map(|at| (at, seq)));
                }
                prop_assert_eq!(&due, &expected);
                pending.retain(|seq, _| !due.contains(seq));
                model.retain(|(_, seq)| !due.contains(seq));
                let waits = pending.values().min().copied();
                prop_assert!(deadlines.next() <= waits || waits.is_none());
                prop_assert!(deadlines.ranges.len() <= 2 * model.len() + 60);
            }
        }
    }
}
