//! How a server's groups are shared out among its shards: by their slot, so that a stream and its consumers meet.

use flotilla_raft::{GroupId, Slot};
use serde::{Deserialize, Serialize};

/// The share of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    shard: usize,
    of: usize,
}

impl Share {
    /// That of a server's only shard.
    pub const WHOLE: Self = Self { shard: 0, of: 1 };

    /// The shares of so many shards, of at least one.
    pub fn split(shards: usize) -> impl Iterator<Item = Self> {
        let of = shards.max(1);
        (0..of).map(move |shard| Self { shard, of })
    }

    /// The shard's number, from 0.
    #[must_use]
    pub fn shard(self) -> usize {
        self.shard
    }

    /// Whether the shard drives `group`.
    #[must_use]
    pub fn holds(self, group: GroupId) -> bool {
        self.holds_slot(group.slot())
    }

    pub(crate) fn holds_slot(self, slot: Slot) -> bool {
        // A share that a peer names may be any.
        usize::from(slot.0) % self.of.max(1) == self.shard
    }
}

/// Which of a server's `shards` drives `group`.
#[must_use]
pub fn shard_of(group: GroupId, shards: usize) -> usize {
    usize::from(group.slot().0) % shards.max(1)
}
