//! Who leads what, told to all servers.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flotilla_jetstream::{Claim, Leaders};
use flotilla_raft::StoreId;
use flotilla_routes::{Lane, Parts, PeerId};

use crate::control;
use crate::links::Links;
use crate::lock::lock;

/// This server's claims on their way out, and others' on their way in.
pub(crate) struct Leadership {
    links: Arc<Links>,
    leaders: Arc<Leaders>,
    store: StoreId,
    /// Held while claims are queued, and while a list is read from the table and queued: no change so comes to a peer
    /// before a list that does not contain it yet.
    order: Mutex<()>,
}

impl Leadership {
    pub(crate) fn new(links: Arc<Links>, leaders: Arc<Leaders>, store: StoreId) -> Self {
        Self { links, leaders, store, order: Mutex::default() }
    }

    /// What this server leads has changed, as the table says already.
    pub(crate) fn changed(&self, claims: &[Claim]) {
        let _order = lock(&self.order);
        let frame = control::claims(claims, false);
        for peer in self.links.store_links() {
            self.send(peer, frame.clone());
        }
    }

    /// Tells a server everything that this one leads.
    pub(crate) fn tell_all(&self, peer: PeerId) {
        let _order = lock(&self.order);
        self.send(peer, control::claims(&self.leaders.claims_of(self.store), true));
    }

    /// Asks a server for everything that it leads.
    pub(crate) fn ask(&self, peer: PeerId) {
        self.send(peer, control::claims_wanted());
    }

    /// Another server says what it leads.
    pub(crate) fn heard(&self, from: StoreId, claims: &[Claim], are_all: bool) {
        if are_all {
            self.leaders.forget(from);
        }
        for claim in claims {
            self.leaders.claim(from, *claim);
        }
    }

    /// A server is dead: it leads nothing.
    pub(crate) fn died(&self, store: StoreId) {
        self.leaders.forget(store);
    }

    fn send(&self, peer: PeerId, frame: Bytes) {
        self.links.send_for_sure(peer, Lane::Control, Parts::from_iter([frame]));
    }
}
