//! Our own names for what a group is made of. The library's protobuf types stay inside this crate:
//! what crosses a wire or a disk is one of these.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// One Raft group: the meta group, a stream or a consumer. Allocated by the meta group and never
    /// used again, so that what is left of a deleted asset can never be taken for its successor.
    ///
    /// The lowest byte is the group's [slot](Self::slot), the others count: later groups have higher ids.
    GroupId
}
id! {
    /// One replica of one group on one store: what Raft calls a server. Allocated by the meta group per
    /// (group, store) and never used again. 0 is nobody.
    ReplicaId
}
id! {
    /// One store directory: random, made with it, kept for its life. A server that comes back under its
    /// old name with a new store is a new server.
    StoreId
}

impl GroupId {
    /// The group that owns the API and placement; the only one that is not allocated.
    pub const META: Self = Self(1);

    /// The first id in `slot` after this one.
    #[must_use]
    pub fn next_in(self, slot: Slot) -> Self {
        Self((((self.0 >> Slot::BITS) + 1) << Slot::BITS) | u64::from(slot.0))
    }

    /// What decides which of a server's shards drives the group.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lowest byte is the slot")]
    pub const fn slot(self) -> Slot {
        Slot(self.0 as u8)
    }
}

/// One of 256 shares of all groups. A stream and its consumers are in the same one, on every server, so that servers
/// with different numbers of shards agree on what belongs together. Of n shards, the one with number s mod n drives
/// slot s.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Slot(pub u8);

impl Slot {
    /// How many there are.
    pub const COUNT: usize = 1 << Self::BITS;
    const BITS: u32 = u8::BITS;
}

impl ReplicaId {
    /// Nobody: no vote given, no leader known.
    pub const NONE: Self = Self(0);
}

/// What must survive a crash before any message of its term may leave (Raft, figure 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// The latest term seen.
    pub term: u64,
    /// Who got this replica's vote in that term.
    pub vote: ReplicaId,
    /// The highest index known to be committed; may lag after a crash, never lies.
    pub commit: u64,
}

/// One position of a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that wrote it.
    pub term: u64,
    /// Its position, from 1.
    pub index: u64,
    /// What its data is.
    pub kind: EntryKind,
    /// A command of the group's machine, an encoded [`Change`], or nothing (a leader's first entry).
    pub data: Bytes,
}

/// What an entry's data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum EntryKind {
    /// A command for the group's machine; empty for a leader's first entry of its term.
    Command = 0,
    /// A change of membership.
    Change = 1,
}

impl EntryKind {
    /// The kind with this number, as it stands in frames and records.
    #[must_use]
    pub fn from_u8(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Command),
            1 => Some(Self::Change),
            _ => None,
        }
    }
}

/// Who takes part in a group, and how. Between entering and leaving a joint configuration both
/// majorities count (Raft dissertation, 4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Those whose majority commits.
    pub voters: Vec<ReplicaId>,
    /// Those that receive the log and do not count.
    pub learners: Vec<ReplicaId>,
    /// The voters of the configuration being left; empty when it is not joint.
    pub voters_outgoing: Vec<ReplicaId>,
    /// Voters that become learners when the joint configuration is left.
    pub learners_next: Vec<ReplicaId>,
    /// On which store each of them lives.
    pub stores: BTreeMap<ReplicaId, StoreId>,
}

impl Membership {
    /// Whether two majorities are needed at present.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Whether `replica` has any part in the group.
    #[must_use]
    pub fn contains(&self, replica: ReplicaId) -> bool {
        self.all().any(|r| r == replica)
    }

    /// Whether `replica` counts in a majority.
    #[must_use]
    pub fn is_voter(&self, replica: ReplicaId) -> bool {
        self.voters.contains(&replica) || self.voters_outgoing.contains(&replica)
    }

    /// Everybody, each once, in ascending order.
    pub fn all(&self) -> impl Iterator<Item = ReplicaId> {
        let lists = [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next];
        let set: std::collections::BTreeSet<_> = lists.into_iter().flatten().copied().collect();
        set.into_iter()
    }

    /// The store that `replica` lives on.
    #[must_use]
    pub fn store_of(&self, replica: ReplicaId) -> Option<StoreId> {
        self.stores.get(&replica).copied()
    }
}

/// A change of membership, as it stands in an entry. One at a time per group; adding begins with a
/// learner; what changes voters goes through a joint configuration, entered and left by explicit entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Adds a learner, or makes a voter one.
    AddLearner {
        /// Who.
        replica: ReplicaId,
        /// Where it lives.
        store: StoreId,
    },
    /// Enters a joint configuration whose incoming half has `promote` as voters and not `remove`.
    Enter {
        /// Learners that become voters.
        promote: Vec<ReplicaId>,
        /// Voters or learners that leave.
        remove: Vec<ReplicaId>,
    },
    /// Leaves the joint configuration.
    Leave,
    /// Removes learners; needs no joint configuration.
    RemoveLearners {
        /// Who leaves.
        remove: Vec<ReplicaId>,
    },
}

/// What a group's log starts from: everything up to `index` is in the machine's state.
///
/// Configuration, applied index, term and the machine's state hash are one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The index that the state contains.
    pub index: u64,
    /// The term of the entry at that index.
    pub term: u64,
    /// The configuration committed at that index.
    pub membership: Membership,
    /// The machine's running hash at that index.
    pub state_hash: u64,
    /// The machine's small state at that index, in the machine's own encoding: all of it for a meta or
    /// consumer group; for a stream everything that its segments do not hold.
    #[serde(with = "serde_bytes_compat")]
    pub state: Bytes,
}

mod serde_bytes_compat {
    //! `Bytes` as a MessagePack binary and not as an array of numbers.
    use bytes::Bytes;
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Bytes, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, v: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes::copy_from_slice(v))
            }

            fn visit_byte_buf<E: de::Error>(self, v: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes::from(v))
            }
        }
        d.deserialize_byte_buf(Visitor)
    }
}
