//! What is wanted against what is here: replicas are created, destroyed and put aside as the meta machine says.

use std::collections::BTreeSet;

use flotilla_disk::StoreError;
use flotilla_meta::reconcile::StoreReconciler;
use flotilla_meta::{Action, Incarnation, LocalReplica, NewReplica};
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{GroupId, ReplicaId};

use super::own_calls::OwnCall;
use super::{Ended, Left, Shard};
use crate::asset::{AssetKind, AssetRecord};
use crate::notice::Notice;
use crate::request::MetaRequest;
use crate::standings::Standings;
use crate::time::SECOND;
use crate::turn::After;

/// How often everything is compared, whatever happened.
const SWEEP: u64 = 5 * SECOND;

impl Shard {
    /// Compares and acts. Called at the end of a turn, when all that is committed is applied.
    pub(super) fn reconcile(&mut self) {
        let sweep = self.cx.now.mono >= self.next_sweep;
        if sweep {
            self.next_sweep = self.cx.now.mono + SWEEP;
            self.keep_lost();
            self.forget_lost();
            self.forget_early();
            self.report_lost();
        }
        if self.known.through().is_none() {
            return;
        }
        self.confirm_barrier();
        let changed = std::mem::take(&mut self.changed);
        if std::mem::take(&mut self.reconcile_all) || sweep {
            let actions = self.compare(None);
            self.waiting.clear();
            self.act(actions);
            let (replicas, ended) = (&self.replicas, &self.ended);
            let is_here = |g: GroupId| replicas.get(g).is_some() || ended.contains_key(&g);
            self.known.forget(self.cx.store, is_here);
            if self.meta_current_at.is_none() {
                self.ask_barrier();
            }
        } else if !changed.is_empty() {
            let actions = self.compare(Some(&changed));
            self.act(actions);
        }
        for group in changed {
            self.wake(group);
        }
        self.tend_led();
        self.confirm_destroyed();
    }

    /// Meta decided something.
    pub(super) fn take_standings(&mut self, standings: &Standings) {
        let changed = self.known.learn(standings, self.share);
        self.changed.extend(changed);
        self.reconcile_all |= standings.is_whole();
        // The meta leader may have something to do about it.
        if self.replicas.meta.is_some() {
            self.dirty.insert(GroupId::META);
        }
    }

    fn compare(&self, groups: Option<&BTreeSet<GroupId>>) -> Vec<Action> {
        let was_created = |group: GroupId, replica| {
            let created = self.forgetful.is_some() || replica <= self.created.get(group.slot());
            created && !is_on(Mutation::CreatedAgain)
        };
        let reconciler = StoreReconciler {
            store: self.cx.store,
            was_created: &was_created,
            meta_current: self.meta_current_at.is_some(),
        };
        match groups {
            None => {
                let groups = self.replicas.groups().chain(self.mending.keys().copied());
                let groups = groups.chain(self.ended.keys().copied());
                let local: Vec<_> = groups.filter_map(|g| self.local(g)).collect();
                reconciler.all(self.known.groups(), &local)
            }
            Some(groups) => {
                let local: Vec<_> = groups.iter().filter_map(|group| self.local(*group)).collect();
                let standings = groups.iter().map(|group| (*group, self.known.standing(*group)));
                reconciler.some(standings, &local)
            }
        }
    }

    /// The replica of a group that the log has, of whatever use it is.
    pub(super) fn local(&self, group: GroupId) -> Option<LocalReplica> {
        let (replica, incarnation) = if let Some(stream) = self.replicas.streams.get(&group) {
            (stream.raft.id(), stream.incarnation)
        } else if let Some(consumer) = self.replicas.consumers.get(&group) {
            (consumer.raft.id(), consumer.incarnation)
        } else if let Some(mending) = self.mending.get(&group) {
            (mending.replica(), mending.incarnation())
        } else {
            let ended = self.ended.get(&group)?;
            (ended.replica, ended.left.incarnation()?)
        };
        let mut incarnation = Incarnation(incarnation);
        if incarnation == Incarnation::default() {
            // What the log said is lost; a replica is of one life only.
            incarnation = self.known.incarnation_of(group, replica).unwrap_or_default();
        }
        Some(LocalReplica { group, replica, incarnation })
    }

    fn act(&mut self, actions: Vec<Action>) {
        let mut missed = false;
        for action in actions {
            match action {
                Action::Create(new) => self.create_asset(&new),
                Action::Destroy(local) => self.destroy(local),
                Action::Quarantine(local) => {
                    let LocalReplica { group, replica, .. } = local;
                    if self.replicas.get(group).is_some() {
                        self.cx.notice(Notice::Quarantined { group, replica });
                        self.end(group, "the cluster does not know it; its files are kept");
                    }
                }
                // One whose end is not on stable storage could come back, when nobody knows of it any more.
                Action::Confirm { replica, .. }
                    if self.ending.contains(&replica) && !is_on(Mutation::ConfirmedBeforeSync) => {}
                Action::Confirm { group, replica } => self.confirm_absent(group, replica),
                Action::Missing { group, replica } => missed |= self.miss(group, replica),
            }
        }
        if missed {
            self.report_lost();
        }
    }

    /// A replica was created here, and is not here. Returns whether that is new.
    fn miss(&mut self, group: GroupId, replica: ReplicaId) -> bool {
        let before = self.ended.get(&group).map(|ended| (ended.replica, ended.lost));
        if before.is_some_and(|(before, _)| before == replica) {
            return false;
        }
        // What is left of an earlier one goes first, while it is known. It is excluded, or its seat was given away.
        if before.is_some_and(|(before, lost)| lost && before < replica)
            && let Some(left) = self.local(group)
        {
            self.destroy(left);
        }
        let gone = self.local(group).is_none();
        if gone {
            self.lose(group, replica, "nothing of it is here any more", Left::Nothing);
        }
        gone
    }

