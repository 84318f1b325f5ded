//! Who leads: campaigns, handing over, and how the members are.

use flotilla_jsapi::ErrorKind;
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{Poisoned, ReplicaId, StoreId};
use flotilla_stream::Timestamp;

use super::{Machine, Replica};
use crate::request::{Answer, ClusterAnswer, MemberAnswer};
use crate::time::{MILLISECOND, SECOND};
use crate::turn::Cx;

/// How long a handing over of leadership may take before it is given up.
const TRANSFER_LIMIT: u64 = SECOND;
/// How often a leader that lacks something gives way.
const WAY_LIMIT: u64 = 10 * SECOND;

/// While entries follow each other at least this closely, each tells the members that the one before is committed. So the
/// last one of them is applied elsewhere so much later.
pub(crate) const FLOWING: u64 = MILLISECOND;

/// How closely entries follow each other.
#[derive(Clone, Copy, Default)]
pub(crate) struct Flow {
    appended_at: u64,
    is_flowing: bool,
    /// Since when the members are to be told what is committed.
    owed_since: Option<u64>,
}

impl Flow {
    pub(super) fn appended(&mut self, now: u64) {
        self.is_flowing = now.saturating_sub(self.appended_at) < FLOWING;
        self.appended_at = now;
        self.owed_since = None;
    }
}

impl<M: Machine> Replica<M> {
    /// Tells the members what is committed; if entries flow, only when none has come for `patience`, which would tell it.
    /// Returns when to look again.
    pub(crate) fn tell_commit(
        &mut self,
        patience: u64,
        cx: &mut Cx,
    ) -> Result<Option<u64>, Poisoned> {
        if !self.raft.owes_commit() {
            self.flow.owed_since = None;
            return Ok(None);
        }
        let now = cx.now.mono;
        let since = *self.flow.owed_since.get_or_insert(now);
        let patience = if self.flow.is_flowing { patience } else { 0 };
        if now < since + patience {
            return Ok(Some(since + patience));
        }
        self.flow.owed_since = None;
        self.raft.tell_commit()?;
        self.drive(cx)?;
        Ok(None)
    }

    /// There is a reason to think that nobody leads: this replica campaigns in a moment, with jitter, instead of
    /// waiting out the timeout.
    pub(crate) fn be_eager(&mut self, within: u64, cx: &mut Cx) {
        self.wake();
        self.eager = Some(cx.random.below(within.max(1)));
    }

    /// Campaigns when the moment has come. A replica that cannot do so now, because it waits for its disk, or for votes
    /// that are on their way, does so as soon as it can.
    pub(super) fn campaign_eagerly(&mut self) -> Result<bool, Poisoned> {
        let Some(ticks) = self.eager else { return Ok(false) };
        if self.raft.leader().is_some() {
            self.eager = None;
            return Ok(false);
        }
        self.eager = Some(ticks.saturating_sub(1));
        let campaigned = ticks == 0 && !self.raft.is_candidate() && self.raft.campaign()?;
        if campaigned {
            self.eager = None;
        }
        Ok(campaigned)
    }

    /// Draws how long this replica waits beyond the election timeout, so that not all campaign at once.
    pub(crate) fn draw_patience(&mut self, cx: &mut Cx) {
        self.raft.set_patience(usize::try_from(cx.random.below(11)).unwrap_or(0));
    }

    pub(crate) fn transfer(&mut self, to: ReplicaId, cx: &mut Cx) -> Result<(), Poisoned> {
        self.wake();
        self.raft.transfer(to)?;
        self.transfer_since = Some(cx.now.mono);
        self.drive(cx)
    }

    pub(super) fn limit_transfer(&mut self, cx: &Cx) {
        match self.transfer_since {
            Some(since) if self.raft.transferring().is_some() => {
                if cx.now.mono.saturating_sub(since) > TRANSFER_LIMIT {
                    self.raft.abort_transfer();
                    self.transfer_since = None;
                }
            }
            _ => self.transfer_since = None,
        }
    }

