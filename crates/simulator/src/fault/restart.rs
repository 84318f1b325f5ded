//! Servers that end and come back: when, after which disk call, and with what on their disks.

use flotilla_host::MILLISECOND;
use flotilla_raft::StoreId;

use super::carry_out::{Faults, RESTARTS};
use crate::world::{DiskPace, LinkFaults, World};

/// How long an operator waits before a server that ended by itself, or does not start, is started again.
const OPERATOR: u64 = 700 * MILLISECOND;

/// A crash at a disk call to come.
#[derive(Clone, Copy)]
pub(super) struct Crash {
    pub(super) fault: usize,
    /// After so many calls, counted again in each life of the server.
    pub(super) calls: u64,
    /// With its power.
    pub(super) power: bool,
    pub(super) down: u64,
}

impl Faults {
    pub(super) fn order_crash(&mut self, store: StoreId, crash: Crash, world: &World) {
        if let Some(server) = world.servers.get(&store) {
            server.disk.crash_at(crash.calls);
            self.crashes.insert(store, crash);
        }
    }

    pub(super) fn restart_after(&mut self, store: StoreId, down: u64, world: &mut World) {
        let at = world.now + down.max(MILLISECOND);
        self.restart_at.insert(store, at);
        world.at(at, RESTARTS + store.0);
    }

    /// A server ended by itself: somebody starts it again.
    pub fn ended(&mut self, store: StoreId, world: &mut World) {
        let has_crashed = world.servers.get(&store).is_some_and(|s| s.disk.has_crashed());
        let mut down = self.down.remove(&store).unwrap_or(OPERATOR);
        if has_crashed && let Some(crash) = self.crashes.remove(&store) {
            self.fired.insert(crash.fault);
            down = crash.down;
            if crash.power {
                self.power.insert(store);
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
            self.recover_disk(store, world);
        }
        // Another fault may have ended the life in which it was to crash.
        if !self.over
            && let Some(crash) = self.crashes.get(&store).copied()
        {
            self.order_crash(store, crash, world);
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
