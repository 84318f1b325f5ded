//! One run: the cluster is founded, clients work while faults come, everything heals, and at the end all that was
//! promised is looked for.

mod rest;
mod whole;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_host::{ReplicaView, SECOND, Shard, Totals};
use flotilla_raft::{GroupId, HardState, Membership, ReplicaId, Role, StoreId};

use crate::client::{self, Clients};
use crate::fault::{FaultKind, Faults, Moment};
use crate::invariant::{Invariants, Seen, Violation};
use crate::plan::Plan;
use crate::trace::Trace;
use crate::world::{Happening, World};

/// How long the cluster gets to become whole once nothing goes wrong any more.
const HEALING: u64 = 90 * SECOND;

/// How long faults that found nobody to meet, or no disk call to crash at, are waited for.
const LATE_FAULTS: u64 = 5 * SECOND;

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Work {
    /// Entries that were committed, of all groups.
    pub commits: u64,
    /// How often a group got another leader.
    pub leader_changes: u64,
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Faults that were drawn, and those that never came.
    pub faults: (usize, usize),
    /// Faults of disks that came.
    pub disk_faults: usize,
    /// How often the voters of an asset's group changed.
    pub reshaped: u64,
    /// Nanoseconds that passed in the cluster.
    pub time: u64,
    /// Turns of all shards.
    pub turns: u64,
}

/// How far a group was seen to be.
#[derive(Default)]
struct Reached {
    /// The greatest term that somebody served in.
    term: u64,
    /// The most that somebody applied.
    applied: u64,
    /// Who voted when somebody served last.
    voters: Vec<ReplicaId>,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it did.
    pub work: Work,
    /// What did not hold.
    pub violation: Option<Violation>,
    /// The hash of all that happened.
    pub hash: u64,
    /// The last that happened, in words.
    pub last: Vec<String>,
}

/// A run under way.
pub struct Run {
    pub(crate) world: World,
    pub(crate) clients: Clients,
    pub(crate) faults: Faults,
    pub(crate) invariants: Invariants,
    /// Of each group that there was.
    groups: BTreeMap<GroupId, Reached>,
    /// Who leads each group, in which term, and with which members, for faults that wait for another one.
    led: BTreeMap<GroupId, (u64, Membership)>,
    /// The groups that each shard had at its last turn, for the same, and in which life of its server.
    held: BTreeMap<(StoreId, usize), (u64, BTreeSet<GroupId>)>,
    work: Work,
    /// How many messages consumers said they still have.
    pub(crate) left: BTreeMap<GroupId, u64>,
    totals_at: BTreeMap<(StoreId, usize), u64>,
    /// The replicas of each shard as they were shown to the invariants: most turns change one, or none.
    seen: BTreeMap<(StoreId, usize), Vec<Standing>>,
}

/// All that an invariant looks at in a replica, in one life of its server.
#[derive(PartialEq, Eq)]
struct Standing {
    boot: u64,
    replica: (GroupId, ReplicaId),
    role: (Role, bool),
    hard_state: HardState,
    log: (u64, u64),
    state_hash: u64,
}

impl Standing {
    fn of(boot: u64, view: &ReplicaView<'_>) -> Self {
        Self {
            boot,
            replica: (view.group, view.replica),
            role: (view.role, view.serves),
            hard_state: view.hard_state,
            log: (view.applied, view.last_index),
            state_hash: view.state_hash,
        }
    }
}

/// Runs a plan to its end.
#[must_use]
pub fn run(plan: &Plan, aloud: bool) -> Outcome {
    let mut run = Run::new(plan, aloud);
    let played = run.play(plan);
    run.end(played)
}

impl Run {
    pub(crate) fn new(plan: &Plan, aloud: bool) -> Self {
        let mut clients = Clients::new(plan.load.clone(), plan.seed);
        clients.history.clocks_are_wrong =
            plan.has(|kind| matches!(kind, FaultKind::ClockJump { .. }));
        let mut world = World::new(plan.servers, plan.seed, plan.world, Trace::new(aloud));
        world.trace.note(0, || format!("{plan:?}"));
        let faults = Faults::order(&plan.faults, &mut world);
        world.at(SECOND, client::TIMER);
        Self {
            world,
            clients,
            faults,
            invariants: Invariants::default(),
            groups: BTreeMap::new(),
            led: BTreeMap::new(),
            held: BTreeMap::new(),
            work: Work::default(),
            left: BTreeMap::new(),
            totals_at: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    fn play(&mut self, plan: &Plan) -> Result<(), Violation> {
        self.world.found();
        self.until(plan.lasts)?;
        while !self.faults.not_fired().is_empty() && self.world.now < plan.lasts + LATE_FAULTS {
            self.until(self.world.now + SECOND / 10)?;
        }
        self.heal_and_rest()
    }

    /// Nothing goes wrong any more, and everything comes to rest.
    pub(crate) fn heal_and_rest(&mut self) -> Result<(), Violation> {
        self.clients.finishing = true;
        self.faults.heal(&mut self.world);
        let now = self.world.now;
        self.world.trace.note(now, || "everything heals".to_owned());
        self.come_to_rest(now + HEALING)
    }

    /// Lets everything happen until `end`.
    pub(crate) fn until(&mut self, end: u64) -> Result<(), Violation> {
        while self.world.now < end {
            let happening = self.world.next_happening();
            self.take(happening)?;
        }
        Ok(())
    }

    fn take(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Timer(client::TIMER) => self.clients.act(&mut self.world),
            Happening::Timer(number) => drop(self.faults.timer(number, &mut self.world)),
            Happening::Turned { store, shard } => {
                self.look(store, shard)?;
                if self.faults.lie_in_wait() {
                    self.notice_moments(store, shard);
                }
            }
            Happening::Publish { store, publish } => {
                let Self { world, groups, clients, invariants, .. } = self;
                let leads = |view: &ReplicaView<'_>, group| {
                    let term = groups.get(&group).map_or(0, |reached| reached.term);
                    view.group == group && view.serves && view.hard_state.term >= term
                };
                let views = || world.shards(store).iter().flat_map(Shard::replicas);
                let is_late = |group| !views().any(|view| leads(&view, group));
                clients.hear(&publish, is_late, world.now, invariants)?;
            }
            Happening::Answer(number, answer) => {
                let now = self.world.now;
                let (notes, invariants) = (&mut self.world.trace, &mut self.invariants);
                let left = self.clients.answer(number, answer, now, notes, invariants)?;
                self.left.extend(left);
            }
            Happening::Notice(store, notice) => {
                let text = notice.to_string();
                self.world.trace.note(self.world.now, || format!("{store}: {text}"));
            }
            Happening::Ended(store, _) => self.faults.ended(store, &mut self.world),
        }
        Ok(())
    }