    /// Whether a majority of the members knows for good that the last change of them is committed: only then may a
    /// replica that it excludes be destroyed. Before, whoever restarts may be back in the configuration with it, and
    /// could wait for its vote for ever.
    ///
    /// Who has an entry that was proposed after the change was applied has that knowledge (see `persist`), so such
    /// an entry is proposed, and waited for.
    pub(crate) fn change_is_known(&mut self) -> bool {
        if is_on(Mutation::RemovedBeforeKnown) {
            return true;
        }
        let (term, index) = self.proof;
        if term == self.raft.term() && index > self.changed_at {
            return self.raft.applied() >= index;
        }
        if let Ok((index, term)) = self.raft.propose(bytes::Bytes::new()) {
            self.wake();
            self.proof = (term, index);
        }
        false
    }

    /// What a leader needs is not here, or cannot be read: another member is to lead, if there is one that can. Not again and
    /// again: it may be no better there, and a leader that lacks something still leads the rest.
    pub(crate) fn give_way(&mut self, cx: &mut Cx) {
        let lately = self.gave_way.is_some_and(|at| cx.now.mono.saturating_sub(at) < WAY_LIMIT);
        if self.serves() && self.raft.transferring().is_none() && !lately {
            self.gave_way = Some(cx.now.mono);
            // Without anybody else there is nothing to be done about it.
            let _answer = self.step_down(None, cx);
        }
    }

    /// Hands leadership to the member on `preferred`, or to one that lives: to the one that is furthest among those whose
    /// disks have room, if there are any.
    pub(crate) fn step_down(&mut self, preferred: Option<StoreId>, cx: &mut Cx) -> Answer {
        let no_peers = |why: &str| Answer::Error(ErrorKind::ClusterNoPeers.because(why));
        let membership = self.raft.membership();
        let me = self.raft.id();
        let alive = |r: &ReplicaId| membership.store_of(*r).is_some_and(|s| !cx.peers.is_dead(s));
        let to = match preferred {
            Some(store) if store == cx.store => {
                return no_peers("preferred server is already leader");
            }
            Some(store) => {
                let on = |r: &&ReplicaId| membership.store_of(**r) == Some(store);
                match membership.voters.iter().find(on) {
                    Some(replica) if alive(replica) => *replica,
                    Some(_) => return no_peers("preferred server is not connected"),
                    None => return no_peers("preferred server is not known"),
                }
            }
            None => {
                let others = membership.voters.iter().filter(|r| **r != me && alive(r));
                let matched = |r: &&ReplicaId| self.raft.progress(**r).map_or(0, |p| p.matched);
                let has_room =
                    |r: &ReplicaId| membership.store_of(*r).is_some_and(|s| cx.peers.has_room(s));
                match others.max_by_key(|r| (has_room(r), matched(r))) {
                    Some(replica) => *replica,
                    None => return no_peers("no replacement peer connected"),
                }
            }
        };
        match self.transfer(to, cx) {
            Ok(()) => Answer::Done,
            Err(_) => Answer::NotLeader,
        }
    }

    /// Who holds this group, as far as this member knows.
    pub(crate) fn cluster(&self, since: Option<Timestamp>, cx: &Cx) -> ClusterAnswer {
        let membership = self.raft.membership();
        let leader = self.leader_store();
        let member = |replica: ReplicaId| {
            let store = membership.store_of(replica)?;
            if Some(store) == leader {
                return None;
            }
            let offline = store != cx.store && cx.peers.is_dead(store);
            let progress = self.raft.progress(replica);
            let matched = match progress {
                Some(progress) => progress.matched,
                None if store == cx.store => self.raft.applied(),
                None => self.raft.commit(),
            };
            let lag = self.raft.last_index().saturating_sub(matched);
            let silent = cx.peers.silent_for(store, cx.now.mono);
            Some(MemberAnswer {
                store,
                current: !offline && matched >= self.raft.commit() && leader.is_some(),
                offline,
                lag,
                active: if store == cx.store { 0 } else { silent.unwrap_or(0) },
            })
        };
        ClusterAnswer {
            group: self.group,
            leader,
            leader_since: since.filter(|_| self.serves()),
            members: membership.all().filter_map(member).collect(),
        }
    }
}
