//! Servers, their disks, links and clocks, in one thread and one queue of events. It runs the very code that servers
//! run; what is replaced is the disk, the link, the clock and chance.
//!
//! A run is a function of its seed: events are ordered by time, then by a number that the seed draws.

mod calls;
mod clock;
mod event;
mod life;
mod links;
mod log;
mod server;
mod watch;

use std::collections::BTreeMap;

use flotilla_disk::Seeded;
use flotilla_host::{Answer, Input, MILLISECOND, Notice, Output, Publish, Shard};
use flotilla_raft::{GroupId, ReplicaId, StoreId};
use flotilla_stream::Timestamp;

pub use calls::CallNumber;
use calls::Calls;
use event::{Event, Queue};
use links::Links;
pub use links::{Direction, LinkFaults};
pub use log::DiskPace;
pub(crate) use log::QUEUE;
pub(crate) use server::INBOX;
pub use server::{Server, WorldOptions};

use crate::trace::Trace;

/// A shard that has so many turns in a millisecond waits for something by asking again and again.
const MOST_TURNS: u64 = 1_000;

/// The time of day at which every run begins: 2026-01-01.
const EPOCH: i64 = 1_767_225_600_000_000_000;

/// What happened that concerns those outside: clients, faults and invariants.
#[derive(Debug)]
pub enum Happening {
    /// A time that was asked for has come.
    Timer(u64),
    /// A shard has had a turn.
    Turned {
        /// On which server.
        store: StoreId,
        /// Which shard.
        shard: usize,
    },
    /// A message for a client.
    Publish {
        /// From which server.
        store: StoreId,
        /// The message.
        publish: Publish,
    },
    /// The answer to a client's call; `None` when nobody answered in time.
    Answer(CallNumber, Option<Answer>),
    /// Something was said for the server's log.
    Notice(StoreId, Notice),
    /// The server's process ended by itself, or its machine crashed as ordered.
    Ended(StoreId, String),
}

/// The cluster.
pub struct World {
    /// Nanoseconds since the run began.
    pub now: u64,
    /// The servers, whether or not they run.
    pub servers: BTreeMap<StoreId, Server>,
    /// Who came after whom, where a server was wiped.
    heirs: BTreeMap<StoreId, StoreId>,
    pub(crate) links: Links,
    /// Whether some server has registered.
    founded: bool,
    /// Who says that it leads which group, and in which term.
    claims: BTreeMap<GroupId, BTreeMap<StoreId, u64>>,
    calls: Calls,
    queue: Queue,
    happened: std::collections::VecDeque<Happening>,
    pub(crate) random: Seeded,
    /// What happened so far, as a hash and, if asked for, in words.
    pub trace: Trace,
    pub(crate) options: WorldOptions,
    /// How far ahead of the true time some clock ever was, in nanoseconds.
    pub(crate) ahead: i64,
    /// How many events had to wait for a server that stood still.
    deferred: u64,
    /// How many turns all shards took.
    pub turns: u64,
    /// Of each shard, the millisecond of its last turn, and how many it had in it.
    pace: BTreeMap<(StoreId, usize), (u64, u64)>,
}

impl World {
    /// So many servers with empty disks, none of them running.
    #[must_use]
    pub fn new(servers: u64, seed: u64, options: WorldOptions, trace: Trace) -> Self {
        let servers = (1..=servers).map(|n| (StoreId(n), Server::new(StoreId(n))));
        Self {
            now: 0,
            servers: servers.collect(),
            heirs: BTreeMap::new(),
            links: Links::default(),
            founded: false,
            claims: BTreeMap::new(),
            calls: Calls::default(),
            queue: Queue::default(),
            happened: std::collections::VecDeque::new(),
            random: Seeded::new(seed),
            trace,
            options,
            ahead: 0,
            deferred: 0,
            turns: 0,
            pace: BTreeMap::new(),
        }
    }

    /// The numbers of all servers.
    #[must_use]
    pub fn stores(&self) -> Vec<StoreId> {
        self.servers.keys().copied().collect()
    }

    /// Asks to be told at a time.
    pub fn at(&mut self, time: u64, number: u64) {
        self.schedule(time, Event::Timer(number));
    }

    pub(crate) fn schedule(&mut self, time: u64, event: Event) {
        let order = self.random.next_u64();
        self.queue.push(time.max(self.now), order, event);
    }

    /// A time from now on, drawn between `least` and `most` microseconds.
    pub(crate) fn soon(&mut self, least: u64, most: u64) -> u64 {
        self.now + (least + self.random.below(most - least + 1)) * 1_000
    }

