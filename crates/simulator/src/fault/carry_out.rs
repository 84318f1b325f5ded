//! Carrying faults out, and healing what they did.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_disk::{Failure, MemDisk, Operation};
use flotilla_host::MILLISECOND;
use flotilla_raft::{GroupId, StoreId};

use super::ambush::Lurking;
use super::restart::Crash;
use super::{FaultKind, FaultPlan, Hurt, Who};
use crate::world::{DiskPace, LinkFaults, World};

/// Timers of faults begin with this number; each fault has as many as it has steps.
const STEPS: u64 = 1_000;
/// Timers of restarts begin with this number.
pub(super) const RESTARTS: u64 = 1_000_000;

/// How long a fault waits before it looks again for somebody to meet: all may be down, or nobody lead.
pub(super) const AGAIN: u64 = 50 * MILLISECOND;

/// The steps that a fault has at most.
pub(super) const MOST_STEPS: u64 = 100;

/// The faults of one run.
pub struct Faults {
    pub(super) plans: Vec<FaultPlan>,
    pub(super) fired: BTreeSet<usize>,
    /// Those that can come no more.
    pub(super) called_off: BTreeSet<usize>,
    /// Those that wait for a moment.
    pub(super) lurking: BTreeMap<usize, Lurking>,
    /// What is wrong with the network, by fault.
    pub(super) links: BTreeMap<usize, LinkFaults>,
    /// Whom each fault met.
    pub(super) met: BTreeMap<usize, Vec<StoreId>>,
    /// The crashes that were ordered and have not come, by server.
    pub(super) crashes: BTreeMap<StoreId, Crash>,
    /// Those that came with the power, and from which their machine has not come back.
    pub(super) power: BTreeMap<StoreId, u64>,
    pub(super) restart_at: BTreeMap<StoreId, u64>,
    pub(super) down: BTreeMap<StoreId, u64>,
    pub(super) over: bool,
    /// Disks as they were, by fault, and how far the logs on them went.
    pub(super) images: BTreeMap<usize, (StoreId, MemDisk, u64)>,
    /// Whose log was damaged, and not looked at since.
    pub(super) damaged: BTreeSet<StoreId>,
    /// Whom damage met.
    pub hurt: Hurt,
}

impl Faults {
    /// Orders the faults of a plan.
    pub fn order(plans: &[FaultPlan], world: &mut World) -> Self {
        for (n, plan) in plans.iter().enumerate() {
            world.at(plan.at, timer_of(n, 0));
        }
        Self {
            plans: plans.to_vec(),
            fired: BTreeSet::new(),
            called_off: BTreeSet::new(),
            lurking: BTreeMap::new(),
            links: BTreeMap::new(),
            met: BTreeMap::new(),
            crashes: BTreeMap::new(),
            power: BTreeMap::new(),
            restart_at: BTreeMap::new(),
            down: BTreeMap::new(),
            over: false,
            images: BTreeMap::new(),
            damaged: BTreeSet::new(),
            hurt: Hurt::default(),
        }
    }

    /// How many were drawn.
    #[must_use]
    pub fn count(&self) -> usize {
        self.plans.len()
    }

    /// The faults that were drawn and have not come, but may.
    #[must_use]
    pub fn not_fired(&self) -> Vec<&FaultPlan> {
        let plans = self.plans.iter().enumerate();
        let is_over = |n: &usize| self.fired.contains(n) || self.called_off.contains(n);
        plans.filter(|(n, _)| !is_over(n)).map(|(_, plan)| plan).collect()
    }

    /// How many faults of disks came.
    #[must_use]
    pub fn fired_on_disks(&self) -> usize {
        let plans = self.fired.iter().filter_map(|n| self.plans.get(*n));
        plans.filter(|plan| plan.kind.is_of_a_disk()).count()
    }

    /// A time that belongs to a fault has come. Returns whether it was one.
    pub fn timer(&mut self, number: u64, world: &mut World) -> bool {
        if let Some(store) = number.checked_sub(RESTARTS) {
            self.restart(StoreId(store), world);
            return true;
        }
        let Some(number) = number.checked_sub(STEPS) else { return false };
        let (fault, step) = (crate::plan::index(number / MOST_STEPS), number % MOST_STEPS);
        if !self.over {
            self.step(fault, step, world);
        }
        true
    }

    fn step(&mut self, fault: usize, step: u64, world: &mut World) {
        let Some(plan) = self.plans.get(fault).cloned() else { return };
        let nobody = |who: &Who| resolve(who, world).is_empty();
        let too_early = plan.kind.forgets() && !world.meta_is_complete();
        if step == 0 && (too_early || plan.kind.who().is_some_and(nobody)) {
            return world.at(world.now + AGAIN, timer_of(fault, 0));
        }
        if step == 0 {
            world.trace.note(world.now, || format!("fault: {:?}", plan.kind));
        }
        if self.network(fault, step, &plan.kind, world) || self.damage(fault, &plan.kind, world) {
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
                let crash = Crash::draw(fault, *calls, (*power, *down), world);
                for store in resolve(who, world) {
                    self.order_crash(store, crash, world);
                }
            }
            FaultKind::CrashInRecovery { who, calls, power, down } => {
                let crash = Crash::draw(fault, *calls, (*power, *down), world);
                for store in resolve(who, world) {
                    if *power {
                        world.power_loss(store);
                    } else {
                        world.kill(store);
                    }
                    self.restart_after(store, *down, world);
                    self.order_crash(store, crash, world);
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
                        world.ahead = world.ahead.max(server.clock.offset);
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
            FaultKind::RollBack { who, age, down } => {
                self.roll_back(fault, step, who, (*age, *down), world);
            }
            FaultKind::Ambush(ambush) => self.ambush(fault, step, ambush, world),
            kind => self.disk(fault, step, kind, world),
        }
    }

    fn disk(&mut self, fault: usize, step: u64, kind: &FaultKind, world: &mut World) {
        let next = timer_of(fault, step + 1);
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

    pub(super) fn heal_disks(&mut self, fault: usize, world: &mut World) {
        for store in self.met.get(&fault).cloned().unwrap_or_default() {
            if let Some(server) = world.servers.get_mut(&store) {
                server.disk.set_capacity(u64::MAX);
                server.pace.sync = DiskPace::default().sync;
            }
        }
    }

    /// Whom a fault meets now: of these, those that run.
    pub(super) fn meet(&mut self, fault: usize, who: &Who, world: &World) -> Vec<StoreId> {
        let stores = resolve(who, world);
        if !stores.is_empty() {
            self.fired.insert(fault);
        }
        self.met.insert(fault, stores.clone());
        stores
    }
}

pub(super) fn resolve(who: &Who, world: &World) -> Vec<StoreId> {
    let stores: Vec<StoreId> = match who {
        Who::These(stores) => stores.iter().map(|store| world.heir(*store)).collect(),
        Who::MetaLeader => world.leader(GroupId::META).into_iter().collect(),
        Who::StreamLeader => world.some_leader().into_iter().collect(),
    };
    stores.into_iter().filter(|store| world.runs(*store)).collect()
}

/// The timer of a fault's step.
pub(super) fn timer_of(fault: usize, step: u64) -> u64 {
    STEPS + fault as u64 * MOST_STEPS + step
}
