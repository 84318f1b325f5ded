//! Catch-up: a member that the log cannot bring up to date is offered a state, fetches what it lacks of it into
//! staging, and only then steps the snapshot.

use flotilla_raft::{Body, GroupId, Message, StoreId};

use super::Shard;
use super::fetching::Fetching;
use crate::bundle::{Fetch, Offer, Piece, PieceAt, Say, Taken, Unknown};
use crate::notice::Notice;

/// How many bytes one piece has at most.
const PIECE_BYTES: usize = 512 << 10;

/// A state on its way here.
pub(super) struct Incoming {
    offer: Offer,
    fetching: Fetching,
}

impl Shard {
    pub(super) fn take_offer(&mut self, from: StoreId, group: GroupId, offer: Offer) {
        let Some(replica) = self.replicas.get_mut(group).filter(|r| r.raft().id() == offer.to)
        else {
            return self.cx.say(from, group, &Say::Unknown(Unknown { replica: offer.to }));
        };
        replica.wake();
        self.dirty.insert(group);
        // One after the other: a state that is being taken over is not on stable storage yet, and its files are moved in
        // only then, which removes whatever else is staged. The leader offers again what it has by then.
        if replica.is_installing() {
            return self.put_off(from, group, &offer);
        }
        let known = self.catchup.get(&group).map(|i| (i.offer.base.index, i.offer.term));
        if known == Some((offer.base.index, offer.term)) {
            return;
        }
        let needed = match self.replicas.streams.get(&group) {
            Some(stream) if offer.base.index > stream.raft.commit() => {
                match stream.machine.lacking(&offer.files, &self.cx) {
                    Ok(needed) => needed,
                    Err(error) => return self.refuse_offer(from, group, &offer, &error),
                }
            }
            _ => Vec::new(),
        };
        let fetching = Fetching::begin(from, offer.to, offer.base.index, needed);
        self.catchup.insert(group, Incoming { offer, fetching });
        self.go_on(group);
    }

    /// Asks for the next piece, or takes the state over when all of it is here.
    fn go_on(&mut self, group: GroupId) {
        let Some(incoming) = self.catchup.get_mut(&group) else { return };
        if !incoming.fetching.ask(group, &mut self.cx) {
            self.install(group);
        }
    }

    /// A job on the group's files has ended: a state of which everything is here may have waited for that alone.
    pub(super) fn install_if_complete(&mut self, group: GroupId) {
        if self.catchup.get(&group).is_some_and(|incoming| incoming.fetching.is_done()) {
            self.install(group);
        }
    }

    /// Takes the state over, once nothing is at work on the files that it replaces.
    fn install(&mut self, group: GroupId) {
        if self.files.is_busy(group) || self.cx.out.jobs.iter().any(|job| job.group() == group) {
            return;
        }
        let Some(Incoming { offer, fetching }) = self.catchup.remove(&group) else { return };
        let from = fetching.from;
        // One that is not ahead of this replica changes nothing; the library says so to the leader.
        let ahead = self.replicas.streams.get(&group);
        let ahead = ahead.filter(|stream| offer.base.index > stream.raft.commit());
        let staged = ahead.map(|stream| stream.machine.mark_staged(&offer, &self.cx));
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
            stream.incoming = Some(Box::new(offer.base));
            stream.step(from, message, cx)
        } else if let Some(consumer) = self.replicas.consumers.get_mut(&group) {
            consumer.incoming = Some(Box::new(offer.base));
            consumer.step(from, message, cx)
        } else if let Some(meta) = self.replicas.meta.as_mut().filter(|_| group == GroupId::META) {
            meta.incoming = Some(Box::new(offer.base));
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
        self.put_off(from, group, offer);
    }

    /// Says that an offered state is not taken; the leader offers what it has by then.
    fn put_off(&mut self, from: StoreId, group: GroupId, offer: &Offer) {
        let taken = Taken { from: offer.to, index: offer.base.index, taken: false };
        self.cx.say(from, group, &Say::Taken(taken));
    }

    /// A member fetches.
    pub(super) fn take_fetch(&mut self, from: StoreId, group: GroupId, fetch: Fetch) {
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
        let data = stream.machine.piece(fetch.first_seq, fetch.offset, PIECE_BYTES, &mut self.cx);
        stream.offered.insert(fetch.from, self.cx.now.mono);
        self.dirty.insert(group);
        let Fetch { from: to, index, first_seq, offset } = fetch;
        let at = PieceAt { to, index, first_seq, offset };
        self.cx.say(from, group, &Say::Piece(Piece { at, data }));
    }

    pub(super) fn take_piece(&mut self, from: StoreId, group: GroupId, piece: &Piece) {
        let Some(incoming) = self.catchup.get_mut(&group) else {
            return self.take_mending_piece(from, group, piece);
        };
        if !incoming.fetching.expects(from, piece) {
            return;
        }
        match incoming.fetching.take(&*self.cx.disk, group, piece) {
            Ok(()) => self.go_on(group),
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
        self.catchup.retain(|_, incoming| !peers.is_dead(incoming.fetching.from));
        let late = self.catchup.iter().filter(|(_, incoming)| incoming.fetching.is_late(now));
        let late: Vec<GroupId> = late.map(|(group, _)| *group).collect();
        for group in late {
            self.go_on(group);
        }
    }
}
