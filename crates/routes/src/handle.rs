//! Starting the service, and talking to it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::accept::accept;
use crate::crypto::Crypto;
use crate::error::{DownReason, OptionError, SendError, StartError};
use crate::event::Event;
use crate::identity::{Identity, PeerId, PeerInfo};
use crate::lane::Lane;
use crate::lifeline;
use crate::link::Link;
use crate::mesh::Mesh;
use crate::options::{self, Options};
use crate::outbox::Parts;
use crate::shared::{Phase, Shared, Table};
use crate::transport::{self, BEAT_LIMIT};

/// Events that wait for the server above. One holds at most 64 KiB of frames, or one longer frame.
const EVENTS: usize = 1024;

/// Requests that wait for the mesh.
const COMMANDS: usize = 256;

/// Longest wait for an orderly end.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// The routes of one server.
pub struct Routes;

impl Routes {
    /// Listens, and begins to dial. Must be called within a tokio runtime, which the service then
    /// runs on.
    ///
    /// The service ends with [`Handle::shutdown`], when its last handle is dropped, or when the
    /// receiver is.
    pub fn start(options: Options) -> Result<(Handle, mpsc::Receiver<Event>), StartError> {
        options::check(&options)?;
        let crypto = Crypto::new(options.tls.as_ref())?;
        let endpoint = transport::endpoint(&options, &crypto)?;
        let listen = |source| StartError::Listen { addr: options.listen, source };
        let local_addr = endpoint.local_addr().map_err(listen)?;
        let (events, receiver) = mpsc::channel(EVENTS);
        let (commands, mesh_commands) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared {
            endpoint,
            verified: crypto.verified,
            identity: watch::Sender::new(options.identity.clone()),
            table: watch::Sender::new(Arc::new(Table::default())),
            phase: watch::Sender::new(Phase::Running),
            events,
            commands,
            runtime: tokio::runtime::Handle::current(),
            options,
        });
        shared.runtime.spawn(accept(shared.clone()));
        if let Some(listener) = lifeline::listen(local_addr) {
            let stopping = shared.clone();
            shared.runtime.spawn(async move {
                tokio::select! {
                    () = lifeline::hold(listener) => {}
                    () = stopping.reached(Phase::Stopping) => {}
                }
            });
        }
        shared.runtime.spawn(Mesh::new(shared.clone(), mesh_commands).run());
        let last = Arc::new(StopOnDrop(shared.clone()));
        Ok((Handle { shared, local_addr, _last: last }, receiver))
    }
}

/// Reaches a running service, from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    /// Ends the service when the last handle goes.
    _last: Arc<StopOnDrop>,
}

struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        stop(&self.0);
    }
}

fn stop(shared: &Shared) {
    shared.phase.send_if_modified(|phase| {
        let running = *phase == Phase::Running;
        if running {
            *phase = Phase::Stopping;
        }
        running
    });
}

/// How a link fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Estimated round-trip time.
    pub rtt: Duration,
    /// Bytes of UDP payload sent.
    pub sent_bytes: u64,
    /// Bytes of UDP payload received.
    pub received_bytes: u64,
    /// QUIC packets that were lost, and sent again where they had to be.
    pub lost_packets: u64,
    /// Datagram size found for the path, in bytes.
    pub datagram_size: u16,
    /// Frames refused by [`SendError::Full`].
    pub refused_frames: u64,
}

