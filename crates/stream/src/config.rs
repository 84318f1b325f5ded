//! What a stream and a consumer are asked to be, after validation.
//!
//! These are the *domain* types: `jsapi` checks the wire's JSON into them, the meta machine stores
//! them, the state machines obey them. Limits that the wire spells `-1` or `0` are `None` here, so
//! no machine ever compares with a magic number. They are stored with field names (rmp-serde, named), so a
//! field may be added with a default and old records stay readable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// What a stream keeps, where, and how many copies of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamConfig {
    /// Unique within its account; 1 to 255 bytes without white space, `.`, `*`, `>`, `/` or `\`.
    pub name: String,
    /// Free text, at most 4 KiB.
    #[serde(default)]
    pub description: Option<String>,
    /// The subjects captured; never empty, pairwise not overlapping.
    pub subjects: Vec<String>,
    /// When a message may go although no limit is reached.
    pub retention: Retention,
    /// The most consumers there may be.
    #[serde(default)]
    pub max_consumers: Option<u64>,
    /// The most messages kept.
    #[serde(default)]
    pub max_msgs: Option<u64>,
    /// The most bytes kept, counted as NATS counts them (see [`crate::message_size`]).
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// How long a message is kept, in nanoseconds.
    #[serde(default)]
    pub max_age: Option<u64>,
    /// The most messages kept of any one subject.
    #[serde(default)]
    pub max_msgs_per_subject: Option<u64>,
    /// The largest message taken, header and payload, in bytes.
    #[serde(default)]
    pub max_msg_size: Option<u32>,
    /// What happens to a message that would exceed a limit.
    pub discard: Discard,
    /// With [`Discard::New`]: whether the limit per subject refuses too, instead of dropping the oldest.
    #[serde(default)]
    pub discard_new_per_subject: bool,
    /// Where messages are kept.
    pub storage: StorageKind,
    /// How many replicas.
    pub replicas: u8,
    /// Whether publishes are stored without an acknowledgement.
    #[serde(default)]
    pub no_ack: bool,
    /// How long a `Nats-Msg-Id` is remembered, in nanoseconds; 0 turns deduplication off.
    pub duplicate_window: u64,
    /// Where the replicas may be.
    #[serde(default)]
    pub placement: Option<Placement>,
    /// Whether nothing may be added or removed any more.
    #[serde(default)]
    pub sealed: bool,
    /// Whether single messages cannot be deleted through the API.
    #[serde(default)]
    pub deny_delete: bool,
    /// Whether messages cannot be purged through the API.
    #[serde(default)]
    pub deny_purge: bool,
    /// Whether `Nats-Rollup` is obeyed.
    #[serde(default)]
    pub allow_rollup: bool,
    /// Whether any replica answers direct gets.
    #[serde(default)]
    pub allow_direct: bool,
    /// The sequence of the first message ever stored, when it is not 1.
    #[serde(default)]
    pub first_seq: Option<u64>,
    /// What consumers of this stream get when they do not say.
    #[serde(default)]
    pub consumer_limits: ConsumerLimits,
    /// The user's own keys and values.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Limits and defaults for the consumers of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerLimits {
    /// The longest inactivity threshold, in nanoseconds.
    #[serde(default)]
    pub inactive_threshold: Option<u64>,
    /// The most acknowledgements a consumer may have outstanding.
    #[serde(default)]
    pub max_ack_pending: Option<u64>,
}

/// When a message may go although no limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retention {
    /// Never: only limits remove.
    Limits,
    /// Once every consumer has acknowledged it.
    Interest,
    /// Once one consumer has acknowledged it.
    WorkQueue,
}

/// What happens to a message that would exceed a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Discard {
    /// The oldest messages make room.
    Old,
    /// The new message is refused.
    New,
}

/// Where messages are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageKind {
    /// In segment files.
    File,
    /// In memory only.
    Memory,
}

/// Where replicas may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The cluster that must hold all replicas.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Tags that every chosen server has; with a leading `!`, tags that none has.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// How messages of a stream are handed to clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerConfig {
    /// Unique within its stream; same alphabet as a stream's name.
    pub name: String,
    /// Whether it outlives its clients (it was created with a durable name).
    pub durable: bool,
    /// Free text, at most 4 KiB.
    #[serde(default)]
    pub description: Option<String>,
    /// Where it begins.
    pub deliver: DeliverPolicy,
    /// What must be acknowledged.
    pub ack: AckPolicy,
    /// How long an acknowledgement is waited for, in nanoseconds.
    pub ack_wait: u64,
    /// How often a message is delivered before it is given up.
    #[serde(default)]
    pub max_deliver: Option<u64>,
    /// Waits before redelivery, in nanoseconds, in place of `ack_wait`; the last one repeats.
    #[serde(default)]
    pub backoff: Vec<u64>,
    /// Subjects delivered; empty means all.
    #[serde(default)]
    pub filters: Vec<String>,
    /// Whether a single filter was given as a list: clients check that it is told back as they gave it.
    #[serde(default)]
    pub filter_list: bool,
    /// Whether delivery keeps the pace of publication.
    #[serde(default)]
    pub replay_original: bool,
    /// Percentage of acknowledgements that make a metric.
    #[serde(default)]
    pub sample_percent: Option<u8>,
    /// The most pull requests that may wait.
    pub max_waiting: u32,
    /// The most messages that may be unacknowledged; `None` is unlimited.
    #[serde(default)]
    pub max_ack_pending: Option<u64>,
    /// Whether only headers are delivered.
    #[serde(default)]
    pub headers_only: bool,
    /// The largest batch of one pull request.
    #[serde(default)]
    pub max_request_batch: Option<u32>,
    /// The longest expiry of one pull request, in nanoseconds.
    #[serde(default)]
    pub max_request_expires: Option<u64>,
    /// The most bytes of one pull request.
    #[serde(default)]
    pub max_request_max_bytes: Option<u64>,
    /// After how long without a client it is deleted, in nanoseconds.
    #[serde(default)]
    pub inactive_threshold: Option<u64>,
    /// How many replicas; 0 takes the stream's number.
    pub replicas: u8,
    /// Whether its state is kept in memory only.
    #[serde(default)]
    pub memory_storage: bool,
    /// The user's own keys and values.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeliverPolicy {
    /// With the first message there is.
    All,
    /// With the last message that matches.
    Last,
    /// With the last message of each subject that matches.
    LastPerSubject,
    /// With what is stored after its creation.
    New,
    /// With this sequence, or the first one after it.
    ByStartSequence(u64),
    /// With the first message stored at or after this time.
    ByStartTime(Timestamp),
}

/// What must be acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AckPolicy {
    /// Nothing.
    None,
    /// A message, and with it all before it.
    All,
    /// Each message by itself.
    Explicit,
}
