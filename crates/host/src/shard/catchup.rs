//! Catch-up: a member that the log cannot bring up to date is offered a state, fetches what it lacks of it into
//! staging, and only then steps the snapshot.

use std::collections::VecDeque;

use flotilla_disk::SegmentSummary;
use flotilla_raft::{Body, GroupId, Message, StoreId};

use super::Shard;
use crate::bundle::{Fetch, Offer, Piece, PieceAt, Say, Taken, Unknown};
use crate::notice::Notice;
use crate::time::SECOND;

/// How many bytes one piece has at most.
const PIECE_BYTES: usize = 512 << 10;
/// After how long a piece is asked for again.
const RETRY: u64 = 3 * SECOND;

/// A state on its way here.
pub(super) struct Incoming {
    from: StoreId,
    offer: Offer,
    todo: VecDeque<(SegmentSummary, u64)>,
    asked_at: u64,
}

impl Shard {
    pub(super) fn take_offer(&mut self, from: StoreId, group: GroupId, offer: Offer) {
        let Some(replica) = self.replicas.get_mut(group).filter(|r| r.raft().id() == offer.to)
        else {
            return self.cx.say(from, group, &Say::Unknown(Unknown { replica: offer.to }));
        };
        replica.wake();
        let known = self.catchup.get(&group).map(|i| (i.offer.base.index, i.offer.term));
        if known == Some((offer.base.index, offer.term)) {
            return;
        }
        let needed = match self.replicas.streams.get_mut(&group) {
            Some(stream) if offer.base.index > stream.raft.commit() => {
                match stream.machine.stage(&offer.files, &mut self.cx) {
                    Ok(needed) => needed,
                    Err(error) => return self.refuse_offer(from, group, &offer, &error),
                }
            }
            _ => Vec::new(),
        };
        let todo = needed.into();
        let incoming = Incoming { from, offer, todo, asked_at: 0 };
        self.catchup.insert(group, incoming);
        self.go_on(group);
    }

    /// Asks for the next piece, or takes the state over when all of it is here.
    fn go_on(&mut self, group: GroupId) {
        let Some(incoming) = self.catchup.get_mut(&group) else { return };
        while incoming.todo.pop_front_if(|(file, offset)| *offset >= file.bytes).is_some() {}
        match incoming.todo.front() {
            Some((file, offset)) => {
                incoming.asked_at = self.cx.now.mono;
                let fetch = Fetch {
                    from: incoming.offer.to,
                    index: incoming.offer.base.index,
                    first_seq: file.first_seq,
                    offset: *offset,
                };
                self.cx.say(incoming.from, group, &Say::Fetch(fetch));
            }
            None => self.install(group),
        }
    }

    /// A job on the group's files has ended: a state of which everything is here may have waited for that alone.
    pub(super) fn install_if_complete(&mut self, group: GroupId) {
        if self.catchup.get(&group).is_some_and(|incoming| incoming.todo.is_empty()) {
            self.install(group);
        }
    }