impl Handle {
    /// The address that the service listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// All linked servers.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let table = self.shared.table.borrow().clone();
        table.links.values().map(|entry| PeerInfo::clone(&entry.info)).collect()
    }

    /// A linked server.
    pub fn peer(&self, peer: PeerId) -> Option<PeerInfo> {
        self.shared.table.borrow().links.get(&peer).map(|entry| PeerInfo::clone(&entry.info))
    }

    /// Queues a frame. Never blocks, whichever thread calls.
    ///
    /// A lane holds a limited number of waiting bytes ([`Limits`](crate::Limits)). On a full one
    /// the frame is refused and counted:
    ///
    /// - `Raft`: treat it as lost on the way; Raft sends again.
    /// - `Bulk`: try again later. Also refused is the first frame of a transfer while
    ///   [`Limits::bulk_lanes`](crate::Limits::bulk_lanes) others are open.
    /// - `Messages`: core NATS delivers at most once, so the message is dropped. An update of
    ///   interest that is refused leaves the peer with a wrong picture: [`disconnect`](Self::disconnect)
    ///   it as a slow consumer, and resynchronize with the next link.
    /// - `Control`: the caller knows what it means.
    pub fn send(&self, peer: PeerId, lane: Lane, frame: Bytes) -> Result<(), SendError> {
        self.send_parts(peer, lane, Parts::from_iter([frame]))
    }

    /// As [`send`](Self::send), for a frame that lies in parts. Parts of 64 KiB and more are not
    /// copied.
    pub fn send_parts(&self, peer: PeerId, lane: Lane, frame: Parts) -> Result<(), SendError> {
        let link = self.link(peer).ok_or(SendError::NotConnected(peer))?;
        link.send(lane, frame)
    }

    /// Queues a frame for every linked server; returns how many took it.
    pub fn broadcast(&self, lane: Lane, frame: &Bytes) -> usize {
        let table = self.shared.table.borrow().clone();
        let send = |link: &Arc<Link>| link.send(lane, Parts::from_iter([frame.clone()]));
        table.links.values().filter(|entry| send(&entry.link).is_ok()).count()
    }

    /// Ends the transfer `Lane::Bulk(transfer)`: what is queued is still delivered, then the lane
    /// closes and makes room for another. Every transfer that was begun must be finished.
    pub fn finish(&self, peer: PeerId, transfer: u64) {
        if let Some(link) = self.link(peer) {
            link.finish(transfer);
        }
    }

    /// Bytes that wait on a lane for QUIC to take them; zero without a link. Each frame counts
    /// a few more than its length.
    pub fn queued_bytes(&self, peer: PeerId, lane: Lane) -> usize {
        self.link(peer).map_or(0, |link| link.queued(lane))
    }

    /// Sends a beat of at most 1,000 bytes to every linked server, as a datagram of its own that
    /// waits for no other traffic. Longer ones are not sent. Returns to how many it went.
    ///
    /// Meant for a dedicated thread: it takes no lock that is held across anything slow, and needs
    /// no runtime.
    pub fn beat(&self, payload: &Bytes) -> usize {
        if payload.len() > BEAT_LIMIT {
            return 0;
        }
        let table = self.shared.table.borrow().clone();
        let send = |link: &Link| link.connection.send_datagram(payload.clone());
        table.links.values().filter(|entry| send(&entry.link).is_ok()).count()
    }

    /// What this server says about itself now.
    pub fn identity(&self) -> Identity {
        self.shared.identity.borrow().clone()
    }

    /// Changes what this server says about itself, and tells all peers. Names, `server_id` and
    /// `boot_id` stay as they are. `change` must not use the handle.
    pub fn update_identity(&self, change: impl FnOnce(&mut Identity)) -> Result<(), OptionError> {
        let mut checked = Ok(());
        self.shared.identity.send_if_modified(|identity| {
            let mut changed = identity.clone();
            change(&mut changed);
            let mut newer = identity.clone();
            newer.take_changes(changed);
            checked = newer.check();
            let differs = checked.is_ok() && newer != *identity;
            if differs {
                *identity = newer;
            }
            differs
        });
        checked
    }

    /// Says which cluster this server belongs to. Peers that belong to another one are cut off.
    pub fn set_cluster_id(&self, cluster_id: u64) {
        // A number cannot be too long.
        let _ = self.update_identity(|identity| identity.cluster_id = Some(cluster_id));
    }

    /// Cuts the link to a peer and tells it why. A new link follows as soon as one side dials.
    pub fn disconnect(&self, peer: PeerId, reason: &str) {
        if let Some(link) = self.link(peer) {
            link.end(DownReason::Disconnected(reason.to_owned()));
        }
    }

    /// How the link to a peer fares.
    pub fn stats(&self, peer: PeerId) -> Option<LinkStats> {
        let link = self.link(peer)?;
        let stats = link.connection.stats();
        Some(LinkStats {
            rtt: stats.path.rtt,
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lost_packets: stats.path.lost_packets,
            datagram_size: stats.path.current_mtu,
            refused_frames: link.refused(),
        })
    }

    /// Closes all links, so that peers see it at once, and ends the service. Frames that wait are
    /// not sent any more.
    pub async fn shutdown(&self) {
        stop(&self.shared);
        let _ = timeout(SHUTDOWN, self.shared.reached(Phase::Stopped)).await;
    }

    fn link(&self, peer: PeerId) -> Option<Arc<Link>> {
        self.shared.table.borrow().links.get(&peer).map(|entry| entry.link.clone())
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}
