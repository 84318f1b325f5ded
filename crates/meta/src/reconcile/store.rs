//! What one store has to do about its replicas.

use std::collections::BTreeMap;

use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{GroupId, Membership, ReplicaId, StoreId};

use crate::asset::Incarnation;
use crate::standing::{LiveAsset, Standing};

/// A replica that has files on this store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalReplica {
    /// Its group.
    pub group: GroupId,
    /// Which replica of it.
    pub replica: ReplicaId,
    /// Of which life of the asset.
    pub incarnation: Incarnation,
}

/// A replica to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReplica {
    /// Who it is.
    pub local: LocalReplica,
    /// The configuration that its empty log starts from: the same for all replicas of the group.
    /// Who is not in it takes no part until the group's leader adds it.
    pub founding: Membership,
}

/// One thing to do on a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create this replica, with an empty log, and remember durably that it was.
    Create(NewReplica),
    /// Destroy this replica's files: the asset was deleted, or the replica is recorded as out of
    /// its group.
    Destroy(LocalReplica),
    /// Move this replica's files aside: meta, which is current, has never heard of them.
    Quarantine(LocalReplica),
    /// Tell meta that nothing is left of this replica
    /// ([`Command::ConfirmDestroyed`](crate::Command)).
    Confirm {
        /// Its group.
        group: GroupId,
        /// Which replica of it.
        replica: ReplicaId,
    },
    /// This replica was created once and is gone. It must never begin anew under its id, having
    /// forgotten what it promised: the meta leader has to give its seat to a fresh one.
    Missing {
        /// Its group.
        group: GroupId,
        /// Which replica of it.
        replica: ReplicaId,
    },
}

/// Compares one store, or a share of its groups, with what meta decided.
#[derive(Clone, Copy)]
pub struct StoreReconciler<'a> {
    /// This store.
    pub store: StoreId,
    /// Whether a replica was created on this store once, be it here or not.
    ///
    /// Ids grow in the order of the log, and the creations of one slot are carried out in that order: an id at or
    /// below the highest one created in its slot was created.
    pub was_created: &'a dyn Fn(GroupId, ReplicaId) -> bool,
    /// Whether what this server knows of meta contains every command committed before now (by a read
    /// index, say). One that lags, after a restart, knows less than the files do.
    pub meta_current: bool,
}

impl StoreReconciler<'_> {
    /// Everything to do, in the order in which to do it. `standings` are all that concern the store. The meta group's own
    /// replica is not an asset and is left alone.
    #[must_use]
    pub fn all(
        &self,
        standings: &BTreeMap<GroupId, Standing>,
        local: &[LocalReplica],
    ) -> Vec<Action> {
        let standings = standings.iter().map(|(group, standing)| (*group, standing));
        let mut unknown = Vec::new();
        let mut actions = self.compare(standings, local, |others| unknown.extend(others));
        self.put_aside(&unknown, &mut actions);
        actions
    }

    /// What there is to do about some groups, in ascending order, of which `local` are the replicas here; in the order in which
    /// to do it.
    pub fn some<'s>(
        &self,
        standings: impl IntoIterator<Item = (GroupId, &'s Standing)>,
        local: &[LocalReplica],
    ) -> Vec<Action> {
        self.compare(standings, local, |_| {})
    }

    /// Creations come first, in ascending order of replicas: one that is created, or confirmed as absent, before one with a
    /// lower id is created would let that one pass for created.
    fn compare<'s>(
        &self,
        standings: impl IntoIterator<Item = (GroupId, &'s Standing)>,
        local: &[LocalReplica],
        mut unknown: impl FnMut(&[LocalReplica]),
    ) -> Vec<Action> {
        let mut local: Vec<_> =
            local.iter().filter(|r| r.group != GroupId::META).copied().collect();
        local.sort_unstable();
        let mut rest = &local[..];
        let mut actions = Vec::new();
        for (group, standing) in standings {
            let others = rest.partition_point(|r| r.group < group);
            unknown(&rest[..others]);
            rest = &rest[others..];
            let here = rest.partition_point(|r| r.group == group);
            self.group(group, standing, &rest[..here], &mut actions);
            rest = &rest[here..];
        }
        unknown(rest);
        actions.sort_by_key(|action| match action {
            Action::Create(new) => (false, new.local.replica),
            _ => (true, ReplicaId::NONE),
        });
        actions
    }

    fn group(
        &self,
        group: GroupId,
        standing: &Standing,
        local: &[LocalReplica],
        actions: &mut Vec<Action>,
    ) {
        match standing {
            Standing::Live(asset) => self.live(asset, local, actions),
            Standing::Deleted(tombstone) => {
                let (deleted, others): (Vec<&LocalReplica>, Vec<_>) =
                    local.iter().partition(|r| r.incarnation == tombstone.incarnation);
                actions.extend(deleted.into_iter().map(|r| Action::Destroy(*r)));
                self.put_aside(others, actions);
                let waiting = tombstone.holders.iter().filter(|(_, store)| **store == self.store);
                for (&replica, _) in
                    waiting.filter(|(replica, _)| local.iter().all(|r| r.replica != **replica))
                {
                    actions.push(Action::Confirm { group, replica });
                }
            }
            Standing::Unknown => self.put_aside(local, actions),
        }
    }

    fn live(&self, asset: &LiveAsset, local: &[LocalReplica], actions: &mut Vec<Action>) {
        let group = &asset.group;
        let is_here = |replica| local.iter().any(|r| r.replica == replica);
        for member in group.needed_on(self.store).filter(|m| !is_here(m.replica)) {
            let (id, replica, incarnation) = (group.id, member.replica, group.incarnation);
            if !(self.was_created)(id, replica) {
                let local = LocalReplica { group: id, replica, incarnation };
                actions.push(Action::Create(NewReplica {
                    local,
                    founding: group.founding_membership(),
                }));
            } else if self.meta_current && group.desires(replica) {
                actions.push(Action::Missing { group: id, replica });
            }
        }
        for replica in local {
            if replica.incarnation != group.incarnation {
                self.put_aside([replica], actions);
            } else if asset.excludes(replica.replica) {
                actions.push(Action::Destroy(*replica));
            }
        }
        for member in group.former.iter().filter(|m| m.store == self.store) {
            if asset.excludes(member.replica) && !is_here(member.replica) {
                actions.push(Action::Confirm { group: group.id, replica: member.replica });
            }
        }
    }

    fn put_aside<'r>(
        &self,
        replicas: impl IntoIterator<Item = &'r LocalReplica>,
        actions: &mut Vec<Action>,
    ) {
        if self.meta_current || is_on(Mutation::PutAsideWhileBehind) {
            actions.extend(replicas.into_iter().map(|r| Action::Quarantine(*r)));
        }
    }
}

#[cfg(test)]
mod tests;
