//! Faults that lie in wait: what is rare by chance comes at the moment when it does most harm.

use flotilla_raft::StoreId;

use super::carry_out::{Faults, timer_of};
use super::network::cut;
use super::{Ambush, FaultKind, Moment, Strike};
use crate::world::{LinkFaults, World};

/// An ambush under way.
#[derive(Debug, Default)]
pub(super) struct Lurking {
    /// Whom the next harm meets, when it is already under way.
    victim: Option<StoreId>,
    /// How often it has struck.
    struck: u64,
    /// Before, it does not strike again.
    rests_until: u64,
}

impl Faults {
    /// Whether any fault waits for a moment.
    #[must_use]
    pub fn lie_in_wait(&self) -> bool {
        !self.lurking.is_empty() && !self.over
    }

    /// Something has happened on a server that a fault may wait for.
    pub fn moment(&mut self, store: StoreId, moment: Moment, world: &mut World) {
        if self.over {
            return;
        }
        for (fault, lurking) in &mut self.lurking {
            let Some(FaultKind::Ambush(ambush)) = self.plans.get(*fault).map(|plan| &plan.kind)
            else {
                continue;
            };
            let rests = lurking.victim.is_some() || world.now < lurking.rests_until;
            if ambush.moment != moment || lurking.struck >= ambush.times || rests {
                continue;
            }
            lurking.victim = Some(store);
            lurking.struck += 1;
            let at = world.now + 1 + world.random.below(ambush.within);
            world.at(at, timer_of(*fault, 2 * lurking.struck - 1));
        }
    }

    /// The beginning of an ambush, a strike, or the end of one.
    pub(super) fn ambush(&mut self, fault: usize, step: u64, ambush: &Ambush, world: &mut World) {
        if step == 0 {
            self.fired.insert(fault);
            self.lurking.insert(fault, Lurking::default());
        } else if step.is_multiple_of(2) {
            self.end(fault, ambush, world);
        } else if let Some(lurking) = self.lurking.get_mut(&fault)
            && let Some(victim) = lurking.victim.take()
        {
            lurking.rests_until = world.now + ambush.lasting;
            self.strike(fault, step, victim, ambush, world);
        }
    }

    fn strike(
        &mut self,
        fault: usize,
        step: u64,
        victim: StoreId,
        ambush: &Ambush,
        world: &mut World,
    ) {
        match ambush.strike {
            Strike::Kill => world.kill(victim),
            Strike::PowerLoss => world.power_loss(victim),
            Strike::Cut => {
                let change = cut(&[victim], &world.stores(), true);
                self.set_links(fault, change, world);
            }
            Strike::HungDisk => {
                self.met.insert(fault, vec![victim]);
                if let Some(server) = world.servers.get_mut(&victim) {
                    server.pace.hangs_until = world.now + 2 * ambush.lasting;
                }
            }
            Strike::SlowDisk => {
                self.met.insert(fault, vec![victim]);
                if let Some(server) = world.servers.get_mut(&victim) {
                    server.pace.sync = (ambush.lasting / 4_000, ambush.lasting / 4_000);
                }
            }
        }
        match ambush.strike {
            Strike::Kill | Strike::PowerLoss => self.restart_after(victim, ambush.lasting, world),
            Strike::Cut | Strike::SlowDisk | Strike::HungDisk => {
                world.at(world.now + ambush.lasting, timer_of(fault, step + 1));
            }
        }
    }

    /// What hung may be lost with the power; but not from a damaged log before that was looked at: what was written behind the
    /// damage tells it from a write that did not complete, and may not have been synced.
    fn end(&mut self, fault: usize, ambush: &Ambush, world: &mut World) {
        self.set_links(fault, LinkFaults::default(), world);
        self.heal_disks(fault, world);
        if ambush.strike == Strike::HungDisk {
            for victim in self.met.remove(&fault).unwrap_or_default() {
                if let Some(server) = world.servers.get_mut(&victim) {
                    server.pace.hangs_until = 0;
                }
                if !self.damaged.contains(&victim) {
                    world.power_loss(victim);
                    self.restart_after(victim, ambush.lasting, world);
                }
            }
        }
    }
}
