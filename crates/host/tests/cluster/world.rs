//! A whole cluster in one thread: shards over in-memory disks, links that deliver in order until they are cut, one
//! clock, one seed. It runs the very code that servers run; what is replaced is the disk, the link and the clock.
//!
//! Servers have different numbers of shards, and other ones in each of their lives.

mod server;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use flotilla_disk::MemDisk;
use flotilla_host::{
    Answer, Bundle, CallId, Inbound, Input, Join, MILLISECOND, MetaRequest, Notice, Now, Output,
    Publish, Request, Say, Shard, Share, Thresholds, Totals, unbundle,
};
use flotilla_raft::{GroupId, Membership, ReplicaId, StoreId};
use flotilla_stream::{
    AckPolicy, ConsumerConfig, DeliverPolicy, Discard, Retention, StorageKind, StreamConfig,
    Timestamp,
};

pub(crate) use server::ROOM;
use server::Server;

/// How long a step of the world is, unless a test wants shorter ones.
const STEP: u64 = 5 * MILLISECOND;
/// How often servers hear of each other.
const BEAT: u64 = 100 * MILLISECOND;

pub(crate) struct World {
    pub(crate) servers: BTreeMap<StoreId, Server>,
    /// What is on the way from one store to another.
    links: BTreeMap<(StoreId, StoreId), VecDeque<Bytes>>,
    cut: Vec<(StoreId, StoreId)>,
    pub(crate) now: u64,
    /// How long a step is.
    pub(crate) step: u64,
    /// How long a sync takes, in nanoseconds.
    pub(crate) sync_time: u64,
    /// On whose disk alone, if not on all.
    pub(crate) slow: Option<StoreId>,
    next_beat: u64,
    next_call: u64,
    /// Calls of shards under way: the number abroad, who asked, and its own number.
    owed: Vec<(u64, (StoreId, usize), CallId)>,
    pub(crate) answers: BTreeMap<u64, Answer>,
    pub(crate) published: Vec<Publish>,
    /// Who leads which group, as they say.
    pub(crate) leaders: BTreeMap<GroupId, (u64, StoreId)>,
    /// To whom leaders are heard to have another state than they have.
    pub(crate) deceived: Option<StoreId>,
    /// Whose disk a test has changed: it may find that it differs.
    pub(crate) altered: Option<StoreId>,
    /// A hash of everything that happened.
    pub(crate) trace: u64,
}

pub(crate) fn stream(name: &str, replicas: u8) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        description: None,
        subjects: vec![format!("{name}.>")],
        retention: Retention::Limits,
        max_consumers: None,
        max_msgs: None,
        max_bytes: None,
        max_age: None,
        max_msgs_per_subject: None,
        max_msg_size: None,
        discard: Discard::Old,
        discard_new_per_subject: false,
        storage: StorageKind::File,
        replicas,
        no_ack: false,
        duplicate_window: 120_000_000_000,
        placement: None,
        sealed: false,
        deny_delete: false,
        deny_purge: false,
        allow_rollup: false,
        allow_direct: true,
        first_seq: None,
        consumer_limits: flotilla_stream::ConsumerLimits::default(),
        metadata: BTreeMap::new(),
    }
}

/// A durable consumer with explicit acknowledgements, of as many replicas as its stream.
pub(crate) fn consumer(name: &str) -> ConsumerConfig {
    ConsumerConfig {
        name: name.to_owned(),
        durable: true,
        description: None,
        deliver: DeliverPolicy::All,
        ack: AckPolicy::Explicit,
        ack_wait: 30_000_000_000,
        max_deliver: None,
        backoff: Vec::new(),
        filters: Vec::new(),
        filter_list: false,
        replay_original: false,
        sample_percent: None,
        max_waiting: 512,
        max_ack_pending: None,
        headers_only: false,
        max_request_batch: None,
        max_request_expires: None,
        max_request_max_bytes: None,
        inactive_threshold: None,
        replicas: 0,
        memory_storage: false,
        metadata: BTreeMap::new(),
    }
}

/// A frame in which leaders that let groups sleep have come to another state.
fn with_another_state(frame: &Bytes) -> Bytes {
    let mut bundle = Bundle::default();
    unbundle(frame, Share::WHOLE, |group, mut say| {
        if let Say::Sleep(sleep) = &mut say {
            sleep.hash ^= 1;
        }
        bundle.push(group, &say);
    })
    .unwrap();
    bundle.into_parts().concat().into()
}

impl World {
    pub(crate) fn new(servers: u64, seed: u64) -> Self {
        Self::with(Thresholds::default(), servers, seed)
    }

