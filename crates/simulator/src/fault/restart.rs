//! Servers that end and come back: when, after which disk call, and with what on their disks.

use flotilla_host::MILLISECOND;
use flotilla_raft::StoreId;

use super::carry_out::{Faults, RESTARTS};
use crate::script::CrashAt;
use crate::world::{DiskPace, LinkFaults, World};

/// How long an operator waits before a server that ended by itself, or does not start, is started again.
const OPERATOR: u64 = 700 * MILLISECOND;

/// How long a server that crashed alone is down.
const DOWN: u64 = 300 * MILLISECOND;

/// A crash at a disk call to come.
#[derive(Clone, Copy)]
pub(super) struct Crash {
    pub(super) fault: usize,
    /// After so many calls, counted again in each life of the server.
    pub(super) calls: u64,
    /// In the life after the crash another one comes, after so many.
    pub(super) again: Option<u64>,
    /// With its power; the seed tells what is left then of what was not synced.
    pub(super) power: Option<u64>,
    pub(super) down: u64,
}

impl Crash {
    pub(super) fn draw(
        fault: usize,
        calls: u64,
        (power, down): (bool, u64),
        world: &mut World,
    ) -> Self {
        let power = power.then(|| world.random.next_u64());
        Self { fault, calls, again: None, power, down }
    }
}

impl Faults {
    /// Orders a crash that is in no plan. [`came`](Self::came) tells whether it did.
    pub(crate) fn crash(&mut self, store: StoreId, at: CrashAt, world: &World) {
        let CrashAt { call: calls, again, power } = at;
        self.order_crash(store, Crash { fault: 0, calls, again, power, down: DOWN }, world);
    }

    /// Whether all crashes came that were ordered.
    pub(crate) fn came(&self) -> bool {
        !self.fired.is_empty() && self.crashes.is_empty()
    }

    pub(super) fn order_crash(&mut self, store: StoreId, crash: Crash, world: &World) {
        if let Some(server) = world.servers.get(&store) {
            server.disk.crash_at(crash.calls);
            self.crashes.insert(store, crash);
        }
    }

    pub(crate) fn restart_after(&mut self, store: StoreId, down: u64, world: &mut World) {
        let at = world.now + down.max(MILLISECOND);
        self.restart_at.insert(store, at);
        world.at(at, RESTARTS + store.0);
    }

    /// A server ended by itself: somebody starts it again.
    pub fn ended(&mut self, store: StoreId, world: &mut World) {
        let has_crashed = world.servers.get(&store).is_some_and(|s| s.disk.has_crashed());
        let mut down = self.down.remove(&store).unwrap_or(OPERATOR);
        if has_crashed && let Some(mut crash) = self.crashes.remove(&store) {
            self.fired.insert(crash.fault);
            down = crash.down;
            self.power.extend(crash.power.map(|seed| (store, seed)));
            if let Some(calls) = crash.again.take() {
                self.crashes.insert(store, Crash { calls, ..crash });
            }
        }
        self.restart_after(store, down, world);
    }

    pub(super) fn restart(&mut self, store: StoreId, world: &mut World) {
        if world.runs(store) || self.restart_at.get(&store).is_some_and(|at| *at > world.now) {
            return;
        }
        if let Some(server) = world.servers.get(&store)
            && server.disk.has_crashed()
        {
            match self.power.remove(&store) {
                Some(seed) => server.disk.power_loss(seed),
                None => server.disk.restart(),
            }
        }
        // Another fault may have ended the life in which it was to crash.
        if !self.over
            && let Some(crash) = self.crashes.get(&store).copied()
        {
            self.order_crash(store, crash, world);
        }
        match world.start(store) {
            Ok(()) => self.damaged.retain(|damaged| *damaged != store),
            Err(reason) => {
                world.trace.note(world.now, || format!("{store} does not start: {reason}"));
                self.ended(store, world);
            }
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