    /// Shows the shard that had a turn to the invariants.
    fn look(&mut self, store: StoreId, shard: usize) -> Result<(), Violation> {
        let now = self.world.now;
        let Some(server) = self.world.servers.get(&store) else { return Ok(()) };
        // What is on an older image counts for nothing.
        let Some(running) = server.running.as_ref().filter(|_| !server.rolled_back) else {
            return Ok(());
        };
        let history = &self.clients.history;
        let known = self.seen.entry((store, shard)).or_default();
        for (n, view) in running.shards[shard].replicas().enumerate() {
            let standing = Standing::of(running.boot, &view);
            if known.get(n) == Some(&standing) {
                continue;
            }
            known.truncate(n);
            known.push(standing);
            let latest = self.world.latest();
            let seen = Seen::Replica { store, boot: running.boot, view: &view, latest };
            self.invariants.see(history, &seen)?;
            let reached = self.groups.entry(view.group).or_default();
            reached.applied = reached.applied.max(view.applied);
            if view.serves && reached.term < view.hard_state.term {
                self.work.leader_changes += u64::from(reached.term > 0);
                reached.term = view.hard_state.term;
            }
            let voters = &view.membership.voters;
            if view.serves && reached.term == view.hard_state.term && reached.voters != *voters {
                let counts = view.group != GroupId::META && !reached.voters.is_empty();
                self.work.reshaped += u64::from(counts);
                reached.voters.clone_from(voters);
            }
        }
        let used = running.log.wal.used();
        let cap = running.log.wal.cap();
        let pins = if used > 2 * cap { running.log.wal.pressure().pins } else { Vec::new() };
        self.invariants.see(history, &Seen::Log { store, used, cap, pins: &pins })?;
        // Counting is not free, and what ended stays so.
        let due = self.totals_at.entry((store, shard)).or_default();
        if *due <= now {
            *due = now + SECOND / 4;
            let totals: Totals = running.shards[shard].totals();
            let hurt = self.faults.hurt.stores.contains(&store);
            self.invariants.see(history, &Seen::Server { store, totals: &totals, hurt })?;
        }
        Ok(())
    }

    /// Tells faults that wait for it of an election, of another configuration, of a replica that is gone.
    fn notice_moments(&mut self, store: StoreId, shard: usize) {
        let mut moments = Vec::new();
        let shards = self.world.shards(store);
        let views = shards.get(shard).into_iter().flat_map(Shard::replicas);
        for view in views.filter(|view| view.role == Role::Leader) {
            let term = view.hard_state.term;
            let moment = match self.led.get(&view.group) {
                Some((known, _)) if *known > term => continue,
                Some((known, members)) if *known == term => {
                    if members == view.membership {
                        continue;
                    }
                    Moment::Reconfigured
                }
                _ => Moment::Elected,
            };
            self.led.insert(view.group, (term, view.membership.clone()));
            moments.push(moment);
        }
        let boot = self.world.servers.get(&store).map_or(0, |server| server.boot);
        let groups = shards.get(shard).into_iter().flat_map(Shard::replicas);
        let now: (u64, BTreeSet<GroupId>) = (boot, groups.map(|view| view.group).collect());
        let before = self.held.insert((store, shard), now.clone());
        if before.is_some_and(|before| before.0 == boot && !before.1.is_subset(&now.1)) {
            moments.push(Moment::Destroyed);
        }
        for moment in moments {
            self.faults.moment(store, moment, &mut self.world);
        }
    }

    /// What became of a run that was played.
    pub(crate) fn end(mut self, played: Result<(), Violation>) -> Outcome {
        let violation = played.err();
        if let Some(violation) = &violation {
            let text = format!("{}: {}", violation.invariant, violation.what);
            let now = self.world.now;
            self.world.trace.note(now, || text);
        }
        let history = &self.clients.history;
        self.work.acknowledged = history.streams.values().map(|life| life.acked.len() as u64).sum();
        self.work.delivered =
            history.consumers.values().map(|life| life.delivered.len() as u64).sum();
        let all = self.faults.not_fired().len();
        self.work.faults = (self.faults.count(), all);
        self.work.time = self.world.now;
        self.work.turns = self.world.turns;
        self.work.disk_faults = self.faults.fired_on_disks();
        self.work.commits = self.groups.values().map(|reached| reached.applied).sum();
        let last = self.world.trace.last().map(str::to_owned).collect();
        Outcome { work: self.work, violation, hash: self.world.trace.hash(), last }
    }
}