    pub(crate) fn with(thresholds: Thresholds, servers: u64, seed: u64) -> Self {
        let server = |n: u64| {
            let store = StoreId(seed.wrapping_mul(1000) + n);
            let disk = Arc::new(MemDisk::new());
            (store, Server::new(disk, format!("n{n}"), thresholds))
        };
        let mut world = Self {
            servers: (1..=servers).map(server).collect(),
            links: BTreeMap::new(),
            cut: Vec::new(),
            now: 1_000_000_000,
            step: STEP,
            sync_time: 0,
            slow: None,
            next_beat: 0,
            next_call: 1,
            owed: Vec::new(),
            answers: BTreeMap::new(),
            published: Vec::new(),
            leaders: BTreeMap::new(),
            deceived: None,
            altered: None,
            trace: seed,
        };
        for store in world.stores() {
            world.start(store);
        }
        world
    }

    pub(crate) fn stores(&self) -> Vec<StoreId> {
        self.servers.keys().copied().collect()
    }

    /// What a running server's shards hold.
    pub(crate) fn totals(&self, store: StoreId) -> Totals {
        let shards = self.servers[&store].running.iter().flat_map(|running| &running.shards);
        shards.map(Shard::totals).sum()
    }

    fn time(&self) -> Now {
        let wall = Timestamp(1_700_000_000_000_000_000 + i64::try_from(self.now).unwrap());
        Now { mono: self.now, wall }
    }

    /// Starts a server on what its disk holds, of which nothing is damaged.
    pub(crate) fn start(&mut self, store: StoreId) {
        self.start_damaged(store);
        let ended = self.totals(store).ended;
        assert!(ended.is_empty(), "{ended:?}");
    }

    /// Starts a server on whatever its disk holds.
    pub(crate) fn start_damaged(&mut self, store: StoreId) {
        let now = self.time();
        self.servers.get_mut(&store).unwrap().start(store, now);
    }

    /// Ends a server's process; its disk keeps what was written.
    pub(crate) fn kill(&mut self, store: StoreId) {
        self.servers.get_mut(&store).unwrap().running = None;
        self.owed.retain(|(_, (from, _), _)| *from != store);
        self.links.retain(|(from, to), _| *from != store && *to != store);
    }

    /// Ends it with its power: what was not synced may be lost, torn or reordered.
    pub(crate) fn power_loss(&mut self, store: StoreId, seed: u64) {
        self.kill(store);
        self.servers[&store].disk.power_loss(seed);
    }

    /// Cuts a server off from all others, both ways.
    pub(crate) fn isolate(&mut self, store: StoreId) {
        for other in self.stores() {
            self.cut.push((store, other));
            self.cut.push((other, store));
        }
        self.links.retain(|(from, to), _| *from != store && *to != store);
    }

    pub(crate) fn heal(&mut self) {
        let cut = std::mem::take(&mut self.cut);
        for (from, to) in cut {
            self.give(from, Input::LinkReset(to));
        }
    }