    /// The next thing that happens and concerns those outside.
    pub fn next_happening(&mut self) -> Happening {
        loop {
            if let Some(happening) = self.happened.pop_front() {
                return happening;
            }
            let Some((time, event)) = self.queue.pop() else {
                // Servers beat for ever; without any there is nothing to wait for.
                self.now += MILLISECOND;
                continue;
            };
            self.now = self.now.max(time);
            self.carry_out(event);
        }
    }

    fn carry_out(&mut self, event: Event) {
        if let Some(until) = event.server().and_then(|s| self.paused_until(s)) {
            // In the order in which they came: what waits for a process that stands still is not shuffled.
            self.deferred += 1;
            return self.queue.push(until, self.deferred, event);
        }
        match event {
            Event::Timer(number) => self.happened.push_back(Happening::Timer(number)),
            Event::Turn { store, boot, shard } => self.turn(store, boot, shard),
            Event::Synced { store, boot } => self.log_synced(store, boot),
            Event::LogWork { store, boot } => self.log_work(store, boot),
            Event::LogIdle { store, boot, writes } => self.log_idle(store, boot, writes),
            Event::SpareDone { store, boot, job } => self.spare_done(store, boot, &job),
            Event::JobDone { store, boot } => self.job_done(store, boot),
            Event::Frame { to, from, epoch, frame } => self.frame_arrives(from, to, epoch, frame),
            Event::Beat { store, boot } => self.beat(store, boot),
            Event::BeatArrives { to, from, beat } => self.beat_arrives(to, from, beat),
            Event::Watch { store, boot } => self.watch(store, boot),
            Event::Unlinked { store, from } => self.unlinked(store, from),
            Event::LinkStalls { a, b, epoch } => self.link_stalls(a, b, epoch),
            Event::LinkUp { a, b, epoch } => self.link_up(a, b, epoch),
            Event::CallArrives { to, number } => self.call_arrives(to, number),
            Event::AnswerArrives { number, answer } => {
                self.answer_arrives(number, answer.map(|answer| *answer));
            }
            Event::CallExpires { number } => self.answer_arrives(number, None),
            Event::Register { store, boot } => self.register(store, boot),
        }
    }

    pub(crate) fn tell(&mut self, happening: Happening) {
        self.happened.push_back(happening);
    }

    fn paused_until(&self, store: StoreId) -> Option<u64> {
        self.servers.get(&store).map(|s| s.paused_until).filter(|until| *until > self.now)
    }

    /// The time of day on a server whose clock is wrong by `offset`.
    fn wall(&self, offset: i64) -> Timestamp {
        Timestamp(EPOCH + i64::try_from(self.now).unwrap_or(i64::MAX) + offset)
    }

    /// The latest time of day that any clock could have shown by now.
    pub(crate) fn latest(&self) -> Timestamp {
        self.wall(self.ahead)
    }

    /// Who leads a group, of those that say so: the one with the highest term.
    #[must_use]
    pub fn leader(&self, group: GroupId) -> Option<StoreId> {
        let claims = self.claims.get(&group)?;
        claims.iter().max_by_key(|(_, term)| **term).map(|(store, _)| *store)
    }

    /// Whether the meta group has a leader, and a voter on every server that takes part.
    #[must_use]
    pub fn meta_is_complete(&self) -> bool {
        let Some(leader) = self.leader(GroupId::META) else { return false };
        let mut views = self.shards(leader).iter().flat_map(Shard::replicas);
        let takes_part = |replica: ReplicaId, store: StoreId| {
            let mut views = self.shards(store).iter().flat_map(Shard::replicas);
            // One that is rolled back and does not know yet is lost.
            !self.servers.get(&store).is_some_and(|server| server.rolled_back)
                && views.any(|view| view.group == GroupId::META && view.replica == replica)
        };
        views.any(|view| {
            let members = &view.membership;
            let voters = members.voters.iter();
            let voters = voters.filter_map(|r| Some((*r, members.store_of(*r)?)));
            view.group == GroupId::META
                && !members.is_joint()
                && voters.filter(|(replica, store)| takes_part(*replica, *store)).count()
                    == self.servers.len()
                && members.voters.len() == self.servers.len()
        })
    }

    /// All that say that they lead a group.
    #[must_use]
    pub fn claimants(&self, group: GroupId) -> Vec<StoreId> {
        self.claims.get(&group).map(|c| c.keys().copied().collect()).unwrap_or_default()
    }

