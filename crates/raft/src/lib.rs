//! One Raft group: the adapter over the `raft` library, in our own types.
//!
//! It owns no clock, no files and no sockets. The host gives a [`Group`] messages, proposals, ticks and the news
//! that something is on stable storage, and carries out what [`Group::ready`] returns, in the order it says.
//!
//! Invariants kept here:
//! - no message of a term leaves before that term is on stable storage;
//! - what a follower says after a unit of work leaves only when that unit and all before it are;
//! - nothing that a peer or a disk says makes the library panic; if it does all the same, one group ends.

mod convert;
mod error;
mod group;
mod log;
mod message;
mod refuse;
mod types;

pub use error::{Poisoned, ProposeError, StartError, StepError, Unknown};
pub use group::{Group, Options, Progress, ReadAt, Ready, Role, SnapshotAt, Start};
pub use message::{Body, DecodeError, MESSAGE_VERSION, Message};
pub use types::{
    Base, Change, Entry, EntryKind, GroupId, HardState, Membership, ReplicaId, Slot, StoreId,
};
