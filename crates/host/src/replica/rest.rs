//! Sleep and wake of one group.

use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{Membership, ReplicaId, Role, StoreId};

use super::{Machine, Replica};
use crate::bundle::{Say, Sleep};
use crate::notice::Notice;
use crate::turn::Cx;

/// How a replica fell asleep. All that is said of a sleeping group is here: it is said every few seconds, of thousands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asleep {
    /// Where its leader is.
    pub(crate) leader: Option<StoreId>,
    /// What both sides of a sleeping group agree on, as a number.
    pub(crate) digest: u64,
}

/// Whether a member's server is dead.
fn is_dead(member: ReplicaId, membership: &Membership, cx: &Cx) -> bool {
    let dead = |store: StoreId| store != cx.store && cx.peers.is_dead(store);
    membership.store_of(member).is_none_or(dead)
}

/// Whether more than half of a group's voters are on servers that live.
pub(crate) fn has_quorum(membership: &Membership, cx: &Cx) -> bool {
    let alive = membership.voters.iter().filter(|r| !is_dead(**r, membership, cx)).count();
    2 * alive > membership.voters.len()
}

impl<M: Machine> Replica<M> {
    /// Whether its time goes on.
    pub(crate) fn is_awake(&self) -> bool {
        self.asleep.is_none()
    }

    /// Something happened: the group's time goes on.
    pub(crate) fn wake(&mut self) {
        self.asleep = None;
        self.quiet_ticks = 0;
    }

    /// Lets the group sleep if every member that lives is where its leader is. The members that are dead are
    /// excused, as long as the living ones are a quorum; their return wakes the group.
    pub(super) fn try_sleep(&mut self, cx: &mut Cx) {
        let membership = self.raft.membership();
        let is_dead = |r: ReplicaId| is_dead(r, membership, cx);
        let is_quiet = self.reads.is_idle() && self.raft.is_settled(is_dead);
        if !has_quorum(membership, cx) || !is_quiet {
            return;
        }
        let sleep = Sleep {
            leader: self.raft.id(),
            term: self.raft.term(),
            commit: self.raft.commit(),
            hash: self.machine.state_hash(),
        };
        let members: Vec<ReplicaId> = membership.all().filter(|r| !is_dead(*r)).collect();
        for member in members {
            let store = self.raft.membership().store_of(member);
            if let Some(store) = store.filter(|s| *s != cx.store) {
                cx.say(store, self.group, &Say::Sleep(sleep));
            }
        }
        self.fall_asleep();
    }

    fn fall_asleep(&mut self) {
        self.asleep = Some(Asleep { leader: self.leader_store(), digest: self.sleep_digest() });
        self.raft.rest();
        self.machine.rest();
    }

    /// The leader says that the group may sleep. True only for who is exactly where it is; others stay awake, and
    /// will hear from it or replace it. Who is there has applied the same commands, and must have come to the same
    /// state.
    pub(crate) fn sleep(&mut self, sleep: Sleep, cx: &mut Cx) {
        let has_all = self.raft.commit() == sleep.commit
            && self.raft.applied() == sleep.commit
            && self.raft.last_index() == sleep.commit;
        let same = self.raft.role() == Role::Follower
            && self.raft.leader() == Some(sleep.leader)
            && self.raft.term() == sleep.term
            && (has_all || is_on(Mutation::SleepsBehind))
            && !self.raft.is_persisting();
        if !same {
            return self.wake();
        }
        self.fall_asleep();
        self.differs = has_all && sleep.hash != self.machine.state_hash();
        if self.differs {
            let what = "its state".to_owned();
            cx.notice(Notice::Diverged { group: self.group, index: sleep.commit, what });
        }
    }

    fn sleep_digest(&self) -> u64 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.group.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.raft.term().to_le_bytes());
        let commit = if is_on(Mutation::SleepsBehind) { 0 } else { self.raft.commit() };
        bytes[16..].copy_from_slice(&commit.to_le_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }
}
