//! Carrying faults out, and healing what they did.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_disk::{Failure, Operation};
use flotilla_host::MILLISECOND;
use flotilla_raft::{GroupId, StoreId};

use super::{FaultKind, FaultPlan, Who};
use crate::world::{DiskPace, LinkFaults, World};

/// Timers of faults begin with this number; each fault has as many as it has steps.
const STEPS: u64 = 1_000;
/// Timers of restarts begin with this number.
const RESTARTS: u64 = 1_000_000;

/// How long an operator waits before a server that ended by itself, or does not start, is started again.
const OPERATOR: u64 = 700 * MILLISECOND;

/// The faults of one run.
pub struct Faults {
    plans: Vec<FaultPlan>,
    fired: BTreeSet<usize>,
    /// What is wrong with the network, by fault.
    links: BTreeMap<usize, LinkFaults>,
    /// Whom each fault met.
    met: BTreeMap<usize, Vec<StoreId>>,
    /// What comes down with its power, by server.
    power: BTreeSet<StoreId>,
    /// Which server's crash belongs to which fault.
    crashes: BTreeMap<StoreId, usize>,
    restart_at: BTreeMap<StoreId, u64>,
    down: BTreeMap<StoreId, u64>,
    over: bool,
}

impl Faults {
    /// Orders the faults of a plan.
    pub fn order(plans: &[FaultPlan], world: &mut World) -> Self {
        for (n, plan) in plans.iter().enumerate() {
            world.at(plan.at, STEPS + n as u64 * 100);
        }
        Self {
            plans: plans.to_vec(),
            fired: BTreeSet::new(),
            links: BTreeMap::new(),
            met: BTreeMap::new(),
            power: BTreeSet::new(),
            crashes: BTreeMap::new(),
            restart_at: BTreeMap::new(),
            down: BTreeMap::new(),
            over: false,
        }
    }

    /// How many were drawn.
    #[must_use]
    pub fn count(&self) -> usize {
        self.plans.len()
    }

    /// The faults that were drawn and never came.
    #[must_use]
    pub fn not_fired(&self) -> Vec<&FaultPlan> {
        let plans = self.plans.iter().enumerate();
        plans.filter(|(n, _)| !self.fired.contains(n)).map(|(_, plan)| plan).collect()
    }

    /// A time that belongs to a fault has come. Returns whether it was one.
    pub fn timer(&mut self, number: u64, world: &mut World) -> bool {
        if let Some(store) = number.checked_sub(RESTARTS) {
            self.restart(StoreId(store), world);
            return true;
        }
        let Some(number) = number.checked_sub(STEPS) else { return false };
        let (fault, step) = (crate::plan::index(number / 100), number % 100);
        if !self.over {
            self.step(fault, step, world);
        }
        true
    }

