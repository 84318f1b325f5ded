//! Three stores that lose half of what they tell each other, on a clock that only moves when nothing happens.

use std::collections::BTreeMap;
use std::sync::{Mutex, Weak};

use flotilla_host::{Answer, Request};
use flotilla_jetstream::{Leaders, Wire};
use flotilla_meta::{PeerLimits, ServerInfo};
use flotilla_raft::{GroupId, ReplicaId};
use tokio::sync::watch;

use super::*;
use crate::entry::enter;
use crate::lock::lock;
use crate::store::{Asking, LocalStore};

/// All stores and what lies between them.
struct World {
    stores: Mutex<BTreeMap<StoreId, Arc<Node>>>,
    dice: Mutex<u64>,
    /// How many of a hundred messages are lost.
    loss: u64,
}

impl World {
    fn roll(&self, sides: u64) -> u64 {
        let mut dice = lock(&self.dice);
        *dice =
            dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*dice >> 33) % sides
    }
}

/// One store: its way to others, and a shard that knows what it was told.
struct Node {
    id: StoreId,
    world: Weak<World>,
    messages: mpsc::Sender<(StoreId, Message)>,
    changes: watch::Sender<u64>,
    cluster: Mutex<Option<u64>>,
    file: Mutex<Bytes>,
    joins: Mutex<Vec<Join>>,
    /// As the leader of the meta group.
    registered: Mutex<BTreeMap<StoreId, ReplicaId>>,
}

impl Fleet for Node {
    fn stores(&self) -> BTreeMap<StoreId, Option<u64>> {
        let world = self.world.upgrade().unwrap();
        let stores = lock(&world.stores);
        let others = stores.values().filter(|node| node.id != self.id);
        others.map(|node| (node.id, *lock(&node.cluster))).collect()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn send(&self, to: StoreId, message: &Message) {
        let world = self.world.upgrade().unwrap();
        if world.roll(100) >= world.loss {
            let to = lock(&world.stores)[&to].messages.clone();
            let _ = to.try_send((self.id, *message)); // a full one loses it, as the network does
        }
    }

    /// What a store says about itself does not get to others here: they must learn it from messages.
    fn belongs(&self, cluster: u64) {
        let before = *lock(&self.cluster);
        assert!(before.is_none_or(|before| before == cluster), "two clusters");
    }
}

impl LocalStore for Node {
    fn input(&self, input: Input) -> bool {
        if let Input::Join(join) = input {
            lock(&self.joins).push(join);
        }
        true
    }

    fn ask(&self, store: StoreId, _: GroupId, _: Request) -> Asking<'_> {
        let world = self.world.upgrade().unwrap();
        let asked = lock(&world.stores)[&store].clone();
        let founded = lock(&asked.joins).iter().find(|join| join.replica == Meta::FOUNDER).cloned();
        let answer = match founded {
            Some(Join { cluster, founding, .. }) => {
                let mut registered = lock(&asked.registered);
                registered.entry(asked.id).or_insert(Meta::FOUNDER);
                let next = ReplicaId(registered.len() as u64 + 1);
                let replica = *registered.entry(self.id).or_insert(next);
                Answer::Registered { cluster, replica, founding }
            }
            None => Answer::NotLeader,
        };
        Box::pin(async move { Some(answer) })
    }

    fn receive(&self, _: StoreId, _: Wire) {}

    fn forwarded(&self, _: &str, _: &str, _: Option<&str>, _: Option<&Bytes>, _: &Bytes) {}

    fn persist(&self, bootstrap: Bytes) -> Result<(), PersistError> {
        *lock(&self.file) = bootstrap;
        Ok(())
    }

    fn is_well(&self) -> bool {
        true
    }
}

fn link(node: &Arc<Node>, expected: usize) -> JetStreamLink {
    let limits = PeerLimits { jetstream: true, ..PeerLimits::default() };
    let name = node.id.to_string();
    JetStreamLink {
        jetstream: node.clone(),
        leaders: Arc::new(Leaders::default()),
        info: ServerInfo { store: node.id, name, cluster: "c".to_owned(), tags: vec![], limits },
        cluster: None,
        bootstrap: lock(&node.file).clone(),
        expected,
    }
}

