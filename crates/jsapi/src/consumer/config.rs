//! A consumer's configuration as JSON.
//!
//! Every field of the protocol is here, so that a request with another one can be refused. Those
//! this server does not carry out are refused when they are set (see `feature`). The order of the
//! fields is the reference's, and so is which of them are left out when empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ConsumerAction;
use crate::omission::is_default;
use crate::time::Time;

/// The body of all forms of creation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CreateRequest {
    /// The stream, as in the subject.
    pub stream_name: String,
    /// The consumer.
    pub config: ConsumerConfig,
    /// Whether it may exist, or must.
    pub action: ConsumerAction,
    /// Whether the server may not adjust anything silently.
    #[serde(skip_serializing_if = "is_default")]
    pub pedantic: bool,
}

/// A consumer's configuration as JSON; durations are nanoseconds, -1 and 0 mostly mean unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumerConfig {
    /// The name of a consumer that outlives its clients.
    #[serde(skip_serializing_if = "is_default")]
    pub durable_name: String,
    /// The name.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Free text.
    #[serde(skip_serializing_if = "is_default")]
    pub description: String,
    /// Where it begins.
    pub deliver_policy: DeliverPolicy,
    /// The sequence it begins with.
    #[serde(skip_serializing_if = "is_default")]
    pub opt_start_seq: u64,
    /// The time it begins with.
    #[serde(skip_serializing_if = "is_default")]
    pub opt_start_time: Option<Time>,
    /// What must be acknowledged.
    pub ack_policy: AckPolicy,
    /// How long an acknowledgement is waited for, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub ack_wait: i64,
    /// How often a message is delivered.
    #[serde(skip_serializing_if = "is_default")]
    pub max_deliver: i64,
    /// Waits before redelivery, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub backoff: Vec<i64>,
    /// The subject or pattern delivered.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_subject: String,
    /// The subjects or patterns delivered.
    #[serde(skip_serializing_if = "is_default")]
    pub filter_subjects: Vec<String>,
    /// How fast what is stored already is delivered.
    pub replay_policy: ReplayPolicy,
    /// The most bits per second; push only.
    #[serde(skip_serializing_if = "is_default")]
    pub rate_limit_bps: u64,
    /// How many acknowledgements make a metric: a percentage, with or without its sign.
    #[serde(skip_serializing_if = "is_default")]
    pub sample_freq: String,
    /// The most pull requests that wait.
    #[serde(skip_serializing_if = "is_default")]
    pub max_waiting: i64,
    /// The most messages unacknowledged.
    #[serde(skip_serializing_if = "is_default")]
    pub max_ack_pending: i64,
    /// Whether delivery waits for answers; push only.
    #[serde(skip_serializing_if = "is_default")]
    pub flow_control: bool,
    /// Whether payloads are left out.
    #[serde(skip_serializing_if = "is_default")]
    pub headers_only: bool,
    /// The largest batch of a pull request.
    #[serde(skip_serializing_if = "is_default")]
    pub max_batch: i64,
    /// The longest wait of a pull request, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub max_expires: i64,
    /// The most bytes of a pull request.
    #[serde(skip_serializing_if = "is_default")]
    pub max_bytes: i64,
    /// Where messages are sent; push only.
    #[serde(skip_serializing_if = "is_default")]
    pub deliver_subject: String,
    /// The queue group that shares them; push only.
    #[serde(skip_serializing_if = "is_default")]
    pub deliver_group: String,
    /// How often an idle consumer gives a sign of life, in nanoseconds; push only.
    #[serde(skip_serializing_if = "is_default")]
    pub idle_heartbeat: i64,
    /// After how long without a client it is deleted, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub inactive_threshold: i64,
    /// How many replicas; 0 is as many as the stream.
    pub num_replicas: i64,
    /// Whether its state is kept in memory.
    #[serde(skip_serializing_if = "is_default")]
    pub mem_storage: bool,
    /// Whether it serves a server and not a client.
    #[serde(skip_serializing_if = "is_default")]
    pub direct: bool,
    /// Whether it serves a stream that gathers from this one.
    #[serde(skip_serializing_if = "is_default")]
    pub sourcing: bool,
    /// The user's keys and values, and in replies what the server says about itself.
    #[serde(skip_serializing_if = "is_default")]
    pub metadata: BTreeMap<String, String>,
    /// Until when nothing is delivered.
    #[serde(skip_serializing_if = "is_default")]
    pub pause_until: Option<Time>,
    /// Groups of clients among which messages are given out by priority.
    #[serde(skip_serializing_if = "is_default")]
    pub priority_groups: Vec<String>,
    /// By which rule.
    #[serde(skip_serializing_if = "is_default")]
    pub priority_policy: PriorityPolicy,
    /// How long a client keeps its place, in nanoseconds.
    #[serde(skip_serializing_if = "is_default")]
    pub priority_timeout: i64,
}

/// Where a consumer begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliverPolicy {
    /// With the first message.
    #[default]
    #[serde(alias = "undefined")]
    All,
    /// With the last message.
    Last,
    /// With the next message.
    New,
    /// With a sequence.
    ByStartSequence,
    /// With a time.
    ByStartTime,
    /// With the last message of each subject.
    LastPerSubject,
}

/// What must be acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AckPolicy {
    /// Nothing.
    #[default]
    None,
    /// A message, and with it all before it.
    All,
    /// Each message.
    Explicit,
    /// As all, by answers to flow control; push only.
    FlowControl,
}

/// How fast what is stored already is delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayPolicy {
    /// As fast as it is taken.
    #[default]
    Instant,
    /// As fast as it was published.
    Original,
}

/// By which rule clients of a group get messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorityPolicy {
    /// None.
    #[default]
    None,
    /// When there is more than others take.
    Overflow,
    /// One client all, the others when it is gone.
    PinnedClient,
    /// The lowest number first.
    Prioritized,
}
