//! Reaching the cluster from the rest of the server.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use flotilla_jetstream::{Claim, Remote, Wire};
use flotilla_raft::StoreId;
use flotilla_routes::{Handle, Lane, Parts};
use tokio::sync::watch;

use crate::control;
use crate::envelope::{Names, forwarded};
use crate::interest::Neighbours;
use crate::leadership::Leadership;
use crate::links::{Links, Sent};
use crate::raft::Bundles;

/// Reaches the cluster, from any thread. Cheap to clone; when the last clone is dropped, the server leaves.
#[derive(Clone)]
pub struct ClusterHandle {
    pub(crate) links: Arc<Links>,
    pub(crate) neighbours: Arc<Neighbours>,
    pub(crate) bundles: Arc<Bundles>,
    /// Set when the cluster starts with JetStream.
    pub(crate) leadership: Arc<OnceLock<Arc<Leadership>>>,
    pub(crate) stop: Arc<watch::Sender<bool>>,
}

/// Another server, as this one knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// Its name.
    pub name: String,
    /// Its store, if it runs JetStream.
    pub store: Option<StoreId>,
    /// Whether it is linked.
    pub linked: bool,
    /// With a store: whether its beats tell that it lives, if this server has a store too. Else: whether it is linked.
    pub alive: bool,
    /// Round-trip time of the link.
    pub rtt: Option<Duration>,
}

impl ClusterHandle {
    /// How many bundles were refused so far.
    #[must_use]
    pub fn refused_bundles(&self) -> u64 {
        self.bundles.refused()
    }

    /// All servers but this one, by name: those that are linked, and those that were and were not replaced since.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        let entries = self.links.entries();
        let status = entries.into_iter().map(|entry| PeerStatus {
            name: entry.name,
            store: entry.store,
            linked: entry.link.is_some(),
            alive: entry.alive,
            rtt: entry.link.and_then(|peer| self.routes().stats(peer)).map(|stats| stats.rtt),
        });
        status.collect()
    }

    /// The routes underneath, for monitoring and for changes of what this server says about itself.
    #[must_use]
    pub fn routes(&self) -> &Handle {
        &self.links.handle
    }

    /// The UDP address of the routes.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.routes().local_addr()
    }

    /// Leaves: other servers see it at once.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        self.routes().shutdown().await;
    }
}

impl Remote for ClusterHandle {
    /// Always true: the shards are told [`LinkReset`](flotilla_host::Input::LinkReset) with the next tick, or with the
    /// end of the link, when a bundle is lost. Told at once, Raft would answer with more of what cannot be sent.
    fn bundle(&self, to: StoreId, shard: u8, frame: Vec<Bytes>, bulk: bool) -> bool {
        self.bundles.send(to, shard, frame, bulk);
        true
    }

    /// Before [`Cluster::start`](crate::Cluster::start) there is nobody to tell; who comes later is told everything.
    fn claims(&self, claims: &[Claim]) {
        if let Some(leadership) = self.leadership.get() {
            leadership.changed(claims);
        }
    }

    fn send(&self, to: StoreId, wire: &Wire) -> bool {
        let frame = Parts::from_iter([control::call(wire)]);
        self.links.send_to(to, Lane::Control, frame) == Sent::OnItsWay
    }

    fn forward(
        &self,
        to: StoreId,
        account: &str,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Bytes>,
        payload: &Bytes,
    ) -> bool {
        // Before a server knows the interest in the reply, it could not send one.
        let peer = self.links.peer_of(to).and_then(|peer| self.neighbours.ready(peer.get()));
        let Some(peer) = peer else { return false };
        let names = Names { account, subject, shown: None, reply, queues: &[] };
        let Ok(frame) = forwarded(names, headers, payload) else { return false };
        self.links.send(peer, Lane::Messages, frame) == Sent::OnItsWay
    }
}

impl fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClusterHandle").field(self.routes()).finish()
    }
}
