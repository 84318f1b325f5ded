//! What meta decided for this store, on its way from the shard that has the meta group's replica to all of them.

use std::collections::BTreeMap;

use flotilla_meta::{AssetChange, Delta, Incarnation, LiveAsset, Standing};
use flotilla_raft::{GroupId, ReplicaId, StoreId};

use crate::meta::MetaMachine;
use crate::replica::Replica;
use crate::share::Share;

/// How groups stand with meta, as far as they concern this store.
#[derive(Clone, Debug, PartialEq)]
pub struct Standings {
    /// Everything up to this index of meta's log is said.
    through: u64,
    /// Whether these are all that concern this store, and not only what changed.
    whole: bool,
    groups: BTreeMap<GroupId, Standing>,
}

impl Standings {
    /// Whether what is not said here is of no concern to this store.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }
}

impl Replica<MetaMachine> {
    /// What was decided since the last call, and which configurations that changed. An index that decides nothing
    /// counts too: who waits for it would wait for ever.
    pub(crate) fn take_standings(&mut self, store: StoreId) -> (Option<Standings>, Vec<GroupId>) {
        let through = self.raft.applied();
        let machine = &mut self.machine;
        let deltas = std::mem::take(&mut machine.deltas);
        let whole = std::mem::take(&mut machine.replaced);
        if !whole && deltas.is_empty() && through == machine.said {
            return (None, Vec::new());
        }
        machine.said = through;
        // A new asset has all its members; who made others for its stream meanwhile said so.
        let is_new = |delta: &Delta| {
            matches!(
                delta,
                Delta::Asset { change: AssetChange::Created | AssetChange::Deleted, .. }
            )
        };
        if !deltas.iter().all(is_new) {
            machine.steward.begin();
        } else if !deltas.is_empty() {
            machine.steward.look_in_time();
        }
        let mut reconfigured = Vec::new();
        let mut groups = if whole { machine.meta.standings(store) } else { BTreeMap::new() };
        for delta in deltas {
            let group = match &delta {
                Delta::Server(_) => continue,
                Delta::Asset { group, .. } | Delta::Confirmed { group, .. } => *group,
            };
            // One that is deleted listens to nothing any more, before anybody is told that it is.
            if let Delta::Asset { change: AssetChange::Config | AssetChange::Deleted, .. } = delta {
                reconfigured.push(group);
            }
            if delta.concerns(store) && !whole {
                groups.insert(group, machine.meta.standing(group));
            }
        }
        (Some(Standings { through, whole, groups }), reconfigured)
    }
}

/// What a shard knows of it.
#[derive(Debug, Default)]
pub(crate) struct Known {
    through: Option<u64>,
    groups: BTreeMap<GroupId, Standing>,
}

impl Known {
    /// Takes in what is said of the groups of `share`. Returns those of which it is new.
    pub(crate) fn learn(&mut self, standings: &Standings, share: Share) -> Vec<GroupId> {
        self.through = Some(standings.through);
        let ours = standings.groups.iter().filter(|(group, _)| share.holds(**group));
        let news =
            ours.clone().filter(|(group, standing)| self.groups.get(group) != Some(standing));
        let mut changed: Vec<GroupId> = news.map(|(group, _)| *group).collect();
        if standings.whole {
            let gone = self.groups.keys().filter(|group| !standings.groups.contains_key(group));
            changed.extend(gone);
            self.groups.clear();
        }
        self.groups.extend(ours.map(|(group, standing)| (*group, standing.clone())));
        changed
    }

    /// Forgets what is of no concern any more: nothing of it is wanted here, and nothing is left.
    pub(crate) fn forget(&mut self, store: StoreId, is_here: impl Fn(GroupId) -> bool) {
        self.groups.retain(|group, standing| standing.concerns(store) || is_here(*group));
    }

    /// How far meta's log is known; `None` before anything is.
    pub(crate) fn through(&self) -> Option<u64> {
        self.through
    }

    /// All that concern this store, and perhaps some that did.
    pub(crate) fn groups(&self) -> &BTreeMap<GroupId, Standing> {
        &self.groups
    }

    /// How a group stands.
    pub(crate) fn standing(&self, group: GroupId) -> &Standing {
        self.groups.get(&group).unwrap_or(&Standing::Unknown)
    }

    /// Of which life of its asset a replica is, if meta knows it.
    pub(crate) fn incarnation_of(&self, group: GroupId, replica: ReplicaId) -> Option<Incarnation> {
        let (holders, incarnation) = match self.standing(group) {
            Standing::Live(asset) => (asset.group.holders(), asset.group.incarnation),
            Standing::Deleted(tombstone) => (tombstone.holders.clone(), tombstone.incarnation),
            Standing::Unknown => return None,
        };
        holders.contains_key(&replica).then_some(incarnation)
    }

    /// Every replica that meta ever put on `store` and that is not confirmed to be gone.
    pub(crate) fn replicas_on(&self, store: StoreId) -> impl Iterator<Item = (GroupId, ReplicaId)> {
        self.groups.iter().flat_map(move |(group, standing)| {
            let holders = match standing {
                Standing::Live(asset) => asset.group.holders(),
                Standing::Deleted(tombstone) => tombstone.holders.clone(),
                Standing::Unknown => BTreeMap::new(),
            };
            let here = holders.into_iter().filter(move |(_, on)| *on == store);
            here.map(|(replica, _)| (*group, replica))
        })
    }

    /// The asset of a group, if it lives.
    pub(crate) fn live(&self, group: GroupId) -> Option<&LiveAsset> {
        match self.standing(group) {
            Standing::Live(asset) => Some(asset),
            Standing::Deleted(_) | Standing::Unknown => None,
        }
    }
}
