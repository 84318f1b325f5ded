//! The servers of a cluster, as the meta machine knows them.

use flotilla_raft::{ReplicaId, StoreId};
use flotilla_stream::Timestamp;
use serde::{Deserialize, Serialize};

/// One cluster: random, chosen with the first configuration, carried by every store that joined. 0
/// is none yet.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ClusterId(pub u64);

impl std::fmt::Display for ClusterId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a server allows to be put on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLimits {
    /// Whether it takes assets at all. A server without JetStream is no member of the meta group
    /// either.
    pub jetstream: bool,
    /// `max_file_store`, in bytes; `None` is unlimited.
    #[serde(default)]
    pub max_file_store: Option<u64>,
    /// `max_memory_store`, in bytes; `None` is unlimited.
    #[serde(default)]
    pub max_memory_store: Option<u64>,
    /// `limits.max_ha_assets`: the most replicas of assets with more than one.
    #[serde(default)]
    pub max_ha_assets: Option<u32>,
}

/// One server that has, or had, a store in this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Its store, which is its identity.
    pub store: StoreId,
    /// `server_name`; unique among members.
    pub name: String,
    /// `cluster.name`.
    pub cluster: String,
    /// `server_tags`.
    pub tags: Vec<String>,
    /// What it allows.
    pub limits: PeerLimits,
    /// Its replica of the meta group.
    pub replica: ReplicaId,
    /// The loss that the last new replica was given for; see [`Command::RenewReplica`](crate::Command).
    #[serde(default)]
    pub renewed: u64,
    /// When it registered.
    pub joined: Timestamp,
    /// Whether it still belongs.
    pub state: ServerState,
}

/// Whether a server belongs to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerState {
    /// It does.
    Member,
    /// It was removed, for ever unless it registers again on purpose: its replicas count as lost.
    Removed {
        /// When.
        at: Timestamp,
        /// The store that took over its name, when it was not an operator who removed it.
        successor: Option<StoreId>,
    },
}

impl Server {
    /// Whether it belongs to the cluster.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.state == ServerState::Member
    }

    /// Whether assets may be put on it.
    #[must_use]
    pub fn takes_assets(&self) -> bool {
        self.is_member() && self.limits.jetstream
    }
}
