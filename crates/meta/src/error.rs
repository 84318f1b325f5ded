//! Why a command of the meta machine is refused, with the API error code that says so to a client.

use flotilla_raft::{GroupId, ReplicaId, StoreId};
use serde::{Deserialize, Serialize};

use crate::placement::NoPeers;

/// Why nothing was done. The text is the one that NATS clients know where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum MetaError {
    /// 10058.
    #[error("stream name already in use with a different configuration")]
    StreamNameExist,
    /// 10065.
    #[error("subjects overlap with an existing stream")]
    SubjectOverlap {
        /// The subject asked for.
        subject: String,
        /// The stream that has it already.
        stream: String,
        /// That stream's subject.
        existing: String,
    },
    /// 10059.
    #[error("stream not found")]
    StreamNotFound,
    /// 10052: a field that cannot change, in the reference server's words.
    #[error("{0}")]
    StreamNotUpdatable(String),
    /// 10027.
    #[error("maximum number of streams reached")]
    MaximumStreams,
    /// 10123.
    #[error("can not move and scale a stream in a single update")]
    MoveAndScale,
    /// 10124: the last change of members is not done and reported.
    #[error("stream move already in progress: {0}")]
    MoveInProgress(String),
    /// 10014.
    #[error("consumer not found")]
    ConsumerNotFound,
    /// 10148.
    #[error("consumer already exists")]
    ConsumerAlreadyExists,
    /// 10149.
    #[error("consumer does not exist")]
    ConsumerDoesNotExist,
    /// 10013: an ephemeral consumer would take a durable one's name, or the reverse.
    #[error("consumer name already in use")]
    ConsumerNameExist,
    /// 10012: a field that cannot change, in the reference server's words.
    #[error("{0} can not be updated")]
    ConsumerNotUpdatable(String),
    /// 10026.
    #[error("maximum consumers limit reached")]
    MaximumConsumers,
    /// 10099.
    #[error("multiple non-filtered consumers not allowed on workqueue stream")]
    WorkQueueMultipleUnfiltered,
    /// 10100.
    #[error("filtered consumer not unique on workqueue stream")]
    WorkQueueConsumerNotUnique,
    /// 10126.
    #[error("consumer config replica count exceeds parent stream")]
    ConsumerReplicasExceedStream,
    /// 10134.
    #[error("consumer config replicas must match interest retention stream's replicas")]
    ConsumerReplicasShouldMatchStream,
    /// 10005.
    #[error(transparent)]
    NoPeers(#[from] NoPeers),
    /// 10047: the one server that there is has no room on its disk.
    #[error("insufficient storage resources available")]
    NoStorage,
    /// 10040.
    #[error("peer not a member")]
    PeerNotMember,
    /// 10044.
    #[error("server is not a member of the cluster")]
    ServerNotMember,
    /// 10075: no server can take the place of the one removed.
    #[error("peer remap failed")]
    PeerRemap,
    /// 10008: the state moved on since the leader planned this; it should plan again and propose
    /// again.
    #[error("the plan is out of date: {0}")]
    Stale(Stale),
    /// 10008: the store was removed from the cluster; its server has to be restarted to come back.
    #[error("store {0} was removed from this cluster; restart its server to register it anew")]
    ServerRemoved(StoreId),
    /// 10008: another member bears this name.
    #[error("server name {name:?} belongs to store {store}; give every server its own server_name")]
    ServerNameTaken {
        /// The name.
        name: String,
        /// Who has it.
        store: StoreId,
    },
    /// 10008: a store asked for a replica of the meta group, and was given another one since.
    #[error("store {store} was given replica {replica} of the meta group since it asked")]
    RenewedSince {
        /// The store.
        store: StoreId,
        /// What it was given.
        replica: ReplicaId,
    },
    /// 10008: the last member cannot be removed.
    #[error("store {0} is the last member of the cluster and cannot be removed")]
    LastServer(StoreId),
}

/// What a plan did not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Stale {
    /// The group is gone.
    #[error("group {0} does not exist")]
    NoGroup(GroupId),
    /// Its members were changed by another command.
    #[error("group {group} is at epoch {epoch}, the plan at {planned}")]
    Epoch {
        /// The group.
        group: GroupId,
        /// Where it is.
        epoch: u64,
        /// Where the plan thought it was.
        planned: u64,
    },
    /// A chosen store takes no assets.
    #[error("store {0} takes no assets")]
    Store(StoreId),
    /// A chosen store does not hold the consumer's stream.
    #[error("store {store} does not hold the stream of consumer group {group}")]
    OutsideStream {
        /// The consumer's group.
        group: GroupId,
        /// The store.
        store: StoreId,
    },
    /// A replica to keep is neither desired nor in the actual configuration.
    #[error("replica {replica} has no seat in group {group}")]
    NoSeat {
        /// The group.
        group: GroupId,
        /// The replica.
        replica: ReplicaId,
    },
    /// Two seats on one store.
    #[error("store {store} is chosen twice for group {group}")]
    StoreTwice {
        /// The group; 0 for one that is not created yet.
        group: GroupId,
        /// The store.
        store: StoreId,
    },
    /// Another number of members than the configuration says.
    #[error("{given} members are chosen, the configuration wants {wanted}")]
    Count {
        /// How many were chosen.
        given: usize,
        /// How many it should be.
        wanted: usize,
    },
    /// The configuration changed under an update that would need new members.
    #[error("the update needs another change of members than the one planned")]
    Update,
}

impl MetaError {
    /// The `err_code` of the JetStream API; its text and HTTP code are in the API's error table.
    #[must_use]
    pub fn err_code(&self) -> u16 {
        match self {
            Self::StreamNameExist => 10058,
            Self::SubjectOverlap { .. } => 10065,
            Self::StreamNotFound => 10059,
            Self::StreamNotUpdatable(_) => 10052,
            Self::MaximumStreams => 10027,
            Self::MoveAndScale => 10123,
            Self::MoveInProgress(_) => 10124,
            Self::ConsumerNotFound => 10014,
            Self::ConsumerAlreadyExists => 10148,
            Self::ConsumerDoesNotExist => 10149,
            Self::ConsumerNameExist => 10013,
            Self::ConsumerNotUpdatable(_) => 10012,
            Self::MaximumConsumers => 10026,
            Self::WorkQueueMultipleUnfiltered => 10099,
            Self::WorkQueueConsumerNotUnique => 10100,
            Self::ConsumerReplicasExceedStream => 10126,
            Self::ConsumerReplicasShouldMatchStream => 10134,
            Self::NoPeers(_) => 10005,
            Self::NoStorage => 10047,
            Self::PeerNotMember => 10040,
            Self::ServerNotMember => 10044,
            Self::PeerRemap => 10075,
            Self::Stale(_)
            | Self::ServerRemoved(_)
            | Self::ServerNameTaken { .. }
            | Self::RenewedSince { .. }
            | Self::LastServer(_) => 10008,
        }
    }

    /// Whether the leader should plan again from its present state and propose again, before it
    /// answers anybody.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale(_))
    }
}

impl From<Stale> for MetaError {
    fn from(stale: Stale) -> Self {
        Self::Stale(stale)
    }
}
