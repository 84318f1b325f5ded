//! `/varz`: what a server is and does. Field names, their order and units are the reference's.

use std::collections::BTreeMap;

use flotilla_jsapi::Time;
use serde::Serialize;

use crate::jsz::{JetStreamConfig, JetStreamLimits, JetStreamStats, MetaCluster};
use crate::uptime::Uptime;

/// The answer to `/varz`. Counters are since the start of the process; durations are nanoseconds unless said
/// otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Varz {
    /// The server's id, made at its start.
    pub server_id: String,
    /// The server's name; its id when it was given none.
    pub server_name: String,
    /// The version of the NATS surface that is implemented.
    pub version: String,
    /// The protocol that is spoken with clients.
    pub proto: i64,
    /// The source revision.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub git_commit: String,
    /// The reference's compiler; here, as in `INFO`, which server this is.
    pub go: String,
    /// The host that clients reach.
    pub host: String,
    /// The port that clients reach.
    pub port: u16,
    /// Whether clients must say who they are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auth_required: bool,
    /// Whether clients must use TLS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_required: bool,
    /// Where else clients may connect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub connect_urls: Vec<String>,
    /// The most clients at a time.
    pub max_connections: u64,
    /// The most subscriptions of one client; left out when there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_subscriptions: Option<u64>,
    /// How often a silent client is asked whether it is there.
    pub ping_interval: u64,
    /// How many unanswered questions end a connection.
    pub ping_max: u32,
    /// The host of this very endpoint.
    pub http_host: String,
    /// The port of this very endpoint.
    pub http_port: u16,
    /// What paths of this endpoint begin with; always empty.
    pub http_base_path: String,
    /// The port of this endpoint over TLS, which is not there: 0.
    pub https_port: u16,
    /// Seconds that a client may take to say who it is.
    pub auth_timeout: f64,
    /// The most bytes of one protocol line.
    pub max_control_line: u64,
    /// The most bytes of one message.
    pub max_payload: u64,
    /// The most bytes that wait for one client.
    pub max_pending: u64,
    /// The cluster's routes.
    pub cluster: ClusterVarz,
    /// Gateways.
    pub gateway: NotConfigured,
    /// Leaf nodes.
    pub leaf: NotConfigured,
    /// MQTT.
    pub mqtt: NotConfigured,
    /// WebSocket.
    pub websocket: NotConfigured,
    /// JetStream.
    pub jetstream: JetStreamVarz,
    /// Seconds that a TLS handshake may take.
    pub tls_timeout: f64,
    /// How long a write to a client may take.
    pub write_deadline: u64,
    /// When the server started.
    pub start: Time,
    /// The present time.
    pub now: Time,
    /// How long the server has been running.
    pub uptime: Uptime,
    /// Resident memory in bytes.
    pub mem: u64,
    /// Processors that the server may use.
    pub cores: u64,
    /// Threads that carry the load.
    pub gomaxprocs: u64,
    /// Processor time in use, in percent of one processor.
    pub cpu: f64,
    /// Clients.
    pub connections: u64,
    /// Clients so far.
    pub total_connections: u64,
    /// Links to other servers.
    pub routes: u64,
    /// Other servers.
    pub remotes: u64,
    /// Leaf nodes.
    pub leafnodes: u64,
    /// Messages received, from clients and servers.
    pub in_msgs: u64,
    /// Bytes of them.
    pub in_bytes: u64,
    /// Messages sent, to clients and servers.
    pub out_msgs: u64,
    /// Bytes of them.
    pub out_bytes: u64,
    /// Connections that were closed because too much waited for them.
    pub slow_consumers: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Requests to this endpoint by path.
    pub http_req_stats: BTreeMap<&'static str, u64>,
    /// When the configuration was read.
    pub config_load_time: Time,
    /// The configuration, hashed; empty without a file.
    pub config_digest: String,
    /// The server's tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The system account.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system_account: String,
    /// `slow_consumers` by kind.
    pub slow_consumer_stats: SlowConsumerStats,
}

/// The `cluster` block; empty on a server without one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterVarz {
    /// The cluster's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The host that other servers reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addr: Option<String>,
    /// The port that other servers reach.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_port: Option<u16>,
    /// Seconds that another server may take to say who it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_timeout: Option<f64>,
    /// The configured routes, as `host:port`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Whether both sides of a route are verified.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls_verify: bool,
}

/// A part of the reference that this server does not have: written as the reference writes one that is not
/// configured, `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotConfigured {}

/// The `jetstream` block; empty on a server without it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JetStreamVarz {
    /// What it may use, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<JetStreamConfig>,
    /// What it uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<JetStreamStats>,
    /// The meta group, in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<MetaCluster>,
    /// Limits of the whole server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<JetStreamLimits>,
}

/// Connections that were closed because too much waited for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SlowConsumerStats {
    /// Clients.
    pub clients: u64,
    /// Other servers.
    pub routes: u64,
    /// Gateways.
    pub gateways: u64,
    /// Leaf nodes.
    pub leafs: u64,
}
