//! Which groups time goes on for: nothing is done, or looked at, for those that sleep, however many they are.

use std::collections::BTreeSet;

use flotilla_raft::GroupId;

use super::Shard;
use crate::time::TICK;

/// Groups tick in so many parts, one after the other within the time of a tick: however many are awake, what they say and write
/// does not come all at once, before everything else. A power of two.
const PARTS: u64 = 8;

/// The groups whose time goes on, and perhaps some that are gone: so that nothing has to be done, or looked at, for those that
/// sleep. A group wakes and falls asleep only in a turn in which it has something to do.
pub(super) struct Awake {
    began: u64,
    parts: [Part; PARTS as usize],
}

#[derive(Default)]
struct Part {
    groups: BTreeSet<GroupId>,
    /// When they tick next.
    due: u64,
}

impl Awake {
    /// None. The first part ticks at once.
    pub(super) fn new(now: u64) -> Self {
        let mut parts: [Part; PARTS as usize] = Default::default();
        for (number, part) in (0..).zip(&mut parts) {
            part.due = now + number * (TICK / PARTS);
        }
        Self { began: now, parts }
    }

    fn note(&mut self, group: GroupId, is_awake: bool) {
        let groups = &mut self.parts[part_of(group)].groups;
        if is_awake {
            groups.insert(group);
        } else {
            groups.remove(&group);
        }
    }

    fn contains(&self, group: GroupId) -> bool {
        self.parts[part_of(group)].groups.contains(&group)
    }

    /// When the next of them ticks.
    pub(super) fn next(&self) -> Option<u64> {
        let some = self.parts.iter().filter(|part| !part.groups.is_empty());
        some.map(|part| part.due).min()
    }

    /// When it is time again for what is looked after once in each tick.
    pub(super) fn next_round(&self) -> u64 {
        self.parts[0].due
    }

    /// Those that tick now. A turn that comes late ticks once, whatever has passed: time that the shard did not live through
    /// does not count against anybody.
    fn take_due(&mut self, now: u64) -> Vec<GroupId> {
        let mut due = Vec::new();
        for (number, part) in (0..).zip(&mut self.parts) {
            if part.due <= now {
                due.extend(&part.groups);
                // Parts that came late together go on one after the other.
                let first = self.began + number * (TICK / PARTS);
                part.due = now + TICK - (now - first) % TICK;
            }
        }
        due
    }
}

/// Ids are counters behind slots that are given out in turn: only a hash of both spreads them.
fn part_of(group: GroupId) -> usize {
    let hash = group.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> (u64::BITS - PARTS.trailing_zeros())) as usize
}

impl Shard {
    /// Groups that the log gave back begin, a few in each turn, the meta group first: so they serve one after the other, however
    /// many there are. Those that somebody wants something of, as many again at most, do not wait for the others.
    pub(super) fn begin_some(&mut self) {
        if self.beginning.is_empty() {
            return;
        }
        let most = self.cx.thresholds.begin_at_once;
        let wanted = self.dirty.intersection(&self.beginning).take(most);
        let some = wanted.chain(self.beginning.iter().take(most)).copied();
        for group in some.collect::<BTreeSet<_>>() {
            self.beginning.remove(&group);
            self.dirty.insert(group);
            // Who votes alone campaigns with it.
            let ticked = self.replicas.get_mut(group).map(|replica| replica.tick(&mut self.cx));
            self.check(group, ticked.unwrap_or(Ok(())));
        }
    }

    /// Lets a tick pass for the groups that are awake, and looks after what is done from time to time.
    pub(super) fn run_ticks(&mut self) {
        let is_round = self.awake.next_round() <= self.cx.now.mono;
        for group in self.awake.take_due(self.cx.now.mono) {
            // Also if it is gone, or was woken and has nothing to do: it is noted anew how it is.
            self.dirty.insert(group);
            let replica = self.replicas.get_mut(group).filter(|replica| replica.is_awake());
            let ticked = replica.map(|replica| replica.tick(&mut self.cx));
            self.check(group, ticked.unwrap_or(Ok(())));
        }
        if is_round {
            self.exchange_digests();
            self.retry_catchup();
            self.ask_ids();
            self.retry_mending();
            self.retry_repairs();
        }
    }

    /// Notes how many bytes wait in the queue of a stream, or none of one that is gone.
    fn note_queue(&mut self, group: GroupId) {
        let bytes = self.replicas.streams.get(&group).map_or(0, |s| s.machine.queue_bytes);
        let before = match bytes {
            0 => self.queues.remove(&group),
            bytes => self.queues.insert(group, bytes),
        };
        self.cx.queued = self.cx.queued.saturating_sub(before.unwrap_or(0)).saturating_add(bytes);
    }

    /// Notes which of the groups that had something to do are awake now, and what waits in their queues.
    pub(super) fn note_awake(&mut self) {
        self.settled.extend(&self.dirty);
        for group in std::mem::take(&mut self.settled) {
            self.note_queue(group);
            let is_awake = self.replicas.get(group).is_some_and(|replica| replica.is_awake());
            self.awake.note(group, is_awake);
        }
        debug_assert!(
            self.replicas.iter().all(|(group, r)| {
                !r.is_awake() || self.awake.contains(group) || self.beginning.contains(&group)
            }),
            "a group's time does not go on although it is awake"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn awake(began: u64, groups: u64) -> Awake {
        let mut awake = Awake::new(began);
        // As they are given out: a slot after the other, and a counter.
        (0..groups).for_each(|n| awake.note(GroupId(((n + 1) << 8) | (n % 256)), true));
        awake
    }

    #[test]
    fn every_group_ticks_once_in_the_time_of_a_tick_and_few_at_once() {
        let (began, groups) = (12_345, 800);
        let mut awake = awake(began, groups);
        let mut ticks: BTreeMap<GroupId, Vec<u64>> = BTreeMap::new();
        let mut now = began;
        while now < began + 4 * TICK {
            let due = awake.take_due(now);
            let even = groups / PARTS;
            assert!(due.len() as u64 <= even + even / 8, "{} at once", due.len());
            due.into_iter().for_each(|group| ticks.entry(group).or_default().push(now));
            now = awake.next().unwrap();
        }
        assert_eq!(ticks.len() as u64, groups);
        for ticks in ticks.values() {
            assert_eq!(ticks.len(), 4);
            assert!(ticks.is_sorted_by(|a, b| *b == a + TICK), "{ticks:?}");
        }
    }

    #[test]
    fn a_late_turn_ticks_once_and_the_parts_go_on_one_after_the_other() {
        let mut awake = awake(0, 800);
        let late = 10 * TICK + 1;
        assert_eq!(awake.take_due(late).len(), 800);
        assert_eq!(awake.take_due(late), []);
        for _ in 0..PARTS {
            let next = awake.next().unwrap();
            assert!((90..=110).contains(&awake.take_due(next).len()), "at {next}");
        }
        assert!(awake.next().unwrap() > late + TICK);
    }

    #[test]
    fn nothing_is_due_when_all_sleep() {
        let mut awake = awake(0, 1);
        assert!(awake.next().is_some());
        awake.note(GroupId(256), false);
        assert_eq!((awake.next(), awake.contains(GroupId(256))), (None, false));
    }
}
