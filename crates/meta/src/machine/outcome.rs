//! What applying a command leads to.

use flotilla_raft::{GroupId, ReplicaId, StoreId};
use flotilla_stream::Timestamp;
use xxhash_rust::xxh3::Xxh3;

use super::Meta;
use crate::asset::{Asset, AssetGroup, AssetName, Incarnation};
use crate::error::MetaError;

/// What one command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For whoever proposed it.
    pub reply: Reply,
    /// For the reconcilers of every server.
    pub deltas: Vec<Delta>,
}

/// The answer to the proposer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The server is a member with this replica of the meta group.
    Registered(ReplicaId),
    /// The asset was created.
    Created(AssetRef),
    /// It exists with this very configuration.
    Exists(AssetRef),
    /// Its configuration was changed.
    Updated(AssetRef),
    /// It is deleted.
    Deleted(AssetRef),
    /// Done; there is nothing to tell.
    Done,
    /// Nothing was done.
    Error(MetaError),
}

/// One life of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AssetRef {
    /// Its group.
    pub group: GroupId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// When it was created.
    pub created: Timestamp,
}

impl AssetRef {
    pub(super) fn new(group: &AssetGroup, created: Timestamp) -> Self {
        Self { group: group.id, incarnation: group.incarnation, created }
    }
}

impl From<Asset<'_>> for AssetRef {
    fn from(asset: Asset<'_>) -> Self {
        Self::new(asset.group(), asset.created())
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delta {
    /// A server joined, changed or was removed: the meta group's members may have to follow, and
    /// with a removal the members of assets.
    Server(StoreId),
    /// An asset.
    Asset {
        /// What about it.
        change: AssetChange,
        /// Its group.
        group: GroupId,
        /// Its name.
        name: AssetName,
        /// The stores that hold, held or shall hold a replica.
        stores: Vec<StoreId>,
    },
    /// A store has nothing left of a replica that is out of this group, or whose asset is gone: it is not waited for.
    Confirmed {
        /// The group.
        group: GroupId,
        /// The store.
        store: StoreId,
    },
}

/// What changed about an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetChange {
    /// It is new: its stores create their replicas.
    Created,
    /// Its configuration: its leader tells the asset's own machine.
    Config,
    /// Its desired members: new stores create replicas, the leader takes steps.
    Members,
    /// Its actual members: stores that are out destroy their replicas.
    Reported,
    /// It is gone: its stores destroy their replicas.
    Deleted,
}

impl Delta {
    pub(super) fn asset<'a>(
        change: AssetChange,
        group: GroupId,
        name: AssetName,
        stores: impl IntoIterator<Item = &'a StoreId>,
    ) -> Self {
        let mut stores: Vec<_> = stores.into_iter().copied().collect();
        stores.sort_unstable();
        stores.dedup();
        Self::Asset { change, group, name, stores }
    }

    /// Whether the server with `store` has anything to do for it.
    #[must_use]
    pub fn concerns(&self, store: StoreId) -> bool {
        match self {
            Self::Server(_) => true,
            Self::Asset { stores, .. } => stores.contains(&store),
            Self::Confirmed { store: confirmed, .. } => *confirmed == store,
        }
    }
}

/// The running hash after `command`. It covers the command and the ids and members that came of it,
/// so that two machines that decide differently disagree at once; it does not cover the texts of
/// errors, which may differ between versions.
pub(super) fn fold(previous: u64, command: &[u8], outcome: &Outcome, meta: &Meta) -> u64 {
    let mut hash = Xxh3::with_seed(previous);
    let mut number = |n: u64| hash.update(&n.to_le_bytes());
    number(meta.time.0.cast_unsigned());
    number(meta.last_group.0);
    number(meta.last_replica.0);
    number(u64::from(matches!(outcome.reply, Reply::Error(_))));
    for delta in &outcome.deltas {
        match delta {
            Delta::Server(store) => {
                number(store.0);
                number(meta.server(*store).map_or(0, |s| s.replica.0));
                number(u64::from(meta.is_member(*store)));
            }
            Delta::Confirmed { group, store } => {
                number(group.0);
                number(store.0);
            }
            Delta::Asset { change, group, stores, .. } => {
                number(*change as u64);
                number(group.0);
                stores.iter().for_each(|s| number(s.0));
                if let Some(asset) = meta.asset(*group) {
                    let group = asset.group();
                    number(group.epoch);
                    number(group.actual.index);
                    group.desired.iter().for_each(|m| number(m.replica.0));
                }
            }
        }
    }
    hash.update(command);
    hash.digest()
}
