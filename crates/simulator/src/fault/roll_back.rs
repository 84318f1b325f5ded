//! Disks that are rolled back to an older image, as with a machine that is restored.
//!
//! Whom they belong to does not know; the others must. They remember it only in memory, so nobody else forgets anything while
//! this happens, and the victim is no store on which a replica votes alone: nobody could miss what it has lost.

use std::sync::Arc;

use flotilla_disk::{MemDisk, Seeded, Wal, WalOptions};
use flotilla_host::{MILLISECOND, SECOND, Shard};
use flotilla_raft::{GroupId, Membership, StoreId};

use super::carry_out::{AGAIN, Faults, resolve, timer_of};
use super::{FaultKind, FaultPlan, Who};
use crate::world::World;

/// The step that looks for a victim again.
const LOOK: u64 = 2;

/// In one plan of so many it happens.
const RARE: u64 = 12;
/// So long behind it nobody forgets anything.
const SETTLES: u64 = 4 * SECOND;

/// Adds it to some plans, and takes away what must not come with it.
pub(crate) fn draw_roll_back(
    random: &mut Seeded,
    servers: u64,
    lasts: u64,
    faults: &mut Vec<FaultPlan>,
) {
    if !random.one_in(RARE) {
        return;
    }
    let at = 2 * SECOND + random.below(lasts / 2);
    let age = (500 + random.below(3_000)) * MILLISECOND;
    let down = random.below(2_000) * MILLISECOND;
    let who = match random.below(4) {
        0 => Who::MetaLeader,
        1 => Who::StreamLeader,
        _ => Who::These(vec![StoreId(1 + random.below(servers))]),
    };
    faults.retain(|fault| fault.at > at + age + down + SETTLES || fault.kind.is_gentle());
    faults.push(FaultPlan { at, kind: FaultKind::RollBack { who, age, down } });
}

impl FaultKind {
    /// Nobody ends by it, or loses anything.
    fn is_gentle(&self) -> bool {
        matches!(
            self,
            Self::Pause { .. }
                | Self::Partition { .. }
                | Self::OneWay { .. }
                | Self::Ring { .. }
                | Self::Flapping { .. }
                | Self::BadLinks { .. }
                | Self::BrokenLinks { .. }
                | Self::ClockJump { .. }
                | Self::SlowDisk { .. }
        )
    }
}

impl Faults {
    pub(super) fn roll_back(
        &mut self,
        fault: usize,
        step: u64,
        who: &Who,
        (age, down): (u64, u64),
        world: &mut World,
    ) {
        if self.somebody_may_forget(world.now + down + SETTLES) {
            self.images.remove(&fault);
            self.called_off.insert(fault);
            return world.trace.note(world.now, || "too late to roll a disk back".to_owned());
        }
        let image = self.images.remove(&fault).filter(|_| step != 0);
        if let Some((store, image, end)) = image {
            let can_be = self.may_be_rolled_back(store, world);
            let known = world.stores().into_iter().filter(|other| *other != store);
            let known = known.filter_map(|other| world.synced_of(store, other));
            if can_be && known.min().is_some_and(|known| known > end) {
                self.fired.insert(fault);
                self.note_hurt(store, true, world);
                world.kill(store);
                if let Some(server) = world.servers.get_mut(&store) {
                    (server.disk, server.rolled_back) = (Arc::new(image), true);
                }
                world.trace.note(world.now, || format!("the disk of {store} is rolled back"));
                return self.restart_after(store, down, world);
            }
            if can_be {
                self.images.insert(fault, (store, image, end));
                return world.at(world.now + AGAIN, timer_of(fault, 1));
            }
        }
        let victim = resolve(who, world).into_iter().find(|s| self.may_be_rolled_back(*s, world));
        let image = victim.and_then(|store| Some((store, image_of(store, world)?)));
        let Some((store, (image, end))) = image else {
            return world.at(world.now + AGAIN, timer_of(fault, LOOK));
        };
        self.images.insert(fault, (store, image, end));
        world.at(world.now + age, timer_of(fault, 1));
    }

    /// Whether something may come until then that this must not come with: it may have waited long for its own moment, and
    /// never comes if that was too long.
    fn somebody_may_forget(&self, until: u64) -> bool {
        let mut plans = self.plans.iter().enumerate();
        let is_ordered =
            !self.lurking.is_empty() || !self.down.is_empty() || !self.crashes.is_empty();
        is_ordered
            || plans.any(|(n, plan)| {
                let is_other =
                    !plan.kind.is_gentle() && !matches!(plan.kind, FaultKind::RollBack { .. });
                is_other && plan.at < until && !self.fired.contains(&n)
            })
    }

    /// Whether nobody needs it: no replica there votes alone, and of the meta group none else has forgotten anything for which
    /// there is no successor yet.
    fn may_be_rolled_back(&self, store: StoreId, world: &World) -> bool {
        let stores = world.stores();
        let alone = |shard: &Shard| shard.replicas().any(|view| view.membership.voters.len() < 2);
        let whole = |members: &Membership| {
            let forgot = members.voters.iter().any(|replica| self.hurt.logs.contains(replica));
            !forgot && members.learners.is_empty() && !members.is_joint()
        };
        let mut views = stores.iter().flat_map(|s| world.shards(*s)).flat_map(Shard::replicas);
        stores.iter().all(|store| world.runs(*store))
            && !world.shards(store).iter().any(alone)
            && views.all(|view| view.group != GroupId::META || whole(view.membership))
    }
}

/// The disk as it is now, and where its log will be found to end: what is written and not yet synced is in the image.
fn image_of(store: StoreId, world: &World) -> Option<(MemDisk, u64)> {
    let image = world.servers.get(&store)?.disk.image().ok()?;
    let (file_size, soft, cap) = world.options.wal;
    let options = WalOptions { store, file_size, soft, cap };
    let (wal, _) = Wal::open(&image.image().ok()?, options).ok()?;
    Some((image, wal.synced()))
}
