//! Disks that lose what was safe on them: damaged files, and disks that are gone as a whole.

use std::collections::BTreeSet;

use flotilla_disk::Seeded;
use flotilla_host::{MILLISECOND, Shard};
use flotilla_raft::{ReplicaId, StoreId};

use super::carry_out::Faults;
use super::{FaultKind, FaultPlan, Who};
use crate::plan::index;
use crate::world::World;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileClass {
    /// A segment of a stream.
    Segment,
    /// A file of the log.
    Log,
    /// One of the two copies of the store's record.
    Record,
}

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// So many bits flip, each somewhere else.
    Flip(u64),
    /// A sector reads as zeros.
    Zero,
    /// The file ends early.
    Cut,
    /// The file is gone.
    Lose,
}

/// Whom damage met.
#[derive(Clone, Debug, Default)]
pub struct Hurt {
    /// Replicas that may have forgotten what they promised.
    pub logs: BTreeSet<ReplicaId>,
    /// Replicas that may have lost anything at all.
    pub any: BTreeSet<ReplicaId>,
    /// The stores that they were on.
    pub stores: BTreeSet<StoreId>,
}

impl Hurt {
    /// Whether a group with these members may be beyond repair: too many have forgotten what they promised, or something
    /// may be lost on all of them.
    #[must_use]
    pub fn too_much(&self, members: &[ReplicaId]) -> bool {
        let forgetful = members.iter().filter(|replica| self.logs.contains(replica)).count();
        2 * forgetful >= members.len() || members.iter().all(|r| self.any.contains(r))
    }
}

/// Up to two more faults, of the disk, for some plans. Logs are damaged on one server only: what is lost on more than half
/// of the replicas of a group is lost.
pub(super) fn draw(random: &mut Seeded, servers: u64, lasts: u64) -> Vec<FaultPlan> {
    let victim = || Who::These(vec![StoreId(1 + servers / 2)]);
    let count = [0, 0, 1, 1, 2][index(random.below(5))];
    let kinds = (0..count).map(|_| {
        let at = 3_000 * MILLISECOND + random.below(lasts - 3_000 * MILLISECOND);
        let down = random.below(3_000) * MILLISECOND;
        let harm = match random.below(6) {
            0 => Harm::Zero,
            1 => Harm::Cut,
            2 => Harm::Lose,
            _ => Harm::Flip(1 + random.below(8)),
        };
        let place = random.next_u64();
        let stopped = random.one_in(2).then_some(down);
        let kind = match random.below(10) {
            0..=4 => {
                let who = Who::These(vec![StoreId(1 + random.below(servers))]);
                let (class, down) = (FileClass::Segment, stopped);
                FaultKind::Damage { who, class, harm, place, down }
            }
            5..=7 => {
                let (who, class) = (victim(), FileClass::Log);
                FaultKind::Damage { who, class, harm, place, down: Some(down) }
            }
            8 => {
                let (who, class) = (victim(), FileClass::Record);
                FaultKind::Damage { who, class, harm, place, down: Some(down) }
            }
            _ => FaultKind::Wipe { who: victim(), down },
        };
        FaultPlan { at, kind }
    });
    kinds.collect()
}

impl Faults {
    /// Carries out a fault of this kind. Returns whether it was one.
    pub(super) fn damage(&mut self, fault: usize, kind: &FaultKind, world: &mut World) -> bool {
        match kind {
            FaultKind::Damage { who, class, harm, place, down } => {
                for store in self.meet(fault, who, world) {
                    if *class != FileClass::Record {
                        self.note_hurt(store, *class == FileClass::Log, world);
                    }
                    if let Some(down) = down {
                        world.kill(store);
                        self.restart_after(store, *down, world);
                    }
                    harm_file(world, store, *class, *harm, *place);
                    if *class == FileClass::Log {
                        self.damaged.insert(store);
                    }
                }
            }
            FaultKind::Wipe { who, down } => {
                for store in self.meet(fault, who, world) {
                    self.note_hurt(store, true, world);
                    world.kill(store);
                    let heir = world.wipe(store);
                    self.restart_after(heir, *down, world);
                }
            }
            _ => return false,
        }
        true
    }

    pub(super) fn note_hurt(&mut self, store: StoreId, log: bool, world: &World) {
        self.hurt.stores.insert(store);
        for view in world.shards(store).iter().flat_map(Shard::replicas) {
            self.hurt.any.insert(view.replica);
            if log {
                self.hurt.logs.insert(view.replica);
            }
        }
    }
}

/// Where the last batch begins, if this is the file that is written.
fn last_batch(path: &str, contents: &[u8]) -> Option<usize> {
    let generation = path.strip_prefix("wal/")?.strip_suffix(".wal")?;
    let generation = u64::from_str_radix(generation, 16).ok()?.to_le_bytes();
    let begins = |page: &[u8]| page.starts_with(b"FWAL") && page.get(16..24) == Some(&generation);
    let mut pages = contents.chunks(4096).map(begins);
    pages.rposition(|begins| begins).map(|page| page * 4096)
}

fn harm_file(world: &mut World, store: StoreId, class: FileClass, harm: Harm, place: u64) {
    let Some(server) = world.servers.get(&store) else { return };
    let disk = &server.disk;
    let is_one = |path: &String| match class {
        FileClass::Segment => path.starts_with("streams/") && path.ends_with(".seg"),
        FileClass::Log => path.starts_with("wal/") && path.ends_with(".wal"),
        FileClass::Record => path == "store.a" || path == "store.b",
    };
    let files: Vec<String> = disk.files().into_iter().filter(is_one).collect();
    let mut random = Seeded::new(place);
    if files.is_empty() {
        return;
    }
    let path = &files[index(random.below(files.len() as u64))];
    let written =
        |contents: &[u8]| contents.iter().rposition(|byte| *byte != 0).map_or(0, |n| n + 1);
    let contents = disk.contents(path).unwrap_or_default();
    // Until something is written behind it, nothing tells a damaged last batch of the log from a torn one.
    let len = match class {
        FileClass::Log => last_batch(path, &contents).unwrap_or_else(|| written(&contents)),
        _ => written(&contents),
    };
    let len = len as u64;
    if len == 0 {
        return;
    }
    let done = match harm {
        Harm::Flip(bits) => {
            let flip =
                |_| disk.flip_bit(path, random.below(len), u8::try_from(place % 8).unwrap_or(0));
            (0..bits).map(flip).filter(|flipped| *flipped).count() > 0
        }
        Harm::Zero => disk.zero_sector(path, random.below(len)),
        Harm::Cut => disk.cut_file(path, index(random.below(len))),
        Harm::Lose => disk.lose_file(path),
    };
    let now = world.now;
    world.trace.note(now, || format!("{path} of {store}: {harm:?}, {done}"));
}