    fn step(&mut self, fault: usize, step: u64, world: &mut World) {
        let Some(plan) = self.plans.get(fault).cloned() else { return };
        if step == 0 {
            world.trace.note(world.now, || format!("fault: {:?}", plan.kind));
        }
        if self.network(fault, step, &plan.kind, world) {
            return;
        }
        match &plan.kind {
            FaultKind::Kill { who, down } => {
                for store in self.meet(fault, who, world) {
                    world.kill(store);
                    self.restart_after(store, *down, world);
                }
            }
            FaultKind::PowerLoss { who, down } => {
                for store in self.meet(fault, who, world) {
                    world.power_loss(store);
                    self.restart_after(store, *down, world);
                }
            }
            FaultKind::Crash { who, calls, power, down } => {
                for store in resolve(who, world) {
                    self.order_crash(fault, store, *calls, (*power, *down), world);
                }
            }
            FaultKind::CrashInRecovery { who, calls, power, down } => {
                for store in self.meet(fault, who, world) {
                    if *power {
                        world.power_loss(store);
                    } else {
                        world.kill(store);
                    }
                    self.restart_after(store, *down, world);
                    self.order_crash(fault, store, *calls, (*power, *down), world);
                }
            }
            FaultKind::Pause { who, lasting } => {
                for store in self.meet(fault, who, world) {
                    let until = world.now + lasting;
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.paused_until = until;
                    }
                }
            }
            FaultKind::ClockJump { who, by } => {
                for store in self.meet(fault, who, world) {
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.clock.offset += by * 1_000_000;
                    }
                }
            }
            FaultKind::ClockDrift { who, by, down } => {
                for store in self.meet(fault, who, world) {
                    world.kill(store);
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.clock.drift = *by;
                    }
                    self.restart_after(store, *down, world);
                }
            }
            kind => self.disk(fault, step, kind, world),
        }
    }

    fn disk(&mut self, fault: usize, step: u64, kind: &FaultKind, world: &mut World) {
        let next = STEPS + fault as u64 * 100 + step + 1;
        match kind {
            FaultKind::SlowDisk { who, sync, lasting } if step == 0 => {
                for store in self.meet(fault, who, world) {
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.pace.sync = (*sync / 2, *sync / 2);
                    }
                }
                world.at(world.now + lasting, next);
            }
            FaultKind::HungDisk { who, lasting } => {
                let until = world.now + lasting;
                for store in self.meet(fault, who, world) {
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.pace.hangs_until = until;
                    }
                }
            }
            FaultKind::SyncError { who, calls, down } => {
                for store in self.meet(fault, who, world) {
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.disk.fail(Operation::Sync, *calls, Failure::Io);
                    }
                    self.down.insert(store, *down);
                }
            }
            FaultKind::ShortWrite { who, calls, bytes, down } => {
                for store in self.meet(fault, who, world) {
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.disk.fail(Operation::Write, *calls, Failure::Short(*bytes));
                    }
                    self.down.insert(store, *down);
                }
            }
            FaultKind::FullDisk { who, lasting } if step == 0 => {
                for store in self.meet(fault, who, world) {
                    if let Some(server) = world.servers.get_mut(&store) {
                        server.disk.set_capacity(0);
                    }
                }
                world.at(world.now + lasting, next);
            }
            _ => self.heal_disks(fault, world),
        }
    }

    fn heal_disks(&mut self, fault: usize, world: &mut World) {
        for store in self.met.get(&fault).cloned().unwrap_or_default() {
            if let Some(server) = world.servers.get_mut(&store) {
                server.disk.set_capacity(u64::MAX);
                server.pace.sync = DiskPace::default().sync;
            }
        }
    }

    /// Network faults. Returns whether it was one.
    fn network(&mut self, fault: usize, step: u64, kind: &FaultKind, world: &mut World) -> bool {
        let all = world.stores();
        let next = STEPS + fault as u64 * 100 + step + 1;
        let (change, lasting) = match kind {
            FaultKind::Partition { these, lasting } => (cut(these, &all, true), *lasting),
            FaultKind::OneWay { these, lasting } => (cut(these, &all, false), *lasting),
            FaultKind::Ring { lasting } => (ring(&all), *lasting),
            FaultKind::Flapping { these, times, each } => {
                let change = if step.is_multiple_of(2) {
                    cut(these, &all, true)
                } else {
                    LinkFaults::default()
                };
                if step + 1 < times * 2 {
                    world.at(world.now + each, next);
                }
                self.fired.insert(fault);
                self.set_links(fault, change, world);
                return true;
            }
            FaultKind::BadLinks { often, most, lasting } => {
                let (slow, lossy) = (Some((*often, *most)), Some(*often));
                (LinkFaults { cut: Vec::new(), slow, lossy }, *lasting)
            }
            FaultKind::BrokenLinks { times, each } => {
                let a = all[crate::plan::index(world.random.below(all.len() as u64))];
                let b = all[crate::plan::index(world.random.below(all.len() as u64))];
                if a != b && world.break_link(a, b) {
                    self.fired.insert(fault);
                }
                if step + 1 < (*times).min(99) {
                    world.at(world.now + each, next);
                }
                return true;
            }
            _ => return false,
        };
        if step == 0 {
            self.fired.insert(fault);
            world.at(world.now + lasting, next);
            self.set_links(fault, change, world);
        } else {
            self.set_links(fault, LinkFaults::default(), world);
        }
        true
    }

    fn set_links(&mut self, fault: usize, change: LinkFaults, world: &mut World) {
        self.links.insert(fault, change);
        let mut all = LinkFaults::default();
        for faults in self.links.values() {
            all.cut.extend(&faults.cut);
            all.slow = all.slow.or(faults.slow);
            all.lossy = all.lossy.or(faults.lossy);
        }
        all.cut.sort_unstable();
        all.cut.dedup();
        world.set_links(all);
    }

    fn order_crash(
        &mut self,
        fault: usize,
        store: StoreId,
        calls: u64,
        (power, down): (bool, u64),
        world: &mut World,
    ) {
        let Some(server) = world.servers.get_mut(&store) else { return };
        server.disk.crash_at(calls);
        self.crashes.insert(store, fault);
        self.down.insert(store, down);
        if power {
            self.power.insert(store);
        }
    }

    /// Whom a fault meets now: of these, those that run.
    fn meet(&mut self, fault: usize, who: &Who, world: &World) -> Vec<StoreId> {
        let stores = resolve(who, world);
        if !stores.is_empty() {
            self.fired.insert(fault);
        }
        self.met.insert(fault, stores.clone());
        stores
    }

    fn restart_after(&mut self, store: StoreId, down: u64, world: &mut World) {
        let at = world.now + down.max(MILLISECOND);
        self.restart_at.insert(store, at);
        world.at(at, RESTARTS + store.0);
    }

    /// A server ended by itself: somebody starts it again.
    pub fn ended(&mut self, store: StoreId, world: &mut World) {
        if let Some(fault) = self.crashes.remove(&store) {
            self.fired.insert(fault);
        }
        let down = self.down.remove(&store).unwrap_or(OPERATOR);
        self.restart_after(store, down, world);
    }

    fn restart(&mut self, store: StoreId, world: &mut World) {
        if world.runs(store) || self.restart_at.get(&store).is_some_and(|at| *at > world.now) {
            return;
        }
        if let Some(server) = world.servers.get(&store)
            && server.disk.has_crashed()
        {
            self.recover_disk(store, world);
        }
        if let Err(reason) = world.start(store) {
            world.trace.note(world.now, || format!("{store} does not start: {reason}"));
            self.ended(store, world);
        }
    }

    /// The machine of a server whose disk crashed comes back.
    fn recover_disk(&mut self, store: StoreId, world: &mut World) {
        let seed = world.random.next_u64();
        let Some(server) = world.servers.get(&store) else { return };
        if self.power.remove(&store) {
            server.disk.power_loss(seed);
        } else {
            server.disk.restart();
        }
    }

    /// Nothing goes wrong any more, and everything runs again.
    pub fn heal(&mut self, world: &mut World) {
        self.over = true;
        world.set_links(LinkFaults::default());
        for store in world.stores() {
            if let Some(server) = world.servers.get_mut(&store) {
                server.disk.set_capacity(u64::MAX);
                server.disk.forget_faults();
                server.pace = DiskPace::default();
                server.paused_until = 0;
                server.clock.offset = 0;
            }
            if !world.runs(store) {
                self.restart_after(store, 0, world);
            }
        }
    }
}

fn resolve(who: &Who, world: &World) -> Vec<StoreId> {
    let stores = match who {
        Who::These(stores) => stores.clone(),
        Who::MetaLeader => world.leader(GroupId::META).into_iter().collect(),
        Who::StreamLeader => world.some_leader().into_iter().collect(),
    };
    stores.into_iter().filter(|store| world.runs(*store)).collect()
}

fn cut(these: &[StoreId], all: &[StoreId], both: bool) -> LinkFaults {
    let mut cut = Vec::new();
    for a in these {
        for b in all.iter().filter(|b| !these.contains(b)) {
            cut.push((*a, *b));
            if both {
                cut.push((*b, *a));
            }
        }
    }
    LinkFaults { cut, ..LinkFaults::default() }
}

fn ring(all: &[StoreId]) -> LinkFaults {
    let n = all.len();
    let mut cut = Vec::new();
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            let apart = (i + n - j) % n;
            if apart > 1 && apart < n - 1 {
                cut.push((*a, *b));
            }
        }
    }
    LinkFaults { cut, ..LinkFaults::default() }
}
