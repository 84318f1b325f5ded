//! What the tasks of a service share with its handles.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::Endpoint;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::Refusal;
use crate::event::Event;
use crate::handshake::Candidate;
use crate::identity::{Identity, PeerId, PeerInfo};
use crate::link::Link;
use crate::options::Options;
use crate::wire::LinkFrame;

/// Written by nobody but its owner: `table` by the mesh, `identity` by the handles, `phase` by
/// whoever ends the service.
pub(crate) struct Shared {
    /// As given at start. The identity in it is out of date; see `identity`.
    pub(crate) options: Options,
    pub(crate) endpoint: Endpoint,
    /// Whether certificates are verified.
    pub(crate) verified: bool,
    /// What this server says about itself now.
    pub(crate) identity: watch::Sender<Identity>,
    /// All links.
    pub(crate) table: watch::Sender<Arc<Table>>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) events: mpsc::Sender<Event>,
    /// To the mesh, from the tasks of this crate.
    pub(crate) commands: mpsc::Sender<Command>,
    /// Where lanes' writers run, whichever thread sends the first frame.
    pub(crate) runtime: tokio::runtime::Handle,
}

impl Shared {
    /// This server's name.
    pub(crate) fn name(&self) -> &str {
        &self.options.identity.server_name
    }

    /// Waits until the service has come so far.
    pub(crate) async fn reached(&self, phase: Phase) {
        // The sender is in `self`, so this does not fail.
        let _ = self.phase.subscribe().wait_for(|now| *now >= phase).await;
    }

    /// Tells the server above of a refusal, unless it is one of the everyday kind.
    pub(crate) fn report(&self, addr: SocketAddr, reason: Refusal) {
        if !matches!(reason, Refusal::Oneself | Refusal::AlreadyLinked(_)) {
            // Strangers cause these: they must not hold up anything when the receiver is full.
            let _ = self.events.try_send(Event::Refused { addr, reason });
        }
    }
}

/// The links at one moment.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) links: BTreeMap<PeerId, Entry>,
}

/// One link.
pub(crate) struct Entry {
    pub(crate) link: Arc<Link>,
    pub(crate) info: Arc<PeerInfo>,
}

impl Table {
    /// Whether a server of this name is linked.
    pub(crate) fn has_name(&self, server_name: &str) -> bool {
        self.links.values().any(|entry| entry.info.identity.server_name == server_name)
    }

    /// Whether a link's datagrams come from this address.
    pub(crate) fn has_addr(&self, addr: SocketAddr) -> bool {
        self.links.values().any(|entry| entry.info.addr == addr)
    }
}

/// How far the service is from its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    Stopping,
    Stopped,
}

/// A request to the mesh.
pub(crate) enum Command {
    /// A connection has passed the handshake.
    Propose { candidate: Box<Candidate>, verdict: oneshot::Sender<Result<(), Refusal>> },
    /// A peer's frame on the link stream.
    Frame { peer: PeerId, number: u64, frame: LinkFrame },
}
