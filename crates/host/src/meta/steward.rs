//! What the meta leader does by itself: it brings registered servers into its group, and streams back to their
//! replica counts.

use std::collections::BTreeSet;

use flotilla_meta::{Fleet, GroupView, Member, Step, Wait, heal, meta_members, next_step};
use flotilla_raft::{ReplicaId, StoreId};

use super::MetaMachine;
use crate::replica::Replica;
use crate::time::{MILLISECOND, SECOND};
use crate::turn::Cx;

/// How often the steward looks, when nothing tells it to.
const ROUND: u64 = 2 * SECOND;
/// How often it looks at all streams at most. Many things that it is told about come together.
const GAP: u64 = 100 * MILLISECOND;
/// The most streams that are healed in one round.
const STREAMS_PER_ROUND: usize = 64;
/// How far a learner may be behind to become a voter.
const CAUGHT_UP: u64 = 16;

/// When the steward looks next, and whether it found nothing to do when it looked last.
#[derive(Clone, Copy, Default)]
pub(crate) struct Steward {
    due: u64,
    looked: u64,
    is_content: bool,
}

impl Steward {
    /// Something changed: look soon.
    pub(crate) fn begin(&mut self) {
        (self.due, self.is_content) = (self.looked.saturating_add(GAP), false);
    }

    /// Something changed that is hardly the steward's business: look with the next round.
    pub(crate) fn look_in_time(&mut self) {
        self.is_content = false;
    }
}

impl Replica<MetaMachine> {
    /// Looks after the fleet, when it is time and this replica leads.
    pub(crate) fn tend(&mut self, cx: &mut Cx) {
        let Steward { due, is_content, .. } = self.machine.steward;
        if !self.serves() || is_content && cx.now.mono < due {
            return;
        }
        let is_settled = self.tend_members(cx);
        if cx.now.mono >= due {
            let is_healed = self.heal_streams(cx);
            let (looked, due) = (cx.now.mono, cx.now.mono + ROUND);
            self.machine.steward = Steward { due, looked, is_content: is_settled && is_healed };
        }
        if !self.machine.steward.is_content {
            // A group with something to do does not sleep over it: nobody would wake it when it can be done.
            self.wake();
        }
    }

    /// Returns whether there was nothing to heal.
    fn heal_streams(&mut self, cx: &mut Cx) -> bool {
        let peers = self.peers(cx);
        let seed = cx.random.below(u64::MAX);
        let fleet = Fleet { peers: &peers, unique_tag: self.machine.unique_tag.as_deref(), seed };
        let plans = heal(&self.machine.meta, &fleet, &self.machine.missing, STREAMS_PER_ROUND);
        let is_healed = plans.is_empty();
        for command in plans.into_iter().flat_map(super::plan::commands) {
            self.propose_command(&command, None, cx);
        }
        is_healed
    }

    /// Every registered JetStream server belongs to the meta group; it gets there as a learner. Returns whether all
    /// are where they should be.
    fn tend_members(&mut self, cx: &mut Cx) -> bool {
        let desired = meta_members(&self.machine.meta);
        let (live, caught_up) = self.standing(&desired, CAUGHT_UP, cx);
        let view = GroupView {
            leader: self.raft.id(),
            membership: self.raft.membership(),
            desired: &desired,
            live: &live,
            caught_up: &caught_up,
            recorded: true,
            meta_current: true,
            in_flight: self.raft.change_pending() || self.raft.transferring().is_some(),
        };
        let step = next_step(&view);
        let is_settled = step == Step::Nothing(Wait::Settled);
        self.take_step(step, cx);
        is_settled
    }
}

impl<M: crate::replica::Machine> Replica<M> {
    /// Which members live, those that are not members yet included, and which of them have the log but for its last `slack`
    /// entries. A member that does not answer its leader does not live, although its server may: its replica may be lost.
    pub(crate) fn standing(
        &self,
        desired: &[Member],
        slack: u64,
        cx: &Cx,
    ) -> (BTreeSet<ReplicaId>, BTreeSet<ReplicaId>) {
        let members = self.raft.membership().stores.iter().map(|(r, s)| (*r, *s));
        let members = members.chain(desired.iter().map(|m| (m.replica, m.store)));
        let answers = |r: ReplicaId| {
            r == self.raft.id() || self.raft.progress(r).is_none_or(|progress| progress.active)
        };
        let lives = |(r, s): &(ReplicaId, StoreId)| {
            (*s == cx.store || !cx.peers.is_dead(*s)) && answers(*r)
        };
        let live: BTreeSet<_> = members.filter(lives).map(|(r, _)| r).collect();
        let end = self.raft.commit();
        // One that never answered has nothing, however short the log is: it may not even be there yet.
        let has = |r: &ReplicaId| {
            let progress = self.raft.progress(*r);
            *r == self.raft.id()
                || progress.is_some_and(|p| p.matched > 0 && p.matched + slack >= end)
        };
        let caught_up = live.iter().copied().filter(has).collect();
        (live, caught_up)
    }

    /// Carries out a step towards the desired members. Returns whether the committed configuration is to be
    /// reported.
    pub(crate) fn take_step(&mut self, step: Step, cx: &mut Cx) -> bool {
        match step {
            Step::Propose(change) => {
                self.wake();
                // Refused while another change is under way: the next round decides anew.
                drop(self.raft.propose_change(&change));
            }
            Step::TransferTo(replica) => drop(self.transfer(replica, cx)),
            Step::Report => return self.change_is_known(),
            Step::Nothing(_) => {}
        }
        false
    }
}
