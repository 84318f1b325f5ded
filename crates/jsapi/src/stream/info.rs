//! What is told about streams.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::StreamConfig;
use crate::cluster::ClusterInfo;
use crate::omission::is_default;
use crate::reply::Paging;
use crate::time::Time;

/// A stream as it is: the payload of the reply to an update, and part of others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamInfo {
    /// How it is configured.
    pub config: StreamConfig,
    /// When it was created.
    pub created: Time,
    /// What it holds.
    pub state: StreamState,
    /// The domain it is in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub domain: Option<String>,
    /// Where its replicas are; on a server without a cluster, only who leads.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cluster: Option<ClusterInfo>,
    /// How far the copy is; never told by this server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mirror: Option<Value>,
    /// How far gathering is; never told by this server.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sources: Vec<Value>,
    /// The stream itself and its copies, the nearest first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub alternates: Vec<StreamAlternate>,
    /// When this was found out.
    #[serde(default)]
    pub ts: Time,
}

/// A stream that can be read in place of another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAlternate {
    /// Its name.
    pub name: String,
    /// Its domain.
    #[serde(default, skip_serializing_if = "is_default")]
    pub domain: Option<String>,
    /// Its cluster.
    pub cluster: String,
}

/// What a stream holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamState {
    /// How many messages.
    pub messages: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The sequence of the first; in an empty stream the next one.
    pub first_seq: u64,
    /// When the first was stored; zero in an empty stream.
    pub first_ts: Time,
    /// The sequence of the last, also when it is gone.
    pub last_seq: u64,
    /// When the last was stored, also when it is gone.
    pub last_ts: Time,
    /// How many subjects.
    #[serde(skip_serializing_if = "is_default")]
    pub num_subjects: u64,
    /// How many messages of each subject, when asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub subjects: BTreeMap<String, u64>,
    /// How many sequences between first and last are gone.
    #[serde(skip_serializing_if = "is_default")]
    pub num_deleted: u64,
    /// Which ones, when asked for.
    #[serde(skip_serializing_if = "is_default")]
    pub deleted: Vec<u64>,
    /// What was found damaged beyond repair.
    #[serde(skip_serializing_if = "is_default")]
    pub lost: Option<LostMessages>,
    /// How many consumers.
    pub consumer_count: u64,
}

/// Messages that were found damaged beyond repair.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostMessages {
    /// Their sequences.
    pub msgs: Vec<u64>,
    /// Their bytes.
    pub bytes: u64,
}

/// The payload of the reply to a creation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamCreated {
    /// The stream.
    #[serde(flatten)]
    pub info: StreamInfo,
    /// Whether the stream is as asked for by this request or an equal one before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub did_create: bool,
}

/// The payload of the reply to `STREAM.INFO`. Paging counts the subjects asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamDescription {
    /// Which of the subjects these are; all 0 when none were asked for.
    #[serde(flatten)]
    pub paging: Paging,
    /// The stream.
    #[serde(flatten)]
    pub info: StreamInfo,
}

/// The payload of the reply to `STREAM.NAMES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamNames {
    /// Which of the names these are.
    #[serde(flatten)]
    pub paging: Paging,
    /// Names, in their order. The reference says `null` for none; a client takes both.
    #[serde(deserialize_with = "null_is_empty")]
    pub streams: Vec<String>,
}

fn null_is_empty<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The payload of the reply to `STREAM.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamList {
    /// Which of the streams these are.
    #[serde(flatten)]
    pub paging: Paging,
    /// Streams, in the order of their names.
    pub streams: Vec<StreamInfo>,
    /// Names of streams that could not be asked in time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Vec<String>,
    /// Streams that are out of service, with the reason.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offline: BTreeMap<String, String>,
}
