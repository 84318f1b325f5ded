//! Every command of a stream but a publish.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::KIND_CHANGE;
use crate::{SequenceRange, StreamConfig, Timestamp, codec};

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
    /// Keep messages for a consumer, on an interest or work-queue stream. It commits before the consumer
    /// starts, so that nothing it must get is dropped before it could say so. Again with other filters,
    /// it replaces the filters only.
    SetInterest {
        /// The consumer's id, which is never given to another.
        consumer: u64,
        /// What it asks for; empty means all.
        filters: Vec<String>,
        /// Whether it begins with what is stored after this.
        new_only: bool,
    },
    /// Keep nothing for this consumer any more. It commits before the consumer is gone.
    DropInterest {
        /// The consumer's id.
        consumer: u64,
    },
    /// A consumer needs these sequences no more, which is committed in its own log: it acknowledged them,
    /// or passed over them. Any order, and any number of times.
    Acknowledge {
        /// The consumer's id.
        consumer: u64,
        /// The sequences.
        done: Vec<SequenceRange>,
    },
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
