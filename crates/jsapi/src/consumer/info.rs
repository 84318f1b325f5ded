//! What is told about consumers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ConsumerConfig;
use crate::cluster::ClusterInfo;
use crate::omission::is_default;
use crate::reply::Paging;
use crate::time::Time;

/// A consumer as it is: the payload of the replies to creation and `CONSUMER.INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerInfo {
    /// The stream it reads.
    pub stream_name: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Time,
    /// How it is configured.
    pub config: ConsumerConfig,
    /// The last delivery.
    pub delivered: SequenceInfo,
    /// Up to where everything is acknowledged.
    pub ack_floor: SequenceInfo,
    /// How many deliveries wait for their acknowledgement.
    pub num_ack_pending: u64,
    /// How many of them were delivered more than once.
    pub num_redelivered: u64,
    /// How many pull requests wait.
    pub num_waiting: u64,
    /// How many messages were never delivered yet.
    pub num_pending: u64,
    /// Where its replicas are; on a server without a cluster, only who leads.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cluster: Option<ClusterInfo>,
    /// Whether a client takes what is sent; push only.
    #[serde(default, skip_serializing_if = "is_default")]
    pub push_bound: bool,
    /// When this was found out.
    #[serde(default)]
    pub ts: Time,
}

/// A place in the deliveries of a consumer and in its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceInfo {
    /// Among the consumer's deliveries.
    pub consumer_seq: u64,
    /// In the stream.
    pub stream_seq: u64,
    /// When it was reached.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_active: Option<Time>,
}

/// The payload of the reply to `CONSUMER.NAMES`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerNames {
    /// Which of the names these are.
    #[serde(flatten)]
    pub paging: Paging,
    /// Names, in their order.
    pub consumers: Vec<String>,
}

/// The payload of the reply to `CONSUMER.LIST`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerList {
    /// Which of the consumers these are.
    #[serde(flatten)]
    pub paging: Paging,
    /// Consumers, in the order of their names.
    pub consumers: Vec<ConsumerInfo>,
    /// Names of consumers that could not be asked in time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub missing: Vec<String>,
    /// Consumers that are out of service, with the reason.
    #[serde(default, skip_serializing_if = "is_default")]
    pub offline: BTreeMap<String, String>,
}