    /// Takes the state over, once nothing is at work on the files that it replaces.
    fn install(&mut self, group: GroupId) {
        if self.files.is_busy(group) || self.cx.out.jobs.iter().any(|job| job.group() == group) {
            return;
        }
        let Some(Incoming { from, offer, .. }) = self.catchup.remove(&group) else { return };
        // One that is not ahead of this replica changes nothing; the library says so to the leader.
        let ahead = self.replicas.streams.get(&group);
        let ahead = ahead.filter(|stream| offer.base.index > stream.raft.commit());
        let staged = ahead.map(|stream| stream.machine.mark_staged(&offer.base, &self.cx));
        if let Some(Err(error)) = staged {
            return self.refuse_offer(from, group, &offer, &error);
        }
        let body = Body::Snapshot {
            index: offer.base.index,
            term: offer.base.term,
            membership: offer.base.membership.clone(),
        };
        let message = Message { from: offer.from, to: offer.to, term: offer.term, body };
        let taken = Taken { from: offer.to, index: offer.base.index, taken: true };
        let cx = &mut self.cx;
        let stepped = if let Some(stream) = self.replicas.streams.get_mut(&group) {
            stream.incoming = Some(offer.base);
            stream.step(from, message, cx)
        } else if let Some(consumer) = self.replicas.consumers.get_mut(&group) {
            consumer.incoming = Some(offer.base);
            consumer.step(from, message, cx)
        } else if let Some(meta) = self.replicas.meta.as_mut().filter(|_| group == GroupId::META) {
            meta.incoming = Some(offer.base);
            meta.step(from, message, cx)
        } else {
            return;
        };
        self.dirty.insert(group);
        match stepped {
            Ok(()) => self.cx.say(from, group, &Say::Taken(taken)),
            Err(error) => {
                self.cx.say(from, group, &Say::Taken(Taken { taken: false, ..taken }));
                self.check_step(from, group, Err(error));
            }
        }
    }

    fn refuse_offer(&mut self, from: StoreId, group: GroupId, offer: &Offer, why: &str) {
        self.cx.notice(Notice::Text(format!("group {group}: an offered state is refused: {why}")));
        let taken = Taken { from: offer.to, index: offer.base.index, taken: false };
        self.cx.say(from, group, &Say::Taken(taken));
    }

    /// A member fetches.
    pub(super) fn take_fetch(&mut self, from: StoreId, group: GroupId, fetch: Fetch) {
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
        let data = stream.machine.piece(fetch.first_seq, fetch.offset, PIECE_BYTES, &mut self.cx);
        stream.offered.insert(fetch.from, self.cx.now.mono);
        let Fetch { from: to, index, first_seq, offset } = fetch;
        let at = PieceAt { to, index, first_seq, offset };
        self.cx.say(from, group, &Say::Piece(Piece { at, data }));
    }

    pub(super) fn take_piece(&mut self, from: StoreId, group: GroupId, piece: &Piece) {
        let Some(incoming) = self.catchup.get_mut(&group) else { return };
        let index = incoming.offer.base.index;
        let Some((file, offset)) = incoming.todo.front_mut().filter(|(file, offset)| {
            (piece.at.first_seq, piece.at.offset, piece.at.index)
                == (file.first_seq, *offset, index)
        }) else {
            return;
        };
        if incoming.from != from {
            return;
        }
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
        // A segment that is appended to has gone on since it was offered.
        let left = usize::try_from(file.bytes - *offset).unwrap_or(usize::MAX);
        let data = piece.data.slice(..piece.data.len().min(left));
        let staged = if data.is_empty() {
            Err("a segment of it is not there any more".to_owned())
        } else {
            stream.machine.stage_piece(file, *offset, &data, &mut self.cx)
        };
        match staged {
            Ok(()) => {
                *offset += data.len() as u64;
                self.go_on(group);
            }
            Err(error) => {
                if let Some(incoming) = self.catchup.remove(&group) {
                    self.refuse_offer(from, group, &incoming.offer, &error);
                }
            }
        }
    }

    pub(super) fn take_taken(&mut self, group: GroupId, taken: Taken) {
        let Some(replica) = self.replicas.get_mut(group) else { return };
        replica.wake();
        replica.raft_mut().report_snapshot(taken.from, taken.taken);
        self.dirty.insert(group);
    }

    /// Asks again for what did not come; gives up what comes from a dead server.
    pub(super) fn retry_catchup(&mut self) {
        let now = self.cx.now.mono;
        let peers = &self.cx.peers;
        self.catchup.retain(|_, incoming| !peers.is_dead(incoming.from));
        let late = |i: &Incoming| now.saturating_sub(i.asked_at) > RETRY;
        let late: Vec<GroupId> =
            self.catchup.iter().filter(|(_, i)| late(i)).map(|(g, _)| *g).collect();
        for group in late {
            self.go_on(group);
        }
    }
}
