//! A stream's configuration as JSON.
//!
//! Every field of the protocol is here, so that a request with another one can be refused. Those
//! this server does not carry out are refused when they are set (see `feature`). The order of the
//! fields is the reference's, and so is which of them are left out when empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cluster::Placement;
use crate::omission::is_default;

/// A stream's configuration as JSON; durations are nanoseconds, -1 and 0 mostly mean unlimited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamConfig {
    /// The stream's name.
    pub name: String,
    /// Free text.
    #[serde(skip_serializing_if = "is_default")]
    pub description: String,
    /// The subjects captured; none is the stream's name.
    #[serde(skip_serializing_if = "is_default")]
    pub subjects: Vec<String>,
    /// When a message may go although no limit is reached.
    pub retention: Retention,
    /// The most consumers.
    pub max_consumers: i64,
    /// The most messages.
    pub max_msgs: i64,
    /// The most bytes.
    pub max_bytes: i64,
    /// The greatest age, in nanoseconds.
    pub max_age: i64,
    /// The most messages of one subject.
    pub max_msgs_per_subject: i64,
    /// The largest message, in bytes.
    pub max_msg_size: i32,
    /// What happens to a message beyond a limit.
    pub discard: Discard,
    /// Where messages are kept.
    pub storage: Storage,
    /// How many replicas.
    pub num_replicas: i64,
    /// Whether publishes are not acknowledged.
    #[serde(skip_serializing_if = "is_default")]
    pub no_ack: bool,
    /// How long identities of messages are remembered, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub duplicate_window: i64,
    /// Where replicas may be.
    #[serde(skip_serializing_if = "is_default")]
    pub placement: Option<Placement>,
    /// The stream this one is a copy of; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub mirror: Option<Value>,
    /// The streams this one gathers from; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub sources: Vec<Value>,
    /// How messages are packed on disk.
    pub compression: Compression,
    /// The sequence of the first message.
    #[serde(skip_serializing_if = "is_default")]
    pub first_seq: u64,
    /// How subjects are changed before messages are stored; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub subject_transform: Option<Value>,
    /// Where stored messages are published again; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub republish: Option<Value>,
    /// Whether any replica answers direct gets.
    pub allow_direct: bool,
    /// Whether mirrors answer direct gets too.
    pub mirror_direct: bool,
    /// Whether a full subject refuses new messages too.
    #[serde(skip_serializing_if = "is_default")]
    pub discard_new_per_subject: bool,
    /// Whether nothing may be added or removed any more.
    pub sealed: bool,
    /// Whether messages cannot be deleted by request.
    pub deny_delete: bool,
    /// Whether messages cannot be purged by request.
    pub deny_purge: bool,
    /// Whether `Nats-Rollup` is obeyed.
    pub allow_rollup_hdrs: bool,
    /// What consumers get that do not say.
    pub consumer_limits: ConsumerLimits,
    /// Whether messages may have an age limit of their own; not carried out.
    pub allow_msg_ttl: bool,
    /// How long a marker stays where a subject's last message went; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub subject_delete_marker_ttl: i64,
    /// Whether messages are counters; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_msg_counter: bool,
    /// Whether several messages may be stored all or none; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_atomic: bool,
    /// Whether messages may be published later; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_msg_schedules: bool,
    /// When a stored message is on disk.
    #[serde(skip_serializing_if = "is_default")]
    pub persist_mode: PersistMode,
    /// Whether messages may be acknowledged in batches; not carried out.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_batched: bool,
    /// The user's keys and values, and in replies what the server says about itself.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
    /// Whether the server may not adjust anything silently. Part of the request, not of the stream.
    #[serde(skip_serializing)]
    pub pedantic: bool,
}

/// What consumers of a stream get that do not say; 0 is nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerLimits {
    /// The longest time without a client, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub inactive_threshold: i64,
    /// The most acknowledgements outstanding.
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
}

/// When a message may go although no limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// Never.
    #[default]
    Limits,
    /// Once every consumer acknowledged it.
    Interest,
    /// Once a consumer acknowledged it.
    WorkQueue,
}

/// What happens to a message beyond a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    /// Old ones make room.
    #[default]
    Old,
    /// It is refused.
    New,
}

/// Where messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// On disk.
    #[default]
    File,
    /// In memory.
    Memory,
}

/// How messages are packed on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With S2; not carried out.
    S2,
}

/// When a stored message is on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PersistMode {
    /// Before it is acknowledged.
    #[default]
    #[serde(alias = "")]
    Default,
    /// Some time; not carried out.
    Async,
}
