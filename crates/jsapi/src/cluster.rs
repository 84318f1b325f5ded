//! Where an asset's replicas are and how they are, and the requests that move leaders and peers.

use serde::{Deserialize, Serialize};

use crate::omission::is_default;
use crate::time::Time;

/// The group behind a stream or a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterInfo {
    /// The cluster's name; none on a server without one.
    #[serde(skip_serializing_if = "is_default")]
    pub name: Option<String>,
    /// The name of the Raft group.
    #[serde(skip_serializing_if = "is_default")]
    pub raft_group: Option<String>,
    /// The server that leads; none during an election.
    #[serde(skip_serializing_if = "is_default")]
    pub leader: Option<String>,
    /// Since when.
    #[serde(skip_serializing_if = "is_default")]
    pub leader_since: Option<Time>,
    /// Whether the group's traffic is in the system account.
    #[serde(skip_serializing_if = "is_default")]
    pub system_account: bool,
    /// The account the group's traffic is in.
    #[serde(skip_serializing_if = "is_default")]
    pub traffic_account: Option<String>,
    /// All members but the leader.
    #[serde(skip_serializing_if = "is_default")]
    pub replicas: Vec<PeerInfo>,
}

/// A member that does not lead.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerInfo {
    /// Its server's name.
    pub name: String,
    /// Whether it holds everything the leader holds.
    pub current: bool,
    /// Whether its server is gone.
    #[serde(skip_serializing_if = "is_default")]
    pub offline: bool,
    /// How long ago it was heard of, in nanoseconds.
    pub active: u64,
    /// How many entries it is behind.
    #[serde(skip_serializing_if = "is_default")]
    pub lag: u64,
    /// Its id, for display and for requests: eight characters made from the server's name.
    pub peer: String,
}

/// Where replicas, or a leader, shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// The cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub cluster: String,
    /// Tags the servers have; with a leading `!`, tags they have not.
    #[serde(skip_serializing_if = "is_default")]
    pub tags: Vec<String>,
    /// The one server; only where a leader steps down.
    #[serde(skip_serializing_if = "is_default")]
    pub preferred: String,
}

/// The body of the three `LEADER.STEPDOWN` requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepDownRequest {
    /// Who shall lead instead.
    #[serde(skip_serializing_if = "is_default")]
    pub placement: Option<Placement>,
}

/// The body of `STREAM.PEER.REMOVE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerRemoveRequest {
    /// The server's name or id.
    pub peer: String,
}

/// The body of `SERVER.REMOVE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerRemoveRequest {
    /// The server's name.
    pub peer: String,
    /// The server's id; when given, the name does not count.
    #[serde(skip_serializing_if = "is_default")]
    pub peer_id: String,
}
