//! What applying one entry of a consumer's log came to.

use super::Ticket;
use crate::{SequenceRange, Timestamp};

/// All that one applied entry did; the same on every replica. The leader's host hands it to
/// [`Leader`](super::Leader), which knows what may be sent and answered now. For a stream that keeps
/// messages until they are acknowledged, `done` is what its leader must hear.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ConsumerApplied {
    /// Which proposal it was, if a leader's plan made it.
    pub ticket: Option<Ticket>,
    /// The deliveries recorded, in the order of their consumer sequences.
    pub delivered: Vec<Delivery>,
    /// The messages that are no longer waiting for an acknowledgement.
    pub settled: Vec<Settled>,
    /// The sequences that the consumer needs no more, for
    /// [`StreamChange::Acknowledge`](crate::StreamChange::Acknowledge).
    pub done: Vec<SequenceRange>,
    /// Messages to be delivered again at a time of the client's choice, ascending.
    pub naked: Vec<u64>,
    /// Whether new deliveries were refused, because they were planned from another cursor.
    pub stale: bool,
    /// Whether the configuration changed.
    pub updated: bool,
}

impl ConsumerApplied {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.ticket = None;
        self.delivered.clear();
        self.settled.clear();
        self.done.clear();
        self.naked.clear();
        self.stale = false;
        self.updated = false;
    }

    /// Whether `seq` is one of `naked`, which ascends.
    pub(super) fn has_naked(&self, seq: u64) -> bool {
        self.naked.binary_search(&seq).is_ok()
    }
}

/// One delivery of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message's sequence in its stream.
    pub stream_seq: u64,
    /// The delivery's sequence; every delivery has its own.
    pub consumer_seq: u64,
    /// How often the message was delivered, this time included.
    pub deliveries: u64,
}

/// A message that is no longer waiting for an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its sequence in its stream.
    pub stream_seq: u64,
    /// The sequence of its first delivery; 0 when it was given up before.
    pub consumer_seq: u64,
    /// How often it was delivered.
    pub deliveries: u64,
    /// When it was delivered last.
    pub delivered_at: Timestamp,
    /// How it was settled.
    pub settlement: Settlement,
}

/// How a message came to need no acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It was acknowledged.
    Acknowledged,
    /// The client said not to deliver it again.
    Terminated,
    /// It was delivered as often as it may be. An interest or work-queue stream keeps it.
    GivenUp,
    /// The stream removed it.
    Removed,
}
