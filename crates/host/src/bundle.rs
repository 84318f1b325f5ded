//! What the hosts of two servers say to each other, bundled: everything that one turn of a shard has for one peer
//! leaves as one frame.
//!
//! A bundle is a run of items, each `[kind u8][group u64 LE][length u32 LE][body]`. Raft messages keep their own
//! encoding (entry data as slices, uncopied); the other bodies are MessagePack. The version byte stands once, at
//! the bundle's head. What is said about no single group has group 0, and is for every shard.

mod frame;
mod mending;

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_disk::SegmentSummary;
use flotilla_raft::{Base, Message, ReplicaId, Slot};
use serde::{Deserialize, Serialize};

use crate::share::Share;

pub use frame::{BUNDLE_VERSION, Bundle, BundleError, addressed, unbundle};
pub use mending::{Compare, Entries, Lack, Segment, State};

/// One thing said about one group.
#[derive(Clone, Debug, PartialEq)]
pub enum Say {
    /// A Raft message.
    Raft(Message),
    /// The replica that a message was for does not live here.
    Unknown(Unknown),
    /// The leader lets the group sleep: nothing will be heard of it until something happens.
    Sleep(Sleep),
    /// Something happens: the group's time goes on.
    Wake,
    /// The leader's digests of the sleeping groups that both servers share; of no single group.
    Digests(Digests),
    /// The digests of these slots differ: wake what we share there. Of no single group.
    WakeShared(Vec<Slot>),
    /// A state for a member that the log cannot bring up to date any more.
    Offer(Box<Offer>),
    /// A piece of an offered state is asked for.
    Fetch(Fetch),
    /// A piece of an offered state.
    Piece(Piece),
    /// The offered state is in place, or cannot be taken.
    Taken(Taken),
    /// A part of the replica here is lost: who has it?
    Lack(Lack),
    /// A state, for who has lost its own.
    State(Box<State>),
    /// Entries, for who has lost them.
    Entries(Entries),
    /// A segment that can be fetched, by who has lost its own.
    Segment(Segment),
    /// What the leader has on disk, at a point of the log.
    Compare(Compare),
}

/// See [`Say::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The replica that is not here.
    pub replica: ReplicaId,
}

/// See [`Say::Sleep`]. Holds only for who is at exactly this point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    /// Who leads.
    pub leader: ReplicaId,
    /// In which term.
    pub term: u64,
    /// The last index, committed and held by all.
    pub commit: u64,
    /// The running hash of what the leader's machine applied, up to there.
    pub hash: u64,
}

/// See [`Say::Digests`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digests {
    /// For which groups it speaks.
    pub share: Share,
    /// By slot; those that are not named have no such groups.
    pub slots: BTreeMap<Slot, Digest>,
}

/// Of the groups of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many groups.
    pub groups: u64,
    /// The sum of a hash of (group, term, commit) over them.
    pub hash: u64,
}

/// See [`Say::Offer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Who offers.
    pub from: ReplicaId,
    /// To whom.
    pub to: ReplicaId,
    /// The leader's term.
    pub term: u64,
    /// The state, but for what segments hold.
    pub base: Base,
    /// What segments hold at that index.
    pub files: Vec<SegmentSummary>,
}

/// See [`Say::Fetch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Who asks.
    pub from: ReplicaId,
    /// The index of the offer; 0 for a segment alone.
    pub index: u64,
    /// Which segment.
    pub first_seq: u64,
    /// From which byte on.
    pub offset: u64,
}

/// See [`Say::Piece`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is a piece of.
    pub at: PieceAt,
    /// The bytes; empty when the segment is not there any more.
    pub data: Bytes,
}

/// Where a [`Piece`] belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceAt {
    /// For whom it is.
    pub to: ReplicaId,
    /// The index of the offer.
    pub index: u64,
    /// Which segment.
    pub first_seq: u64,
    /// From which byte on.
    pub offset: u64,
}

/// See [`Say::Taken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Who took it, or not.
    pub from: ReplicaId,
    /// The index of the offer.
    pub index: u64,
    /// Whether it is in place.
    pub taken: bool,
}
