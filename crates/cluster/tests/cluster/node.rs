//! One server, with a runtime of its own, so that it can be killed without a word.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_cluster::{Cluster, ClusterHandle, JetStreamLink, Options};
use flotilla_jetstream::Leaders;
use flotilla_meta::{PeerLimits, ServerInfo};
use flotilla_routes::{Identity, RouteUrl};
use flotilla_server_core::{Account, Deliver, InternalSubscription, Message, RouterHandle, Scope};
use tokio::runtime::Runtime;

use crate::store::FakeStore;

/// Longest wait for anything; a test that works takes a fraction of it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A running server.
pub(crate) struct Node {
    pub(crate) router: RouterHandle,
    pub(crate) handle: ClusterHandle,
    pub(crate) store: Option<Arc<FakeStore>>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) client_urls: Arc<Mutex<Vec<String>>>,
    runtime: Runtime,
}

/// How to start a server.
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) boot: u64,
    pub(crate) seed: Option<SocketAddr>,
    pub(crate) store: Option<Arc<FakeStore>>,
    /// A store that has no cluster, and expects so many to found one.
    pub(crate) expected: usize,
    pub(crate) router: RouterHandle,
}

impl Setup {
    /// A server without JetStream that founds nothing.
    pub(crate) fn new(name: &'static str, seed: Option<&Node>) -> Self {
        let seed = seed.map(|node| node.handle.local_addr());
        Self { name, boot: 1, seed, store: None, expected: 9, router: RouterHandle::new() }
    }

    pub(crate) fn with_store(self, id: u64) -> Self {
        Self { store: Some(FakeStore::new(id)), ..self }
    }

    fn identity(&self) -> Identity {
        Identity {
            server_name: self.name.to_owned(),
            server_id: format!("ID-{}-{}", self.name, self.boot),
            cluster_name: "test".to_owned(),
            store_id: self.store.as_ref().map(|store| store.id.0),
            log_end: None,
            cluster_id: None,
            boot_id: self.boot,
            jetstream: self.store.is_some(),
            tags: Vec::new(),
            client_urls: vec![format!("{}:4222", self.name)],
            version: "0".to_owned(),
        }
    }

    pub(crate) fn start(self) -> Node {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut routes = flotilla_routes::Options::new(self.identity(), listen);
        let seed = self.seed.iter();
        let url = |addr: &SocketAddr| RouteUrl { host: addr.ip().to_string(), port: addr.port() };
        routes.seeds = seed.map(url).collect();
        // Fast enough for tests, slow enough for a busy machine.
        routes.timing.handshake = Duration::from_secs(5);
        routes.timing.backoff_most = Duration::from_millis(500);
        let client_urls = Arc::new(Mutex::new(Vec::new()));
        let told = client_urls.clone();
        let tell: flotilla_cluster::TellClientUrls =
            Arc::new(move |urls| *told.lock().unwrap() = urls);
        let leaders = Arc::new(Leaders::default());
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
        let link = self.store.clone().map(|store| self.link(store, leaders.clone()));
        let options = Options { routes, tell_client_urls: Some(tell) };
        let handle = runtime.block_on(async {
            let cluster = Cluster::bind(options).unwrap();
            if let Some(store) = &self.store {
                store.remote.set(cluster.handle()).unwrap();
            }
            cluster.start(&self.router, link).unwrap()
        });
        Node { router: self.router, handle, store: self.store, leaders, client_urls, runtime }
    }

    fn link(&self, store: Arc<FakeStore>, leaders: Arc<Leaders>) -> JetStreamLink {
        let limits = PeerLimits { jetstream: true, ..PeerLimits::default() };
        let bootstrap = store.file.lock().unwrap().clone();
        JetStreamLink {
            leaders,
            info: ServerInfo {
                store: store.id,
                name: self.name.to_owned(),
                cluster: "test".to_owned(),
                tags: Vec::new(),
                limits,
            },
            cluster: None,
            bootstrap,
            expected: self.expected,
            jetstream: store,
        }
    }
}

impl Node {
    /// Servers without JetStream.
    pub(crate) fn plain(names: &[&'static str]) -> Vec<Self> {
        let mut nodes: Vec<Self> = Vec::new();
        for name in names {
            nodes.push(Setup::new(name, nodes.first()).start());
        }
        Self::wait_for_mesh(&nodes);
        nodes
    }

    /// Servers with stores that found no cluster; the first store is 1.
    pub(crate) fn stores(names: &[&'static str], expected: usize) -> Vec<Self> {
        let mut nodes: Vec<Self> = Vec::new();
        for (name, id) in names.iter().zip(1..) {
            let setup = Setup { expected, ..Setup::new(name, nodes.first()) };
            nodes.push(setup.with_store(id).start());
        }
        Self::wait_for_mesh(&nodes);
        nodes
    }

    fn wait_for_mesh(nodes: &[Self]) {
        let linked = |node: &Self| node.handle.peers().iter().filter(|peer| peer.linked).count();
        eventually("a full mesh", || nodes.iter().all(|node| linked(node) + 1 == nodes.len()));
    }

    /// Stops everything at once, without a close: as if the process were killed.
    pub(crate) fn kill(self) -> RouterHandle {
        self.runtime.shutdown_background();
        self.router
    }

    /// Leaves in order.
    pub(crate) fn shutdown(self) {
        self.runtime.block_on(self.handle.shutdown());
    }

    pub(crate) fn fake(&self) -> &Arc<FakeStore> {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn global(&self) -> Arc<Account> {
        self.router.account("$G")
    }

    pub(crate) fn hears_of(&self, subject: &str) {
        eventually(subject, || self.global().has_interest(subject));
    }

    pub(crate) fn subscribe(&self, subject: &str, queue: Option<&str>) -> Subscriber {
        let (sender, messages) = mpsc::channel();
        let part = Arc::new(Part(sender));
        let account = self.global();
        let subscription =
            self.router.subscribe_internal(&account, subject, queue, Scope::Cluster, part);
        Subscriber { _subscription: subscription.unwrap(), messages }
    }

    pub(crate) fn publish(&self, subject: &str, reply: Option<&str>, payload: &str) -> bool {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        self.router.publish_internal(&self.global(), subject, reply, None, &payload)
    }
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: Option<Bytes>,
    pub(crate) payload: String,
}

struct Part(mpsc::Sender<Received>);

impl Deliver for Part {
    fn deliver(&self, message: &Message<'_>) {
        let received = Received {
            subject: message.shown.unwrap_or(message.subject).to_owned(),
            reply: message.reply.map(str::to_owned),
            headers: message.headers.cloned(),
            payload: String::from_utf8_lossy(message.payload).into_owned(),
        };
        // The subscriber may be gone.
        drop(self.0.send(received));
    }
}

/// A subscription, and what it got.
pub(crate) struct Subscriber {
    _subscription: InternalSubscription,
    messages: mpsc::Receiver<Received>,
}

impl Subscriber {
    pub(crate) fn next(&self) -> Received {
        self.messages.recv_timeout(DEADLINE).unwrap()
    }

    /// What came so far.
    pub(crate) fn so_far(&self) -> Vec<Received> {
        self.messages.try_iter().collect()
    }
}
