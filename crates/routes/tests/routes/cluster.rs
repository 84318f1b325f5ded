//! Servers on loopback, each with its own runtime, so that one can be killed without a word.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_routes::{
    DownReason, Event, Handle, Identity, Lane, Options, PeerId, PeerInfo, Refusal, RouteUrl, Routes,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Longest wait for anything; a test that works takes a fraction of it.
const DEADLINE: Duration = Duration::from_secs(20);

/// One running server.
pub(crate) struct Node {
    /// `None` while it is dropped.
    runtime: Option<Runtime>,
    pub(crate) handle: Handle,
    events: mpsc::Receiver<Event>,
    /// Events that were passed over by a wait for another.
    passed: VecDeque<Event>,
}

pub(crate) fn identity(name: &str, boot_id: u64) -> Identity {
    Identity {
        server_name: name.to_owned(),
        server_id: format!("ID-{name}"),
        cluster_name: "test".to_owned(),
        store_id: None,
        log_end: None,
        cluster_id: None,
        boot_id,
        jetstream: true,
        tags: Vec::new(),
        client_urls: Vec::new(),
        version: "0".to_owned(),
    }
}

/// Options of a server on a free port of loopback that dials `seeds`.
pub(crate) fn options(name: &str, seeds: &[SocketAddr]) -> Options {
    let mut options = Options::new(identity(name, 1), SocketAddr::from(([127, 0, 0, 1], 0)));
    options.seeds = seeds
        .iter()
        .map(|addr| RouteUrl { host: addr.ip().to_string(), port: addr.port() })
        .collect();
    // Fast enough for tests, slow enough for a busy machine.
    options.timing.handshake = Duration::from_secs(5);
    options.timing.backoff_most = Duration::from_millis(500);
    options
}

impl Node {
    pub(crate) fn start(options: Options) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (handle, events) = runtime.block_on(async { Routes::start(options) }).unwrap();
        Self { runtime: Some(runtime), handle, events, passed: VecDeque::new() }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.handle.local_addr()
    }

    /// Stops everything at once, without a close: as if the process were killed.
    pub(crate) fn kill(self) {}

    /// Leaves in order.
    pub(crate) fn shutdown(&mut self) {
        if let Some(runtime) = &self.runtime {
            runtime.block_on(self.handle.shutdown());
        }
    }

    /// The next event that `wanted` maps, in order; others stay for later.
    pub(crate) fn wait<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        for at in 0..self.passed.len() {
            if let Some(found) = wanted(&self.passed[at]) {
                self.passed.remove(at);
                return found;
            }
        }
        let runtime = self.runtime.as_ref().expect("a live server");
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let next =
                runtime.block_on(async { tokio::time::timeout(left, self.events.recv()).await });
            match next {
                Ok(Some(event)) => match wanted(&event) {
                    Some(found) => return found,
                    None => self.passed.push_back(event),
                },
                Ok(None) => panic!("events ended, waiting for {what}"),
                Err(_) => panic!("no {what}; instead {:?}", self.passed),
            }
        }
    }

    pub(crate) fn peer_up(&mut self, name: &str) -> PeerInfo {
        self.wait(&format!("PeerUp of {name}"), |event| match event {
            Event::PeerUp(info) if info.identity.server_name == name => Some(info.clone()),
            _ => None,
        })
    }

    pub(crate) fn peer_down(&mut self, peer: PeerId) -> DownReason {
        self.wait(&format!("PeerDown of {peer}"), |event| match event {
            Event::PeerDown { peer: down, reason } if *down == peer => Some(reason.clone()),
            _ => None,
        })
    }

    pub(crate) fn refused(&mut self) -> Refusal {
        self.wait("Refused", |event| match event {
            Event::Refused { reason, .. } => Some(reason.clone()),
            _ => None,
        })
    }

    pub(crate) fn beat(&mut self, from: PeerId) -> Bytes {
        self.wait("Beat", |event| match event {
            Event::Beat { peer, payload } if *peer == from => Some(payload.clone()),
            _ => None,
        })
    }

    /// The next `count` frames of one lane.
    pub(crate) fn frames(&mut self, from: PeerId, wanted: Lane, count: usize) -> Vec<Bytes> {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(self.wait(&format!("frames on {wanted}"), |event| match event {
                Event::Frames { peer, lane, frames, .. } if *peer == from && *lane == wanted => {
                    Some(frames.clone())
                }
                _ => None,
            }));
        }
        all
    }

    /// Events that none of the waits so far has taken.
    pub(crate) fn passed(&self) -> impl Iterator<Item = &Event> {
        self.passed.iter()
    }
}

impl Drop for Node {
    /// Without the runtime nothing is left that could say goodbye.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(DEADLINE);
        }
    }
}

/// Two linked servers; the ids are each other's.
pub(crate) fn pair() -> (Node, PeerId, Node, PeerId) {
    let mut a = Node::start(options("a", &[]));
    let mut b = Node::start(options("b", &[a.addr()]));
    let of_b = a.peer_up("b").peer;
    let of_a = b.peer_up("a").peer;
    (a, of_b, b, of_a)
}