/// Starts the stores, waits until all have joined, and returns them.
async fn run(count: u64, expected: usize, seed: u64, loss: u64) -> Vec<Arc<Node>> {
    let world = Arc::new(World { stores: Mutex::default(), dice: Mutex::new(seed), loss });
    let (_stop, stopped) = watch::channel(false);
    let mut inboxes = Vec::new();
    for id in 1..=count {
        let (messages, inbox) = mpsc::channel(1000);
        let node = Node {
            id: StoreId(id),
            world: Arc::downgrade(&world),
            messages,
            changes: watch::Sender::new(0),
            cluster: Mutex::default(),
            file: Mutex::default(),
            joins: Mutex::default(),
            registered: Mutex::default(),
        };
        let node = Arc::new(node);
        lock(&world.stores).insert(node.id, node.clone());
        inboxes.push((node, inbox));
    }
    let mut nodes = Vec::new();
    for (node, inbox) in inboxes {
        enter(node.clone(), link(&node, expected), inbox, stopped.clone()).unwrap();
        nodes.push(node);
    }
    let joined = |node: &Arc<Node>| Progress::Entered.encode() == *lock(&node.file);
    let deadline = Instant::now() + Duration::from_secs(3600);
    while !nodes.iter().all(joined) {
        assert!(Instant::now() < deadline, "no decision, seed {seed}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    nodes
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn three_stores_found_one_cluster_whatever_is_lost() {
    for seed in 0..30 {
        let nodes = runtime().block_on(run(3, 3, seed, 50));
        let mut replicas = Vec::new();
        let mut clusters = Vec::new();
        for node in &nodes {
            let joins = lock(&node.joins);
            clusters.extend(joins.iter().map(|join| join.cluster));
            replicas.push(joins.last().unwrap().replica);
        }
        clusters.dedup();
        assert_eq!(clusters.len(), 1, "seed {seed}");
        replicas.sort_unstable();
        assert_eq!(replicas, [1, 2, 3].map(ReplicaId), "seed {seed}");
    }
}

#[test]
fn a_store_alone_founds_at_once_and_once() {
    let nodes = runtime().block_on(run(1, 1, 0, 0));
    let joins = lock(&nodes[0].joins).clone();
    assert_eq!(joins.len(), 2, "founded, then registered");
    assert!(joins.iter().all(|join| join.replica == Meta::FOUNDER));
    assert_eq!(joins[0].founding.stores[&Meta::FOUNDER], StoreId(1));

    // After a restart it registers, and does not found again.
    let node = nodes[0].clone();
    let mut again = link(&node, 1);
    again.cluster = Some(joins[0].cluster);
    assert_eq!(again.bootstrap, Progress::Entered.encode());
}

#[test]
fn a_founder_that_ended_before_it_founded_does_so_later() {
    let nodes = runtime().block_on(run(1, 1, 0, 0));
    let cluster = lock(&nodes[0].joins)[0].cluster;
    let options = BootstrapOptions {
        store: StoreId(1),
        expected: 1,
        candidate: ClusterId(cluster),
        seed: 0,
        patience: PATIENCE,
    };
    // What the store file held between the decision and the registration.
    let mut effects = Vec::new();
    Bootstrap::new(options).step(Duration::ZERO, Step::Tick, &mut effects);
    let Some(Effect::Persist { state, .. }) = effects.pop() else { panic!("{effects:?}") };
    let fresh = BootstrapOptions { candidate: ClusterId(cluster ^ 1), ..options };
    runtime().block_on(async {
        let world = Arc::new(World { stores: Mutex::default(), dice: Mutex::new(0), loss: 0 });
        let (messages, inbox) = mpsc::channel(1);
        let node = Arc::new(Node {
            id: StoreId(1),
            world: Arc::downgrade(&world),
            messages,
            changes: watch::Sender::new(0),
            cluster: Mutex::default(),
            file: Mutex::default(),
            joins: Mutex::default(),
            registered: Mutex::default(),
        });
        lock(&world.stores).insert(node.id, node.clone());
        let link = Arc::new(link(&node, 1));
        let founding = Founding::new(node.clone(), link, fresh, Some(&state.into())).unwrap();
        tokio::select! {
            () = founding.run(inbox) => panic!("ended"),
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
        let joins = lock(&node.joins);
        assert_eq!(joins[0].cluster, cluster, "the decided one, not another");
        assert_eq!(*lock(&node.file), Progress::Entered.encode());
    });
}
