//! Every command of a stream but a publish.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::KIND_CHANGE;
use crate::{StreamConfig, Timestamp, codec};

/// A change to a stream, with the time its leader stamped on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCommand {
    /// The leader's time; the stream's applied time becomes the greater of this and its own.
    pub time: Timestamp,
    /// What to do.
    pub change: StreamChange,
}

/// What may be done to a stream beside publishing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamChange {
    /// Remove one message.
    Delete {
        /// Its sequence.
        seq: u64,
        /// Whether its bytes are to be overwritten, not only forgotten.
        erase: bool,
    },
    /// Remove messages, oldest first. Without any field: all of them.
    Purge {
        /// Only those on subjects that this matches.
        filter: Option<String>,
        /// Only those below this sequence. Without a filter the first sequence becomes this one,
        /// even when the stream has not reached it yet.
        up_to: Option<u64>,
        /// All but this many of the newest.
        keep: Option<u64>,
    },
    /// Obey another configuration. The name and the storage cannot change.
    Update(Box<StreamConfig>),
    /// Move the applied time, so that what is too old goes.
    Expire,
}

impl StreamCommand {
    /// The bytes to propose.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        codec::encode(KIND_CHANGE, self)
    }
}
