//! A stream on a disk without room: it takes no messages, lets another member lead, and gives back what it can.
//!
//! What is published must be stored by a majority, so a leader looks at the disks of all voters, as far as it heard of
//! them. What was proposed before is not taken back: it is committed, or it is not, and is answered accordingly.

use flotilla_jsapi::ErrorKind;
use flotilla_raft::{ReplicaId, StoreId};

use super::StreamMachine;
use super::inbound::Inbound;
use crate::replica::Replica;
use crate::turn::Cx;

impl Replica<StreamMachine> {
    /// Whether there is room for what is published: here, and on a majority of the voters.
    pub(super) fn has_room(&self, cx: &Cx) -> bool {
        let peers = &cx.peers;
        let has_room = |s| peers.has_room(s) && (s == cx.store || !peers.is_dead(s));
        peers.all_have_room() || (has_room(cx.store) && self.majority(has_room))
    }

    /// Whether the other voters that live and have room are a majority without this one.
    pub(crate) fn others_have_room(&self, cx: &Cx) -> bool {
        let fit = |s| s != cx.store && cx.peers.has_room(s) && !cx.peers.is_dead(s);
        self.majority(fit)
    }

    /// Of each half of a joint configuration.
    fn majority(&self, counts: impl Fn(StoreId) -> bool) -> bool {
        let membership = self.raft.membership();
        let counts = |r: &&ReplicaId| membership.store_of(**r).is_some_and(&counts);
        let of = |voters: &[ReplicaId]| voters.iter().filter(counts).count() > voters.len() / 2;
        let outgoing = &membership.voters_outgoing;
        of(&membership.voters) && (outgoing.is_empty() || of(outgoing))
    }

    /// Refuses all that waits, as the reference server does when its store is full.
    pub(super) fn refuse_queue(&mut self, cx: &mut Cx) {
        let waiting = std::mem::take(&mut self.machine.queue);
        self.machine.forget_queue();
        for message in waiting.iter().flat_map(Inbound::iter) {
            self.machine.refuse(message.reply, ErrorKind::InsufficientResources, cx);
        }
    }

    /// There is no room here, and others have some: one of them is to lead.
    pub(crate) fn make_way(&mut self, cx: &mut Cx) {
        if !cx.peers.has_room(cx.store) && self.others_have_room(cx) {
            self.give_way(cx);
        }
    }

    /// Whether a new base would free room that is needed: messages are gone of which the last one knows still.
    pub(crate) fn can_make_room(&self, cx: &Cx) -> bool {
        !cx.peers.has_room(cx.store) && self.durable_base < self.machine.removed_at
    }
}