    /// Somebody who leads a stream or a consumer.
    #[must_use]
    pub fn some_leader(&self) -> Option<StoreId> {
        let led = self
            .claims
            .iter()
            .filter(|(group, claims)| **group != GroupId::META && !claims.is_empty());
        led.map(|(group, _)| *group).next_back().and_then(|group| self.leader(group))
    }

    /// Gives an input to a server, if it runs.
    pub fn give(&mut self, store: StoreId, input: Input) {
        let Some(server) = self.servers.get_mut(&store) else { return };
        let Some(running) = &mut server.running else { return };
        let woken = running.give(input);
        self.wake(store, woken);
    }

    pub(crate) fn wake(&mut self, store: StoreId, shards: Vec<usize>) {
        for shard in shards {
            let due = self.soon(0, 400);
            self.turn_at(store, shard, due);
        }
    }

    /// A shard's next turn is at `due`, unless it comes earlier.
    fn turn_at(&mut self, store: StoreId, shard: usize, due: u64) {
        let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) else {
            return;
        };
        let boot = running.boot;
        let Some(next) = running.next_turn.get_mut(shard) else { return };
        if next.is_none_or(|next| due < next) {
            *next = Some(due);
            let looks = &mut running.looks[shard];
            if looks.iter().all(|look| due < *look) {
                looks.push(due);
                self.schedule(due, Event::Turn { store, boot, shard });
            }
        }
    }

    fn turn(&mut self, store: StoreId, boot: u64, shard: usize) {
        let now = self.now;
        let Some(offset) = self.servers.get(&store).map(|s| s.clock.offset) else { return };
        let wall = self.wall(offset);
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let Some(running) = &mut server.running else { return };
        running.looks[shard].retain(|look| *look > now);
        if running.next_turn[shard].take_if(|due| *due <= now).is_none() {
            if let Some(later) = running.next_turn[shard].take() {
                self.turn_at(store, shard, later);
            }
            return;
        }
        let time = running.clock.now(now, wall);
        let (inputs, hold) = running.take_inputs(shard);
        let output = running.shards[shard].turn(time, inputs);
        let deadline = running.shards[shard].next_deadline().map(|at| running.clock.world(at));
        let soon = hold.then_some(now + 5 * MILLISECOND);
        let deadline = deadline.into_iter().chain(soon).min();
        self.turns += 1;
        let pace = self.pace.entry((store, shard)).or_default();
        *pace =
            if pace.0 == now / MILLISECOND { (pace.0, pace.1 + 1) } else { (now / MILLISECOND, 1) };
        assert!(pace.1 < MOST_TURNS, "shard {shard} of {store} turns and turns, at {now}");
        if server.disk.has_crashed() {
            return self.crashed(store);
        }
        self.take_output(store, shard, output);
        if let Some(deadline) = deadline {
            self.turn_at(store, shard, deadline.max(now + 1));
        }
        self.tell(Happening::Turned { store, shard });
    }

    fn take_output(&mut self, store: StoreId, shard: usize, output: Output) {
        self.trace.turn(self.now, store, shard, &output);
        if let Some((ticket, batch)) = output.wal {
            self.log_submit(store, shard, ticket, batch);
        }
        for (to, bundle) in output.bundles.into_iter().chain(output.bulk) {
            self.send(store, to, bundle.into_parts().concat().into());
        }
        if let Some(standings) = output.standings {
            self.give(store, Input::Standings(standings));
        }
        for leading in output.leading {
            let claims = self.claims.entry(leading.group).or_default();
            if leading.leads {
                claims.insert(store, leading.term);
            } else {
                claims.remove(&store);
            }
        }
        for (id, answer) in output.answers {
            self.answered(store, id, answer);
        }
        for (id, group, request) in output.calls {
            self.call_of_shard(store, shard, id, group, request);
        }
        for job in output.jobs {
            self.flush(store, job);
        }
        for notice in output.notices {
            self.tell(Happening::Notice(store, notice));
        }
        for publish in output.publishes {
            self.tell(Happening::Publish { store, publish });
        }
        if let Some(why) = output.fatal {
            self.end(store, why);
        }
    }

    /// The shards of a server that runs.
    #[must_use]
    pub fn shards(&self, store: StoreId) -> &[Shard] {
        self.servers.get(&store).map_or(&[], Server::shards)
    }

    /// Whether a server runs.
    #[must_use]
    pub fn runs(&self, store: StoreId) -> bool {
        self.servers.get(&store).is_some_and(|s| s.running.is_some())
    }
}
