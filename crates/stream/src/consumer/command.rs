//! The entries of a consumer's log: `[version u8][kind u8][body]`, the body as MessagePack with field
//! names. A leader's turn is one entry, with all that it wants recorded.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::runs::Runs;
use crate::{ConsumerConfig, DamagedCommand, Timestamp, codec};

/// A leader's [`Turn`].
const KIND_TURN: u8 = 1;
/// An [`Update`].
const KIND_UPDATE: u8 = 2;

/// Names a proposal: which leader made it, and which one of its proposals it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket {
    /// The leader's Raft term.
    pub term: u64,
    /// Counts its proposals from 1.
    pub number: u64,
}

/// Another configuration.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Update {
    pub(super) time: Timestamp,
    pub(super) config: ConsumerConfig,
}

/// The entry that makes a consumer obey `config`, proposed by the host of its leader. Name, deliver
/// policy and ack policy cannot change; the API sees to that.
#[must_use]
pub fn encode_consumer_update(time: Timestamp, config: ConsumerConfig) -> Bytes {
    codec::encode(KIND_UPDATE, &Update { time, config })
}

/// Where the consumer begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Start {
    /// The first sequence to consider.
    pub(super) cursor: u64,
    /// With last-per-subject: up to here only the last message of each subject counts.
    #[serde(default)]
    pub(super) resume: Option<u64>,
}

/// First deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Deliver {
    /// The cursor it was planned from. At another one it is stale, and does nothing.
    pub(super) after: u64,
    /// The sequences delivered, from `after` on.
    pub(super) sequences: Runs,
    /// The cursor afterwards: all below is delivered or does not match.
    pub(super) cursor: u64,
}

/// All that a leader wants recorded in one turn, in the order it is applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turn {
    pub(super) time: Timestamp,
    pub(super) ticket: Ticket,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Start>,
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub(super) terms: Runs,
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub(super) acks: Runs,
    /// Acknowledges everything up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ack_up_to: Option<u64>,
    /// Messages the stream no longer has.
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub(super) removed: Runs,
    /// Messages whose wait begins anew.
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub(super) progress: Runs,
    /// Messages to deliver again, and after how many nanoseconds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) naks: Vec<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Runs::is_empty")]
    pub(super) give_up: Runs,
    /// Repeated deliveries, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) redeliver: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deliver: Option<Deliver>,
}

impl Turn {
    pub(super) fn new(time: Timestamp, ticket: Ticket) -> Self {
        Self {
            time,
            ticket,
            start: None,
            terms: Runs::default(),
            acks: Runs::default(),
            ack_up_to: None,
            removed: Runs::default(),
            progress: Runs::default(),
            naks: Vec::new(),
            give_up: Runs::default(),
            redeliver: Vec::new(),
            deliver: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::new(self.time, self.ticket)
    }

    pub(super) fn encode(&self) -> Bytes {
        codec::encode(KIND_TURN, self)
    }

    /// Refuses what no leader writes, before any of it is applied.
    fn check(&self) -> Result<(), DamagedCommand> {
        for runs in [&self.acks, &self.terms, &self.removed, &self.progress, &self.give_up] {
            runs.check(0)?;
        }
        if let Some(deliver) = &self.deliver
            && deliver.sequences.check(deliver.after)? > deliver.cursor
        {
            return Err(DamagedCommand::Contradiction("it delivers beyond its cursor"));
        }
        let start = self.start.iter().flat_map(|start| [start.cursor, start.resume.unwrap_or(0)]);
        let cursors = self.deliver.iter().map(|deliver| deliver.cursor);
        if start.chain(cursors).any(|seq| seq > crate::sequence::UNREACHED) {
            return Err(DamagedCommand::Contradiction("its cursor is out of reach"));
        }
        Ok(())
    }
}

/// A decoded entry.
pub(super) enum Entry {
    Turn(Box<Turn>),
    Update(Box<Update>),
}

impl Entry {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DamagedCommand> {
        let (kind, body) = codec::split(bytes)?;
        match kind {
            KIND_TURN => {
                let turn: Box<Turn> = codec::decode_body(kind, body)?;
                turn.check()?;
                Ok(Self::Turn(turn))
            }
            KIND_UPDATE => codec::decode_body(kind, body).map(Self::Update),
            unknown => Err(DamagedCommand::UnknownKind(unknown)),
        }
    }
}