    pub(crate) fn give(&mut self, store: StoreId, input: Input) {
        if let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) {
            running.give(input);
        }
    }

    fn connected(&self, a: StoreId, b: StoreId) -> bool {
        !self.cut.contains(&(a, b)) && self.servers[&a].running.is_some()
    }

    /// What is on its way from one server to another one of a group, and is of the kind that is looked for: a frame of it.
    pub(crate) fn copy(
        &self,
        link: (StoreId, StoreId),
        group: GroupId,
        is_wanted: fn(&Say) -> bool,
    ) -> Option<Bytes> {
        let mut found = None;
        for frame in self.links.get(&link).into_iter().flatten() {
            let look = |of, say: Say| {
                if of == group && is_wanted(&say) {
                    found.get_or_insert_with(Bundle::default).push(group, &say);
                }
            };
            unbundle(frame, Share::WHOLE, look).unwrap();
        }
        found.map(|bundle| bundle.into_parts().concat().into())
    }

    /// Founds the cluster on the first server and lets the others register.
    pub(crate) fn found(&mut self) {
        let first = self.stores()[0];
        let replica = ReplicaId(1);
        let founding = Membership {
            voters: vec![replica],
            stores: [(replica, first)].into(),
            ..Membership::default()
        };
        let join = Join { cluster: 77, replica, founding };
        self.give(first, Input::Join(join));
        self.run(500);
        for store in self.stores() {
            let info = self.servers[&store].info(store);
            let register = MetaRequest::Register { info, rejoin: true };
            match self.ask(GroupId::META, &Request::Meta(register)) {
                Answer::Registered { cluster, replica, founding } if store != first => {
                    self.give(store, Input::Join(Join { cluster, replica, founding }));
                }
                Answer::Registered { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        self.run(5_000);
    }

    /// Asks the leader of a group, until somebody answers.
    pub(crate) fn ask(&mut self, group: GroupId, request: &Request) -> Answer {
        for _ in 0..200 {
            let leader = self.leaders.get(&group).map(|(_, store)| *store);
            let Some(leader) = leader.filter(|s| self.servers[s].running.is_some()) else {
                self.run(50);
                continue;
            };
            let id = self.next_call;
            self.next_call += 1;
            self.give(leader, Input::Call { id: CallId(id), group, request: request.clone() });
            for _ in 0..40 {
                self.run(25);
                match self.answers.remove(&id) {
                    Some(Answer::NotLeader) => break,
                    Some(answer) => return answer,
                    None => {}
                }
            }
        }
        panic!("nobody answers {request:?} of group {group}; leaders: {:?}", self.leaders);
    }

    /// Publishes at whoever leads the stream; the acknowledgement goes to `reply`.
    pub(crate) fn publish(&mut self, group: GroupId, subject: &str, reply: &str, payload: &str) {
        let Some((_, leader)) = self.leaders.get(&group).copied() else { return };
        let mut messages = Inbound::default();
        messages.push(subject, reply, b"", &Bytes::copy_from_slice(payload.as_bytes()));
        self.give(leader, Input::Publish { group, messages });
    }

    /// Lets `millis` pass.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + millis * MILLISECOND;
        while self.now < end {
            self.now += self.step;
            self.beat();
            self.deliver();
            for store in self.stores() {
                self.turn(store);
            }
            self.settle_calls();
        }
    }

    fn settle_calls(&mut self) {
        for (abroad, from, id) in std::mem::take(&mut self.owed) {
            match self.answers.remove(&abroad) {
                Some(answer) => self.give_to(from, Input::Answered(id, Some(answer))),
                None => self.owed.push((abroad, from, id)),
            }
        }
    }

    fn give_to(&mut self, (store, shard): (StoreId, usize), input: Input) {
        if let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) {
            running.inputs[shard].push(input);
        }
    }

    fn beat(&mut self) {
        if self.now < self.next_beat {
            return;
        }
        self.next_beat = self.now + BEAT;
        for a in self.stores() {
            for b in self.stores().into_iter().filter(|b| *b != a) {
                let input = if self.connected(b, a) {
                    Input::Heard { store: b, boot: self.servers[&b].boot }
                } else {
                    Input::Died(b)
                };
                self.give(a, input);
            }
        }
    }

    fn deliver(&mut self) {
        for ((from, to), frames) in std::mem::take(&mut self.links) {
            for frame in frames {
                self.trace = xxhash_rust::xxh3::xxh3_64_with_seed(&frame, self.trace);
                if self.connected(from, to) {
                    let deceived = self.deceived == Some(to);
                    let frame = if deceived { with_another_state(&frame) } else { frame };
                    self.give(to, Input::Bundle { from, frame });
                }
            }
        }
    }

    fn turn(&mut self, store: StoreId) {
        let now = self.time();
        let is_slow = self.slow.is_none_or(|slow| slow == store);
        let sync_time = if is_slow { self.sync_time } else { 0 };
        let Some(server) = self.servers.get_mut(&store) else { return };
        for (shard, output) in server.turn(now, sync_time) {
            self.carry_out(store, shard, output);
        }
    }

    fn carry_out(&mut self, store: StoreId, shard: usize, output: Output) {
        for leading in output.leading {
            let known = self.leaders.get(&leading.group).copied();
            if leading.leads && known.is_none_or(|(term, _)| term <= leading.term) {
                self.leaders.insert(leading.group, (leading.term, store));
            } else if !leading.leads && known == Some((leading.term, store)) {
                self.leaders.remove(&leading.group);
            }
        }
        for notice in output.notices {
            let diverged = matches!(notice, Notice::Diverged { .. });
            let may_differ = [self.deceived, self.altered].contains(&Some(store));
            assert!(!diverged || may_differ, "{notice}");
            if std::env::var_os("VERBOSE").is_some() {
                println!(
                    "{:>6} ms {}: {notice}",
                    self.now / MILLISECOND,
                    self.servers[&store].name
                );
            }
        }
        for (to, bundle) in output.bundles.into_iter().chain(output.bulk) {
            let frame: Bytes = bundle.into_parts().concat().into();
            self.links.entry((store, to)).or_default().push_back(frame);
        }
        self.answers.extend(output.answers.into_iter().map(|(id, answer)| (id.0, answer)));
        for (id, group, request) in output.calls {
            self.relay_call((store, shard), id, group, request);
        }
        self.published.extend(output.publishes);
    }

    /// A call of a shard itself: to the leader's shard, with its answer brought back a step later.
    fn relay_call(&mut self, from: (StoreId, usize), id: CallId, group: GroupId, request: Request) {
        let leader = self.leaders.get(&group).map(|(_, s)| *s);
        let reachable = leader.filter(|l| *l == from.0 || self.connected(*l, from.0));
        let Some(leader) = reachable.filter(|l| self.servers[l].running.is_some()) else {
            return self.give_to(from, Input::Answered(id, None));
        };
        let abroad = self.next_call;
        self.next_call += 1;
        self.give(leader, Input::Call { id: CallId(abroad), group, request });
        self.owed.push((abroad, from, id));
    }
}
