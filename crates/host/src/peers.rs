//! The other servers, as far as their life concerns groups: who is dead, and since when nobody heard of whom.
//!
//! Groups do not beat; servers do. What this table says about a server holds for all groups that
//! it has a part in.

use std::collections::BTreeMap;

use flotilla_disk::Room;
use flotilla_raft::StoreId;

/// The table.
#[derive(Clone, Debug, Default)]
pub struct PeerTable {
    peers: BTreeMap<StoreId, Peer>,
    /// The disks that have too little room, this server's own too.
    tight: BTreeMap<StoreId, Room>,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    boot: u64,
    alive: bool,
    heard: u64,
}

/// What became known of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerChange {
    /// It was dead or unknown, or it is another life of its process: whatever was on the way to it is lost.
    Returned,
    /// It is dead.
    Died,
}

impl PeerTable {
    /// A server was heard: it lives, in the life that `boot` names. `now` is in nanoseconds.
    pub fn heard(&mut self, store: StoreId, boot: u64, now: u64) -> Option<PeerChange> {
        let fresh = Peer { boot, alive: true, heard: now };
        match self.peers.insert(store, fresh) {
            Some(before) if before.alive && before.boot == boot => None,
            _ => Some(PeerChange::Returned),
        }
    }

    /// A server is taken for dead.
    pub fn died(&mut self, store: StoreId) -> Option<PeerChange> {
        let peer = self.peers.get_mut(&store).filter(|p| p.alive)?;
        peer.alive = false;
        Some(PeerChange::Died)
    }

    /// Whether the server is known to be dead. One that was never heard is: it may not have started yet.
    #[must_use]
    pub fn is_dead(&self, store: StoreId) -> bool {
        self.peers.get(&store).is_none_or(|p| !p.alive)
    }

    /// Nanoseconds since the server was last heard; `None` if it never was.
    #[must_use]
    pub fn silent_for(&self, store: StoreId, now: u64) -> Option<u64> {
        self.peers.get(&store).map(|p| now.saturating_sub(p.heard))
    }

    /// How much room a server has on its disk. Returns whether that is new.
    pub fn set_room(&mut self, store: StoreId, room: Room) -> bool {
        let before = if room == Room::Enough {
            self.tight.remove(&store)
        } else {
            self.tight.insert(store, room)
        };
        before.unwrap_or_default() != room
    }

    /// How much room a server has on its disk, as it last said.
    #[must_use]
    pub fn room(&self, store: StoreId) -> Room {
        self.tight.get(&store).copied().unwrap_or_default()
    }

    /// Whether it has enough.
    #[must_use]
    pub fn has_room(&self, store: StoreId) -> bool {
        self.room(store) == Room::Enough
    }

    /// Whether all have enough.
    #[must_use]
    pub fn all_have_room(&self) -> bool {
        self.tight.is_empty()
    }

    /// The server that lives behind `after`, in the order of all servers, or the first one; never `me`.
    #[must_use]
    pub(crate) fn next_alive(&self, after: Option<StoreId>, me: StoreId) -> Option<StoreId> {
        let others = || self.alive().filter(|store| *store != me);
        others().find(|store| Some(*store) > after).or_else(|| others().next())
    }

    /// The servers that live.
    pub fn alive(&self) -> impl Iterator<Item = StoreId> {
        self.peers.iter().filter(|(_, p)| p.alive).map(|(store, _)| *store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_life_is_a_return_even_if_nobody_saw_the_death() {
        let mut peers = PeerTable::default();
        assert!(peers.is_dead(StoreId(1)));
        assert_eq!(peers.heard(StoreId(1), 7, 0), Some(PeerChange::Returned));
        assert_eq!(peers.heard(StoreId(1), 7, 5), None);
        assert_eq!(peers.silent_for(StoreId(1), 9), Some(4));
        assert_eq!(peers.heard(StoreId(1), 8, 9), Some(PeerChange::Returned));
        assert_eq!(peers.died(StoreId(1)), Some(PeerChange::Died));
        assert_eq!(peers.died(StoreId(1)), None);
        assert!(peers.is_dead(StoreId(1)));
    }

    #[test]
    fn a_disk_has_room_until_its_server_says_otherwise() {
        let mut peers = PeerTable::default();
        assert!(peers.has_room(StoreId(1)) && !peers.set_room(StoreId(1), Room::Enough));
        assert!(peers.set_room(StoreId(1), Room::Short));
        assert!(!peers.set_room(StoreId(1), Room::Short));
        assert!(!peers.has_room(StoreId(1)) && !peers.all_have_room());
        assert!(peers.set_room(StoreId(1), Room::Enough) && peers.all_have_room());
    }
}
