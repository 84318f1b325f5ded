//! What an account uses of JetStream, and what it may use.

use std::collections::BTreeMap;

use crate::omission::is_default;
use serde::{Deserialize, Serialize};

/// The payload of the reply to `INFO`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountInfo {
    /// The account's use and limits over all tiers.
    #[serde(flatten)]
    pub usage: Tier,
    /// The server's domain.
    #[serde(default, skip_serializing_if = "is_default")]
    pub domain: Option<String>,
    /// The account's use of the API.
    pub api: ApiStats,
    /// Use and limits per replication factor, where the account has such limits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tiers: BTreeMap<String, Tier>,
}

/// Use and limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes on disk.
    pub storage: u64,
    /// Bytes in memory that streams are sure to get.
    pub reserved_memory: u64,
    /// Bytes on disk that streams are sure to get.
    pub reserved_storage: u64,
    /// Streams.
    pub streams: u64,
    /// Consumers.
    pub consumers: u64,
    /// What the account may use.
    pub limits: AccountLimits,
}

/// What an account may use; -1 is unlimited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountLimits {
    /// Bytes in memory.
    pub max_memory: i64,
    /// Bytes on disk.
    pub max_storage: i64,
    /// Streams.
    pub max_streams: i64,
    /// Consumers of one stream.
    pub max_consumers: i64,
    /// Acknowledgements a consumer may have outstanding.
    pub max_ack_pending: i64,
    /// Bytes of one stream in memory.
    pub memory_max_stream_bytes: i64,
    /// Bytes of one stream on disk.
    pub storage_max_stream_bytes: i64,
    /// Whether streams must say how large they may become.
    pub max_bytes_required: bool,
}

impl Default for AccountLimits {
    /// Everything.
    fn default() -> Self {
        Self {
            max_memory: -1,
            max_storage: -1,
            max_streams: -1,
            max_consumers: -1,
            max_ack_pending: -1,
            memory_max_stream_bytes: -1,
            storage_max_stream_bytes: -1,
            max_bytes_required: false,
        }
    }
}

/// An account's use of the API on the server that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiStats {
    /// The level of the API the server implements.
    #[serde(default)]
    pub level: u32,
    /// Requests since it started.
    pub total: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Requests not answered yet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inflight: u64,
}
