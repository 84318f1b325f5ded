//! Which groups time goes on for: nothing is done, or looked at, for those that sleep, however many they are.

use std::collections::BTreeSet;

use flotilla_raft::GroupId;

use super::Shard;
use crate::time::TICK;

impl Shard {
    /// Groups that the log gave back begin, a few in each turn, the meta group first: so they serve one after the other, however
    /// many there are. Those that somebody wants something of do not wait for the others.
    pub(super) fn begin_some(&mut self) {
        if self.beginning.is_empty() {
            return;
        }
        let wanted = self.dirty.intersection(&self.beginning);
        let some = self.beginning.iter().take(self.cx.thresholds.begin_at_once);
        for group in wanted.chain(some).copied().collect::<BTreeSet<_>>() {
            self.beginning.remove(&group);
            self.dirty.insert(group);
            // Who votes alone campaigns with it.
            let ticked = self.replicas.get_mut(group).map(|replica| replica.tick(&mut self.cx));
            self.check(group, ticked.unwrap_or(Ok(())));
        }
    }

    /// Lets a tick pass for the groups that are awake, and looks after what is done from time to time.
    pub(super) fn run_ticks(&mut self) {
        if self.cx.now.mono < self.next_tick {
            return;
        }
        // A turn that comes late ticks once: time that the shard did not live through does not count against
        // anybody.
        self.next_tick = self.cx.now.mono + TICK;
        for group in self.awake.clone() {
            // Also if it is gone, or was woken and has nothing to do: it is noted anew how it is.
            self.dirty.insert(group);
            let replica = self.replicas.get_mut(group).filter(|replica| replica.is_awake());
            let ticked = replica.map(|replica| replica.tick(&mut self.cx));
            self.check(group, ticked.unwrap_or(Ok(())));
        }
        self.exchange_digests();
        self.retry_catchup();
        self.ask_ids();
        self.retry_mending();
        self.retry_repairs();
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
            if self.replicas.get(group).is_some_and(|replica| replica.is_awake()) {
                self.awake.insert(group);
            } else {
                self.awake.remove(&group);
            }
        }
        debug_assert!(
            self.replicas.iter().all(|(group, r)| {
                !r.is_awake() || self.awake.contains(&group) || self.beginning.contains(&group)
            }),
            "a group's time does not go on although it is awake"
        );
    }
}
