//! Disks without room.

use flotilla_disk::Room;
use flotilla_raft::{Body, GroupId, Message, StoreId};

use super::Shard;

impl Shard {
    /// How much room there is on a disk. Leaders look at what waits for them; and while there is too little here, streams
    /// that could make some do so, again and again: what they need for it may not have been there the last time.
    pub(super) fn take_room(&mut self, store: StoreId, room: Room) {
        let is_new = self.cx.peers.set_room(store, room);
        let streams = self.replicas.streams.iter();
        let concerned = streams.filter(|(_, s)| is_new || s.can_make_room(&self.cx));
        self.dirty.extend(concerned.map(|(group, _)| *group));
    }

    /// Whether a message of a leader would take the last room there is, while the others can do without this member. It is
    /// left unanswered, so it comes again; votes, and all that makes room, are taken as ever.
    pub(super) fn has_no_place_for(&self, group: GroupId, message: &Message) -> bool {
        let Body::Append { entries, .. } = &message.body else { return false };
        self.cx.peers.room(self.cx.store) == Room::Out
            && entries.iter().any(|entry| flotilla_stream::is_publish(&entry.data))
            && self.replicas.streams.get(&group).is_some_and(|s| s.others_have_room(&self.cx))
    }
}
