//! What a consumer's leader is told, and what it wants done.

use std::sync::Arc;

use bytes::Bytes;

use super::{Ack, ConsumerApplied, Delivery, PullRequest};
use crate::{SequenceRange, Timestamp};

/// Something that happened at a consumer's leader.
#[derive(Debug)]
pub enum ConsumerInput<'a> {
    /// A client asks for messages.
    Pull(PullRequest),
    /// A client answers a delivery.
    Ack(Ack),
    /// Nobody listens to this reply subject any more: its requests end, without a word.
    Gone(&'a str),
    /// The local replica of the stream applied a removal of these sequences.
    Shrank(&'a [SequenceRange]),
    /// The local replica of the consumer applied this.
    Committed(&'a ConsumerApplied),
    /// Proposals were refused, though this server leads on: what is in flight will not commit.
    Lost,
    /// The end of a turn, or of a wait until [`Leader::next_deadline`](super::Leader::next_deadline):
    /// plan, propose, expire. New messages in the stream are seen here.
    Tick,
}

/// Something the leader's host is to do, in the order given.
#[derive(Debug, PartialEq)]
pub enum ConsumerEffect {
    /// Propose this entry to the consumer's group. If that is refused at once, say
    /// [`ConsumerInput::Lost`].
    Propose(Bytes),
    /// Deliver a message; its delivery is committed.
    Send(PlannedSend),
    /// Tell a client how its request stands. It comes after every `Send` to that request.
    Status(Status),
    /// Answer an acknowledgement with an empty message; it is committed.
    AnswerAck(Arc<str>),
    /// Tell whoever listens to advisories.
    Advisory(ConsumerAdvisory),
    /// No client has asked for anything for the inactivity threshold. Said once per period.
    Inactive,
}

/// A delivery to one pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSend {
    /// The request's reply subject.
    pub reply: Arc<str>,
    /// Which message, and the numbers of this delivery.
    pub delivery: Delivery,
    /// When the message was stored; a field of the ack subject.
    pub time: Timestamp,
    /// How many messages are to come after it; a field of the ack subject.
    pub pending: u64,
    /// Whether the payload stays away, and `Nats-Msg-Size` says its length.
    pub headers_only: bool,
}

/// A message without payload that says how a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The request's reply subject.
    pub reply: Arc<str>,
    /// The number on the version line.
    pub code: u16,
    /// The text on the version line.
    pub text: String,
    /// Further headers.
    pub headers: Vec<(&'static str, u64)>,
}

impl Status {
    pub(super) fn new(reply: Arc<str>, code: u16, text: impl Into<String>) -> Self {
        Self { reply, code, text: text.into(), headers: Vec::new() }
    }

    /// With what a request did not get.
    pub(super) fn with_pending(mut self, messages: u64, bytes: u64) -> Self {
        self.headers = vec![("Nats-Pending-Messages", messages), ("Nats-Pending-Bytes", bytes)];
        self
    }

    /// The header block, as it goes to the client.
    #[must_use]
    pub fn header_block(&self) -> String {
        let mut block = format!("NATS/1.0 {} {}\r\n", self.code, self.text);
        for (name, value) in &self.headers {
            block.push_str(&format!("{name}: {value}\r\n"));
        }
        block + "\r\n"
    }
}

/// Why a leader ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// Another server leads, or none.
    LeadershipChange,
    /// The consumer is deleted.
    Deleted,
    /// This server stops.
    ServerShutdown,
}

/// What an advisory or a metric is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerAdvisory {
    /// A message was delivered as often as it may be.
    MaxDeliveries {
        /// Its sequence.
        stream_seq: u64,
        /// How often.
        deliveries: u64,
    },
    /// A client refused a message.
    Naked {
        /// Its sequence.
        stream_seq: u64,
        /// The delivery it refused.
        consumer_seq: u64,
        /// How often it was delivered.
        deliveries: u64,
    },
    /// A message will not be delivered again.
    Terminated {
        /// Its sequence.
        stream_seq: u64,
        /// The sequence of its first delivery.
        consumer_seq: u64,
        /// How often it was delivered.
        deliveries: u64,
        /// The client's words, or that the stream removed it.
        reason: String,
    },
    /// A message was acknowledged, and the consumer has a sampling frequency; the host draws.
    Acknowledged {
        /// Its sequence.
        stream_seq: u64,
        /// The sequence of its first delivery.
        consumer_seq: u64,
        /// How often it was delivered.
        deliveries: u64,
        /// Nanoseconds from its last delivery to now.
        delay: u64,
    },
}
