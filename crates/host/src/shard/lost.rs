//! Replicas that have forgotten what they promised: meta is told, until it has given their seats to others.

use std::sync::atomic::Ordering;

use flotilla_raft::{GroupId, ReplicaId};

use super::own_calls::{ASK_AGAIN, OwnCall};
use super::{Ended, Join, Left, Shard};
use crate::notice::Notice;
use crate::request::MetaRequest;

/// The most replicas that are set aside in one turn because they are lost.
const KEPT_AT_ONCE: usize = 16;

impl Shard {
    /// Ends a replica that has turned out to have forgotten what it promised. Its log is whole, as far as it tells: so this
    /// is kept before anybody hears of it. The next life would take part with it otherwise, or wait for a successor that
    /// this one has asked for.
    pub(super) fn end_lost(&mut self, group: GroupId, reason: &str) {
        self.end(group, &format!("it is lost: {reason}"));
        if let Some(Ended { left: Left::Known(remains), .. }) = self.ended.get_mut(&group) {
            remains.damage.get_or_insert_default().lost_hard_state = true;
            self.damages += 1;
            self.unkept.insert(group);
            self.next_sweep = self.cx.now.mono;
        }
    }

    /// Sets aside what is left of replicas that were found to be lost, some in each turn: the disk is written to meanwhile.
    pub(super) fn keep_lost(&mut self) {
        for group in self.unkept.iter().take(KEPT_AT_ONCE).copied().collect::<Vec<_>>() {
            if self.put_aside(group) {
                continue;
            }
            if self.ended.contains_key(&group) {
                self.next_sweep = self.cx.now.mono + ASK_AGAIN;
                return;
            }
            // It was destroyed meanwhile.
            self.unkept.remove(&group);
        }
        if !self.unkept.is_empty() {
            self.next_sweep = self.cx.now.mono;
        }
    }

    /// The next life will know it: meta may be told.
    pub(super) fn lost_for_good(&mut self, group: GroupId, replica: ReplicaId) {
        // Its place may be another one's by now.
        if let Some(ended) = self.ended.get_mut(&group).filter(|e| e.replica == replica) {
            ended.lost = true;
            self.report_lost();
        }
    }

    /// Reports what is lost here to the meta leader, whoever that is by now, and asks for what the store itself needs to
    /// take part again.
    pub(super) fn report_lost(&mut self) {
        if self.ended.get(&GroupId::META).is_some_and(|meta| meta.lost) {
            let renews = |call: &OwnCall| matches!(call, OwnCall::RenewAfter | OwnCall::Renew);
            let asking = self.own_calls.values().any(renews);
            if !asking && self.cluster().is_some() {
                self.call_meta(OwnCall::RenewAfter, MetaRequest::Ids);
            }
        }
        // Their successors must not pass for replicas of an earlier life: first it is asked which those may be.
        if self.forgetful.is_some() && self.given.is_none() {
            return;
        }
        let wanted = |group: GroupId, replica: ReplicaId| {
            self.known.live(group).is_some_and(|asset| asset.group.desires(replica))
        };
        let lost = self.ended.iter().filter(|(_, ended)| ended.lost);
        let lost = lost.map(|(group, ended)| (*group, ended.replica));
        let replicas: Vec<_> = lost.filter(|(group, replica)| wanted(*group, *replica)).collect();
        let asking = self.own_calls.values().any(|call| *call == OwnCall::ReportLost);
        if !replicas.is_empty() && !asking {
            self.call_meta(OwnCall::ReportLost, MetaRequest::ReportLost { replicas });
        }
    }

    /// Of what is gone without a trace nothing is to be said any more once meta has done with it.
    pub(super) fn forget_lost(&mut self) {
        if self.meta_current_at.is_none() {
            return;
        }
        let known = &self.known;
        self.ended.retain(|group, ended| {
            let gone = matches!(ended.left, Left::Nothing) && *group != GroupId::META;
            !gone || known.incarnation_of(*group, ended.replica).is_some()
        });
    }

    /// Asks for a new replica of the meta group. The request may be on its way when this life ends, and come after one of the
    /// next: so it says after which one it was made.
    pub(super) fn ask_renewal(&mut self, after: ReplicaId) {
        let request = MetaRequest::Renew { store: self.cx.store, loss: self.loss, after };
        self.call_meta(OwnCall::Renew, request);
    }

    /// The meta group has a new replica for this store: it begins anew, as when the store joined.
    pub(super) fn renew_meta(&mut self, join: &Join) {
        let Some(lost) = self.ended.remove(&GroupId::META) else { return };
        if lost.lost && lost.replica < join.replica {
            self.join(join);
        }
        if self.replicas.meta.is_none() {
            self.ended.insert(GroupId::META, lost);
        }
    }

    /// What is given to this store from now on was not created by an earlier life of it.
    pub(super) fn ask_ids(&mut self) {
        let asking = self.own_calls.values().any(|call| *call == OwnCall::Ids);
        if self.forgetful.is_some() && self.given.is_none() && !asking {
            self.call_meta(OwnCall::Ids, MetaRequest::Ids);
        }
    }

    /// The log may have forgotten replicas that it had created. Once meta is known as it is, everything that it put here
    /// before this life counts as created: what is not here is lost, and does not begin anew under its id.
    pub(super) fn recall_created(&mut self) {
        let (Some(given), Some(shards_left)) = (self.given, self.forgetful.clone()) else { return };
        if self.meta_current_at.is_none() {
            return;
        }
        let known = self.known.replicas_on(self.cx.store).filter(|(_, replica)| *replica <= given);
        let known: Vec<_> = known.collect();
        for (group, replica) in known {
            self.created.raise(group.slot(), replica);
        }
        let created = self.created.clone();
        // If the last two end at the same time, neither says so, and the next life asks once more.
        let is_last = shards_left.load(Ordering::Acquire) == 1;
        let updated = self.update_store(|record| {
            record.created.raise_all(&created);
            record.forgetful &= !is_last;
        });
        match updated {
            Ok(()) => {
                self.durable.clone_from(&self.created);
                self.forgetful = None;
                shards_left.fetch_sub(1, Ordering::AcqRel);
                self.reconcile_all = true;
            }
            Err(error) => {
                self.cx.notice(Notice::Text(format!("the store file cannot be written: {error}")));
            }
        }
    }
}
