//! The servers with a store: their bundles, beats and control frames on the way to JetStream here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_host::{Behind, Detector, Input, Room, Sign};
use flotilla_meta::Message;
use flotilla_raft::StoreId;
use flotilla_routes::{Lane, Parts, PeerId, PeerInfo};
use tokio::sync::mpsc;

use crate::beats::Beat;
use crate::control::{self, Control};
use crate::leadership::Leadership;
use crate::links::Links;
use crate::raft::{Bundles, arrived};
use crate::store::LocalStore;

/// What the servers with a store are to a server that has one.
pub(crate) struct Members {
    pub(crate) links: Arc<Links>,
    pub(crate) jetstream: Arc<dyn LocalStore>,
    pub(crate) leadership: Arc<Leadership>,
    pub(crate) bundles: Arc<Bundles>,
    /// To the bootstrap; closed when it is over.
    pub(crate) bootstrap: mpsc::Sender<(StoreId, Message)>,
    pub(crate) store: StoreId,
    pub(crate) detector: Detector,
    /// How much room others have on their disks, as JetStream was told.
    pub(crate) rooms: BTreeMap<StoreId, Room>,
    pub(crate) started: Instant,
    /// Who is linked and not listened to: its log is not what it was.
    pub(crate) disowned: BTreeSet<PeerId>,
    /// A tick that waits for the events that had arrived before it, and for how many.
    pub(crate) judgement: Option<(Duration, usize)>,
}

impl Members {
    /// A link stands, or its server says something new about itself.
    pub(crate) fn up(&mut self, info: &PeerInfo, is_new: bool) {
        let Some((store, boot)) = self.links.store_of(info.peer) else { return };
        if store == self.store {
            // Two servers with one store would each keep what the other promised.
            let why = format!("{} has a copy of this server's store", info.identity.server_name);
            return self.links.refuse(info.peer, &why);
        }
        let now = self.started.elapsed();
        let sign = match self.detector.linked(store, boot, info.identity.log_end, now) {
            Ok(sign) => sign,
            Err(behind) => return self.disown(info.peer, store, behind),
        };
        self.report(store, boot, sign);
        if is_new {
            self.jetstream.input(Input::LinkReset(store));
            self.leadership.tell_all(info.peer);
        }
    }

    /// What a server promised in an earlier life is not in its log any more: it counts for nothing, and is told.
    fn disown(&mut self, peer: PeerId, store: StoreId, behind: Behind) {
        if self.disowned.insert(peer) {
            log::error!(
                "The log of server {} ends at {}, and was at {} before: it is not listened to",
                self.links.name_with(store),
                behind.end,
                behind.known
            );
            self.links.set_alive(store, false);
            self.leadership.died(store);
            self.jetstream.input(Input::Died(store));
        }
        let frame = Parts::from_iter([control::behind(&behind)]);
        self.links.send_for_sure(peer, Lane::Control, frame);
    }

    /// The link to a server is gone.
    pub(crate) fn down(&mut self, peer: PeerId, store: StoreId) {
        self.disowned.remove(&peer);
        if store == self.store {
            return;
        }
        self.detector.unlinked(store, self.started.elapsed());
        self.jetstream.input(Input::LinkReset(store));
    }

    /// The process of a linked server seems to have ended.
    pub(crate) fn lifeline_cut(&mut self, peer: PeerId) {
        if let Some((store, _)) = self.links.store_of(peer) {
            self.detector.cut(store);
        }
    }

    /// A beat came.
    pub(crate) fn beat(&mut self, peer: PeerId, payload: &Bytes) {
        let Some(beat) = Beat::decode(payload) else { return };
        // The link has proved who is at its other end.
        if self.links.store_of(peer) != Some((beat.store, beat.boot)) {
            return;
        }
        let Beat { boot, store, number, synced, room } = beat;
        let sign = self.detector.heard(store, boot, number, synced, self.started.elapsed());
        if sign == Some(Sign::Returned) {
            // What it leads was forgotten with its death, and it does not know that it was dead.
            self.leadership.ask(peer);
        }
        self.report(store, boot, sign);
        if self.rooms.insert(store, room).unwrap_or_default() != room {
            self.jetstream.input(Input::Room { store, room });
        }
    }

    fn report(&self, store: StoreId, boot: u64, sign: Option<Sign>) {
        let Some(sign) = sign else { return };
        if sign == Sign::Returned {
            log::info!("Server {} lives", self.links.name_with(store));
            self.links.set_alive(store, true);
        }
        self.jetstream.input(Input::Heard { store, boot });
    }

    /// Frames for JetStream came.
    pub(crate) fn frames(&self, peer: PeerId, lane: Lane, frames: Vec<Bytes>) {
        let Some((from, _)) = self.links.store_of(peer).filter(|(store, _)| *store != self.store)
        else {
            return;
        };
        if self.disowned.contains(&peer) {
            return;
        }
        for frame in frames {
            if lane != Lane::Control {
                // One that is not taken is lost; Raft sends again.
                self.jetstream.input(Input::Bundle { from, frame: arrived(frame) });
                continue;
            }
            match Control::decode(&frame) {
                Ok(control) => self.control(peer, from, control),
                Err(error) => return self.links.refuse(peer, &error),
            }
        }
        self.jetstream.settle();
    }

    fn control(&self, peer: PeerId, from: StoreId, control: Control) {
        match control {
            Control::Call(wire) => self.jetstream.receive(from, wire),
            Control::Claims(claims) => self.leadership.heard(from, &claims, false),
            Control::AllClaims(claims) => self.leadership.heard(from, &claims, true),
            Control::ClaimsWanted => self.leadership.tell_all(peer),
            // Said of this life, and not of an earlier one.
            Control::Behind(behind) if self.links.handle.identity().log_end == Some(behind.end) => {
                self.jetstream.input(Input::Behind { by: from, behind });
            }
            Control::Behind(_) => {}
            // Lost when the bootstrap is over, or has too much to do: stores repeat themselves.
            Control::Bootstrap(message) => drop(self.bootstrap.try_send((from, message))),
        }
    }

    /// Time passed. `waiting` events have arrived and are not yet read; if there is no room for more of them, beats
    /// may be stuck behind.
    pub(crate) fn tick(&mut self, waiting: usize, is_full: bool) {
        for store in self.bundles.take_lost() {
            self.jetstream.input(Input::LinkReset(store));
        }
        let now = self.started.elapsed();
        if is_full {
            self.detector.restart(now);
        }
        if self.judgement.is_none() {
            self.judgement = Some((now, waiting));
            self.judge();
        }
    }

    /// An event was read.
    pub(crate) fn event_done(&mut self) {
        if let Some((_, waiting)) = &mut self.judgement {
            *waiting = waiting.saturating_sub(1);
            self.judge();
        }
    }

    /// Judges by what had arrived at a tick, once it is known.
    fn judge(&mut self) {
        let Some((at, _)) = self.judgement.take_if(|(_, waiting)| *waiting == 0) else { return };
        for store in self.detector.tick(at) {
            log::warn!(
                "Server {} is taken for dead: no beats of it come",
                self.links.name_with(store)
            );
            self.links.set_alive(store, false);
            self.leadership.died(store);
            self.jetstream.input(Input::Died(store));
        }
    }
}