    fn create_asset(&mut self, new: &NewReplica) {
        let LocalReplica { group, replica, incarnation } = new.local;
        let slot = group.slot();
        if let Some(Ended { replica: before, lost, .. }) = self.ended.get(&group) {
            if !lost || *before >= replica {
                return;
            }
            // Meta has given its seat away. What is left of it could not even vote.
            match self.local(group) {
                Some(left) => self.destroy(left),
                None => drop(self.ended.remove(&group)),
            }
        }
        // In order: if a later one were created first, this one would pass for created, too.
        let before = (slot, ReplicaId::NONE)..(slot, replica);
        // Nor while another replica of the group is here, or its files are: that one goes first.
        let is_taken = self.replicas.get(group).is_some() && !is_on(Mutation::BegunOverAnother);
        if self.files.is_leaving(group) || is_taken || self.waiting.range(before).next().is_some() {
            self.waiting.insert((slot, replica));
            return;
        }
        self.waiting.remove(&(slot, replica));
        let Some(asset) = self.known.live(group) else { return };
        let preferred = asset.group.preferred == self.cx.store;
        let Some(kind) = AssetKind::of(asset) else { return };
        let record = AssetRecord { founding: new.founding.clone(), kind };
        if let Err(reason) = self.create(group, replica, incarnation.0, &record) {
            self.cx.notice(Notice::Text(format!("group {group} cannot be created here: {reason}")));
            // The log has it if it was asked to create it: that is to be waited for.
            let logged = After::Create { group, replica };
            let logged = self.cx.after.contains(&logged);
            let left = if logged { Left::InLog(incarnation.0) } else { Left::Nothing };
            self.ended.insert(group, Ended { reason, replica, lost: false, left });
            return;
        }
        if let Some(replica) = self.replicas.get_mut(group).filter(|_| preferred) {
            replica.be_eager(2, &mut self.cx);
            // Who has asked for its vote already may lead by now.
            let is_first = !self.early.contains_key(&group);
            let raft = replica.raft_mut();
            let campaigned = if is_first { raft.found() } else { raft.campaign() };
            self.check(group, campaigned.map(drop));
        }
        self.dirty.insert(group);
        self.hear_early(group);
    }

    fn destroy(&mut self, local: LocalReplica) {
        // It may have given way to its successor a moment ago.
        if self.local(local.group).is_none_or(|here| here.replica != local.replica) {
            return;
        }
        let LocalReplica { group, replica, .. } = local;
        // That it was created is remembered before its end is written. If the creation got lost all the same, all that were
        // created with it would pass for lost replicas. It will be looked at again when the creation is durable.
        if replica > self.durable.get(group.slot()) {
            return;
        }
        if let Err(error) = self.remember_created(group, replica) {
            self.cx.notice(Notice::Text(format!("the store file cannot be written: {error}")));
            return;
        }
        if let Some(consumer) = self.replicas.consumers.get_mut(&group) {
            consumer.deleted(&mut self.cx);
        }
        self.cx.wal.destroy(group, replica);
        self.ending.insert(replica);
        self.cx.after.push(After::Destroy { group, replica });
        // Of one that ended it is not known whether it was a stream.
        if !self.replicas.consumers.contains_key(&group) {
            self.files.leave(group);
        }
        self.replicas.remove(group, &mut self.cx);
        self.ended.remove(&group);
        self.mending.remove(&group);
        self.repairs_of.remove(&group);
        self.catchup.remove(&group);
    }

    /// Meta may forget a replica that is not here. If it never was, it must not be created later, either: the next life may
    /// begin with less of meta than this one knows, and find it wanted.
    fn confirm_absent(&mut self, group: GroupId, replica: ReplicaId) {
        let slot = group.slot();
        if replica > self.created.get(slot) {
            // It would make others of its slot pass for created that are not, or may yet get lost. It is looked at again.
            let waiting = self.waiting.range((slot, ReplicaId::NONE)..).next();
            let waits = waiting.is_some_and(|(other, _)| *other == slot);
            if waits || self.created.get(slot) != self.durable.get(slot) {
                self.unconfirmed = true;
                return;
            }
            if let Err(error) = self.remember_created(group, replica) {
                self.cx.notice(Notice::Text(format!("the store file cannot be written: {error}")));
                return;
            }
            self.created.raise(slot, replica);
            self.durable.raise(slot, replica);
        }
        self.destroyed.push((group, replica));
    }

    /// The log forgets the replica now; that it was created must not be forgotten with it. What goes with it into the
    /// record saves later updates; a creation that may yet get lost must not, or its replica would be taken for lost.
    fn remember_created(&mut self, group: GroupId, replica: ReplicaId) -> Result<(), StoreError> {
        let durable = self.durable.clone();
        self.update_store(|record| {
            if record.created.get(group.slot()) < replica {
                record.created.raise_all(&durable);
                record.created.raise(group.slot(), replica);
            }
        })
    }

    /// Tells meta which replicas are gone for good.
    fn confirm_destroyed(&mut self) {
        let busy = self.own_calls.values().any(|c| *c == OwnCall::Confirm);
        if self.destroyed.is_empty() || busy {
            return;
        }
        let mut replicas = std::mem::take(&mut self.destroyed);
        replicas.sort_unstable();
        replicas.dedup();
        let store = self.cx.store;
        let request = MetaRequest::ConfirmDestroyed { store, replicas };
        self.call_meta(OwnCall::Confirm, request);
    }
}
