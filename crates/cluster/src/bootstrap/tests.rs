//! Three stores that lose half of what they tell each other, on a clock that only moves when nothing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, Weak};

use flotilla_host::{Answer, Request, Room};
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

    fn settle(&self) {}

    fn forwarded(&self, _: &str, _: &str, _: Option<&str>, _: Option<&Bytes>, _: &Bytes) {}

    fn persist(&self, bootstrap: Bytes) -> Result<(), PersistError> {
        *lock(&self.file) = bootstrap;
        Ok(())
    }

    fn is_well(&self) -> bool {
        true
    }

    fn synced(&self) -> u64 {
        0
    }

    fn room(&self) -> Room {
        Room::Enough
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

/// A new life of a store; the shard and its files are the old ones.
fn start(
    node: &Arc<Node>,
    inbox: Inbox,
    expected: usize,
    cluster: Option<u64>,
) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    let link = JetStreamLink { cluster, ..link(node, expected) };
    enter(node.clone(), link, inbox, stopped).unwrap();
    stop
}

type Inbox = mpsc::Receiver<(StoreId, Message)>;

fn node(world: &Arc<World>, id: u64) -> (Arc<Node>, Inbox) {
    let (messages, inbox) = mpsc::channel(1000);
    let node = Arc::new(Node {
        id: StoreId(id),
        world: Arc::downgrade(world),
        messages,
        changes: watch::Sender::new(0),
        cluster: Mutex::default(),
        file: Mutex::default(),
        joins: Mutex::default(),
        registered: Mutex::default(),
    });
    lock(&world.stores).insert(node.id, node.clone());
    (node, inbox)
}

fn world(seed: u64, loss: u64) -> Arc<World> {
    Arc::new(World { stores: Mutex::default(), dice: Mutex::new(seed), loss })
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(3600);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn has_entered(node: &Node) -> bool {
    *lock(&node.file) == Progress::Entered.encode()
}

/// Waits, on a clock that jumps, for as long as `test` takes.
fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(test);
}

async fn found_with_losses(seed: u64) {
    let world = world(seed, 50);
    let (nodes, inboxes): (Vec<_>, Vec<_>) = (1..=3).map(|id| node(&world, id)).unzip();
    let starts = nodes.iter().zip(inboxes);
    let _stops: Vec<_> = starts.map(|(node, inbox)| start(node, inbox, 3, None)).collect();
    until("all entered", || nodes.iter().all(|node| has_entered(node))).await;
    let joins: Vec<_> = nodes.iter().map(|node| lock(&node.joins).clone()).collect();
    let clusters: BTreeSet<u64> = joins.iter().flatten().map(|join| join.cluster).collect();
    assert_eq!(clusters.len(), 1, "seed {seed}");
    let replicas: BTreeSet<_> = joins.iter().filter_map(|j| Some(j.last()?.replica)).collect();
    assert_eq!(replicas, [1, 2, 3].map(ReplicaId).into(), "seed {seed}");
}

#[test]
fn three_stores_found_one_cluster_whatever_is_lost() {
    (0..30).for_each(|seed| run(found_with_losses(seed)));
}

#[test]
fn a_store_alone_founds_once_and_registers_at_every_start() {
    run(async {
        let world = world(0, 0);
        let (node, inbox) = node(&world, 1);
        let stop = start(&node, inbox, 1, None);
        until("it entered", || has_entered(&node)).await;
        let joins = std::mem::take(&mut *lock(&node.joins));
        assert_eq!(joins.len(), 2, "founded, then registered");
        assert!(joins.iter().all(|join| join.replica == Meta::FOUNDER));
        assert_eq!(joins[0].founding.stores[&Meta::FOUNDER], StoreId(1));
        drop(stop);

        // The shard has lost its replica of the meta group. Whoever founds again forgets what the cluster did since.
        let (_messages, inbox) = mpsc::channel(1);
        let _stop = start(&node, inbox, 1, Some(joins[0].cluster));
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(*lock(&node.joins), []);
    });
}

#[test]
fn a_founder_that_ended_before_it_founded_does_so_later() {
    run(async {
        let decided = ClusterId(77);
        let options = BootstrapOptions {
            store: StoreId(1),
            expected: 1,
            candidate: decided,
            seed: 0,
            patience: PATIENCE,
        };
        let mut effects = Vec::new();
        Bootstrap::new(options).step(Duration::ZERO, Step::Tick, &mut effects);
        let Some(Effect::Persist { state, .. }) = effects.pop() else { panic!("{effects:?}") };

        let world = world(0, 0);
        let (node, inbox) = node(&world, 1);
        *lock(&node.file) = Progress::Deciding(state.into()).encode();
        // The shard wrote the cluster into its store file, and nothing into its log.
        let _stop = start(&node, inbox, 1, Some(decided.0));
        until("it entered", || has_entered(&node)).await;
        assert_eq!(lock(&node.joins)[0].cluster, decided.0);
    });
}
