//! What clients asked for and what they were told: all that invariants may rest on.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flotilla_disk::Seeded;
use flotilla_raft::GroupId;

/// One message that a client published.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Its number, which its payload names.
    pub id: u64,
    /// The group of the stream it was meant for.
    pub stream: GroupId,
    /// Its subject.
    pub subject: String,
    /// The length of its payload.
    pub len: usize,
    /// Its `Nats-Msg-Id`.
    pub msg_id: Option<String>,
    /// Its `Nats-Expected-Last-Sequence`.
    pub expected: Option<u64>,
    /// When it was sent.
    pub at: u64,
    /// What the client was told.
    pub outcome: Outcome,
}

/// What became of a publication, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was heard: it may be stored, or not, or yet be.
    Unknown,
    /// It is stored.
    Stored {
        /// Where.
        seq: u64,
        /// It was there already.
        duplicate: bool,
        /// When the client was told.
        at: u64,
    },
    /// It was refused.
    Refused,
}

impl Publication {
    /// Its payload: its number, and bytes that nothing else has.
    #[must_use]
    pub fn payload(&self) -> Bytes {
        let mut bytes = self.id.to_le_bytes().to_vec();
        let mut random = Seeded::new(self.id);
        while bytes.len() < self.len {
            bytes.extend_from_slice(&random.next_u64().to_le_bytes());
        }
        bytes.truncate(self.len.max(8));
        bytes.into()
    }

    /// The number that a payload names.
    #[must_use]
    pub fn named_by(payload: &[u8]) -> Option<u64> {
        payload.first_chunk().map(|id| u64::from_le_bytes(*id))
    }
}

/// Something that may take messages away.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Which messages.
    pub what: Removed,
    /// When it was answered. Without an answer it may yet happen.
    pub answered: Option<u64>,
}

/// Which messages a removal takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// This one.
    One(u64),
    /// Any.
    Any,
}

/// One life of a stream.
#[derive(Clone, Debug)]
pub struct StreamLife {
    /// Its name.
    pub name: String,
    /// What was acknowledged: the publication by sequence.
    pub acked: BTreeMap<u64, u64>,
    /// Removals that were asked for.
    pub removals: Vec<Removal>,
    /// The lowest limit of messages that it may have had.
    pub max_msgs: Option<u64>,
    /// Whether it may ever have had a single replica.
    pub single: bool,
    /// When its end was asked for.
    pub end_asked: Option<u64>,
    /// Whether somebody may have deleted it: streams are deleted by name, and a request may be late and meet a later
    /// life of that name.
    pub may_be_gone: bool,
}

impl StreamLife {
    /// Whether a message that was published at `at` may be gone for a reason.
    #[must_use]
    pub fn explains(&self, seq: u64, at: u64, last_seq: u64) -> bool {
        let removed = self.removals.iter().any(|removal| {
            let late = removal.answered.is_some_and(|answered| answered < at);
            !late && (removal.what == Removed::Any || removal.what == Removed::One(seq))
        });
        removed || self.max_msgs.is_some_and(|max| seq + max <= last_seq)
    }
}

/// One life of a consumer.
#[derive(Clone, Debug)]
pub struct ConsumerLife {
    /// Its name.
    pub name: String,
    /// The group of the stream that it reads.
    pub stream: GroupId,
    /// The sequences that were delivered to a client.
    pub delivered: BTreeSet<u64>,
    /// Those whose acknowledgement was confirmed.
    pub confirmed: BTreeSet<u64>,
    /// Whether its end was asked for.
    pub end_asked: bool,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// By number.
    pub publications: Vec<Publication>,
    /// By group.
    pub streams: BTreeMap<GroupId, StreamLife>,
    /// By group.
    pub consumers: BTreeMap<GroupId, ConsumerLife>,
    /// How many requests to delete a stream of a name were not answered.
    pub deleting: BTreeMap<String, u64>,
    /// The limits that were asked for and not answered, by the stream's name: which of its lives they meet is not known.
    pub limiting: BTreeMap<String, Vec<u64>>,
    /// The least limit that a stream has, by group, as answers said.
    pub limited: BTreeMap<GroupId, u64>,
    /// Whether a clock was set wrong: windows of time end early or late then.
    pub clocks_are_wrong: bool,
}

impl History {
    /// The publication of that number.
    #[must_use]
    pub fn publication(&self, id: u64) -> Option<&Publication> {
        self.publications.get(usize::try_from(id).ok()?)
    }
}
