//! The links to other servers, as the parts of this crate share them.

use std::collections::BTreeMap;
use std::sync::RwLock;

use flotilla_raft::StoreId;
use flotilla_routes::{Handle, Lane, Parts, PeerId, PeerInfo, SendError};
use tokio::sync::watch;

use crate::lock::{read, write};
use crate::roster::{Entry, Roster};

/// The routes, and who is at their ends. Only the [service](crate::service) changes the roster.
pub(crate) struct Links {
    pub(crate) handle: Handle,
    roster: RwLock<Roster>,
    /// Counts changes of the roster.
    changes: watch::Sender<u64>,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It is on its way.
    OnItsWay,
    /// There is no link.
    NoLink,
    /// The link cannot take it; it is lost.
    Refused,
}

impl Links {
    pub(crate) fn new(handle: Handle) -> Self {
        Self { handle, roster: RwLock::default(), changes: watch::Sender::new(0) }
    }

    /// Sends a frame over one link.
    pub(crate) fn send(&self, peer: PeerId, lane: Lane, frame: Parts) -> Sent {
        match self.handle.send_parts(peer, lane, frame) {
            Ok(()) => Sent::OnItsWay,
            Err(SendError::NotConnected(_)) => Sent::NoLink,
            Err(error) => {
                log::debug!("A frame to {peer} is lost: {error}");
                Sent::Refused
            }
        }
    }

    /// Sends a frame to the server with that store.
    pub(crate) fn send_to(&self, store: StoreId, lane: Lane, frame: Parts) -> Sent {
        match self.peer_of(store) {
            Some(peer) => self.send(peer, lane, frame),
            None => Sent::NoLink,
        }
    }

    /// Sends what a peer must not miss. A link that cannot take it is cut, and everything is said anew over the next.
    /// Returns whether the link holds.
    pub(crate) fn send_for_sure(&self, peer: PeerId, lane: Lane, frame: Parts) -> bool {
        let sent = self.send(peer, lane, frame);
        if sent == Sent::Refused {
            let name = self.name_of(peer);
            log::warn!("Route to {name} is cut, since it takes lane {lane} too slowly");
            self.handle.disconnect(peer, "slow consumer");
        }
        sent == Sent::OnItsWay
    }

    /// Cuts a link whose other end does not keep to the protocol.
    pub(crate) fn refuse(&self, peer: PeerId, why: &dyn std::fmt::Display) {
        log::error!("Route to {} is cut: {why}", self.name_of(peer));
        self.handle.disconnect(peer, &why.to_string());
    }

    pub(crate) fn up(&self, info: &PeerInfo) {
        write(&self.roster).up(info);
        self.changed();
    }

    pub(crate) fn down(&self, peer: PeerId, watches_beats: bool) {
        write(&self.roster).down(peer, watches_beats);
        self.changed();
    }

    pub(crate) fn set_alive(&self, store: StoreId, alive: bool) {
        write(&self.roster).set_alive(store, alive);
        self.changed();
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Tells of every change of the roster.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A linked server, for the log.
    pub(crate) fn name_of(&self, peer: PeerId) -> String {
        read(&self.roster).name_of(peer).map_or_else(|| peer.to_string(), str::to_owned)
    }

    /// The server with a store, for the log.
    pub(crate) fn name_with(&self, store: StoreId) -> String {
        let roster = read(&self.roster);
        roster.name_with(store).map_or_else(|| format!("{:016x}", store.0), str::to_owned)
    }

    pub(crate) fn peer_of(&self, store: StoreId) -> Option<PeerId> {
        read(&self.roster).peer_of(store)
    }

    pub(crate) fn store_of(&self, peer: PeerId) -> Option<(StoreId, u64)> {
        read(&self.roster).store_of(peer)
    }

    pub(crate) fn stores(&self) -> BTreeMap<StoreId, Option<u64>> {
        read(&self.roster).stores()
    }

    pub(crate) fn store_links(&self) -> Vec<PeerId> {
        read(&self.roster).store_links()
    }

    pub(crate) fn client_urls(&self) -> Vec<String> {
        read(&self.roster).client_urls().into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        read(&self.roster).entries()
    }
}
