//! Faults as data: what goes wrong, when, and for how long.

mod ambush;
mod carry_out;
mod damage;
mod network;
mod restart;
mod roll_back;
mod together;

use flotilla_disk::Seeded;
use flotilla_host::{MILLISECOND, SECOND};
use flotilla_raft::StoreId;

pub use carry_out::Faults;
pub use damage::{FileClass, Harm, Hurt};
pub(crate) use roll_back::draw_roll_back;
pub(crate) use together::draw_together;

use crate::plan::index;

/// One fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultPlan {
    /// When it comes, in nanoseconds.
    pub at: u64,
    /// What it is.
    pub kind: FaultKind,
}

/// Whom it meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// These servers.
    These(Vec<StoreId>),
    /// Whoever leads the meta group then.
    MetaLeader,
    /// Whoever leads some stream then.
    StreamLeader,
}

/// What goes wrong. `who` and `these` are whom it meets; `down`, `lasting` and `each` are nanoseconds; `calls` counts calls
/// to the disk from then on.
#[allow(missing_docs)] // the fields: see above, and each variant
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The process is killed, and started again after a while.
    Kill { who: Who, down: u64 },
    /// The machine loses power, and gets it back after a while.
    PowerLoss { who: Who, down: u64 },
    /// The process dies at a disk call, or the power goes there.
    Crash { who: Who, calls: u64, power: bool, down: u64 },
    /// The process dies and, at a disk call of its recovery, dies again.
    CrashInRecovery { who: Who, calls: u64, power: bool, down: u64 },
    /// The process stands still.
    Pause { who: Who, lasting: u64 },
    /// These servers and the others do not hear each other.
    Partition { these: Vec<StoreId>, lasting: u64 },
    /// These servers are not heard by the others, which they hear.
    OneWay { these: Vec<StoreId>, lasting: u64 },
    /// Each server hears only its two neighbours.
    Ring { lasting: u64 },
    /// These servers are cut off and heard again, many times.
    Flapping { these: Vec<StoreId>, times: u64, each: u64 },
    /// All links are slow and lose signs of life.
    BadLinks { often: u64, most: u64, lasting: u64 },
    /// Links break and come back.
    BrokenLinks { times: u64, each: u64 },
    /// The time of day jumps, by milliseconds.
    ClockJump { who: Who, by: i64 },
    /// From its next start the clock runs wrong, by millionths; the server is restarted for it.
    ClockDrift { who: Who, by: i64, down: u64 },
    /// The disk is slow: syncs take up to so many microseconds.
    SlowDisk { who: Who, sync: u64, lasting: u64 },
    /// The disk gives no answer for so long.
    HungDisk { who: Who, lasting: u64 },
    /// A sync fails, once; what it should have written is not on the disk.
    SyncError { who: Who, calls: u64, down: u64 },
    /// A write fails, once, after so many bytes.
    ShortWrite { who: Who, calls: u64, bytes: usize, down: u64 },
    /// The disk is full.
    FullDisk { who: Who, lasting: u64 },
    /// A file is damaged: while the server is down, or while it runs.
    Damage { who: Who, class: FileClass, harm: Harm, place: u64, down: Option<u64> },
    /// Everything on the disk is gone; the server comes back under its name with an empty one.
    Wipe { who: Who, down: u64 },
    /// The server is killed, and comes back with its disk as it was `age` nanoseconds before.
    RollBack { who: Who, age: u64, down: u64 },
    /// From now on harm is done at certain moments.
    Ambush(Ambush),
}

/// Harm that lies in wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ambush {
    /// For what.
    pub moment: Moment,
    /// How often it strikes at most.
    pub times: u64,
    /// It strikes within so many nanoseconds.
    pub within: u64,
    /// What is done to the server where it happened.
    pub strike: Strike,
    /// For how long, in nanoseconds.
    pub lasting: u64,
}

/// What an ambush waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// A replica was elected.
    Elected,
    /// A leader has another configuration.
    Reconfigured,
    /// A replica was destroyed.
    Destroyed,
}

/// What an ambush does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The process is killed.
    Kill,
    /// The machine loses power.
    PowerLoss,
    /// The server is cut off.
    Cut,
    /// Its disk becomes slow.
    SlowDisk,
    /// Its disk gives no answer, and then the power goes: what was said meanwhile rests on nothing.
    HungDisk,
}

impl FaultKind {
    /// Whether a disk fails, loses something, or has no room.
    pub(crate) fn is_of_a_disk(&self) -> bool {
        matches!(
            self,
            Self::HungDisk { .. }
                | Self::SyncError { .. }
                | Self::ShortWrite { .. }
                | Self::FullDisk { .. }
                | Self::Damage { .. }
                | Self::Wipe { .. }
                | Self::RollBack { .. }
        )
    }

    /// Whether servers forget by it what they promised. A meta group of two would be lost with one.
    fn forgets(&self) -> bool {
        let log = |class: &FileClass| *class == FileClass::Log;
        matches!(self, Self::Wipe { .. } | Self::RollBack { .. })
            || matches!(self, Self::Damage { class, .. } if log(class))
    }

    /// Whom it meets, unless it is the network or that is not known yet.
    fn who(&self) -> Option<&Who> {
        match self {
            Self::Kill { who, .. }
            | Self::PowerLoss { who, .. }
            | Self::Crash { who, .. }
            | Self::CrashInRecovery { who, .. }
            | Self::Pause { who, .. }
            | Self::ClockJump { who, .. }
            | Self::ClockDrift { who, .. }
            | Self::SlowDisk { who, .. }
            | Self::HungDisk { who, .. }
            | Self::SyncError { who, .. }
            | Self::ShortWrite { who, .. }
            | Self::FullDisk { who, .. }
            | Self::Damage { who, .. }
            | Self::Wipe { who, .. }
            | Self::RollBack { who, .. } => Some(who),
            Self::Partition { .. }
            | Self::OneWay { .. }
            | Self::Ring { .. }
            | Self::Flapping { .. }
            | Self::BadLinks { .. }
            | Self::BrokenLinks { .. }
            | Self::Ambush(_) => None,
        }
    }
}

/// One to six faults.
pub(crate) fn draw_faults(random: &mut Seeded, servers: u64, lasts: u64) -> Vec<FaultPlan> {
    let count = 1 + random.below(6);
    let mut faults: Vec<FaultPlan> = (0..count)
        .map(|_| {
            let at = 2 * SECOND + random.below(lasts - 2 * SECOND);
            FaultPlan { at, kind: draw_kind(random, servers) }
        })
        .collect();
    let rest = 6 - faults.len();
    faults.extend(damage::draw(random, servers, lasts).into_iter().take(rest));
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn draw_kind(random: &mut Seeded, servers: u64) -> FaultKind {
    let down = random.below(4_000) * MILLISECOND;
    let lasting = (100 + random.below(6_000)) * MILLISECOND;
    match random.below(20) {
        0 | 1 => FaultKind::Kill { who: who(random, servers), down },
        2 => FaultKind::Kill { who: all(servers), down },
        3 => FaultKind::PowerLoss { who: who(random, servers), down },
        4 | 5 => FaultKind::PowerLoss { who: all(servers), down },
        6 => {
            let (calls, power) = (1 + random.below(60), random.one_in(2));
            FaultKind::Crash { who: one(random, servers), calls, power, down }
        }
        7 => {
            let (calls, power) = (1 + random.below(30), random.one_in(2));
            FaultKind::CrashInRecovery { who: one(random, servers), calls, power, down }
        }
        8 => FaultKind::Pause { who: who(random, servers), lasting },
        9 => FaultKind::Partition { these: some(random, servers), lasting },
        10 => FaultKind::OneWay { these: some(random, servers), lasting },
        11 => FaultKind::Ring { lasting },
        12 => {
            let (times, each) = (3 + random.below(8), (50 + random.below(1_500)) * MILLISECOND);
            FaultKind::Flapping { these: some(random, servers), times, each }
        }
        13 => {
            let (often, most) = (2 + random.below(20), 20 + random.below(800));
            FaultKind::BadLinks { often, most, lasting }
        }
        14 => {
            let (times, each) = (3 + random.below(20), (20 + random.below(500)) * MILLISECOND);
            FaultKind::BrokenLinks { times, each }
        }
        15 if random.one_in(2) => {
            let by = i64::try_from(random.below(1_200_000)).unwrap_or(0) - 600_000;
            FaultKind::ClockJump { who: who(random, servers), by }
        }
        15 => {
            let by = i64::try_from(random.below(20_000)).unwrap_or(0) - 10_000;
            FaultKind::ClockDrift { who: one(random, servers), by, down }
        }
        16 => {
            let sync = 10_000 + random.below(400_000);
            FaultKind::SlowDisk { who: who(random, servers), sync, lasting }
        }
        17 => FaultKind::HungDisk { who: one(random, servers), lasting: 2 * lasting },
        18 if random.one_in(2) => {
            FaultKind::SyncError { who: one(random, servers), calls: 1 + random.below(20), down }
        }
        18 => {
            let (calls, bytes) = (1 + random.below(20), index(random.below(8_192)));
            FaultKind::ShortWrite { who: one(random, servers), calls, bytes, down }
        }
        _ => FaultKind::FullDisk { who: one(random, servers), lasting },
    }
}

fn one(random: &mut Seeded, servers: u64) -> Who {
    match random.below(4) {
        0 => Who::MetaLeader,
        1 => Who::StreamLeader,
        _ => Who::These(vec![StoreId(1 + random.below(servers))]),
    }
}

fn who(random: &mut Seeded, servers: u64) -> Who {
    if random.one_in(3) { Who::These(some(random, servers)) } else { one(random, servers) }
}

fn all(servers: u64) -> Who {
    Who::These((1..=servers).map(StoreId).collect())
}

/// Some servers, not all.
fn some(random: &mut Seeded, servers: u64) -> Vec<StoreId> {
    let mut stores: Vec<StoreId> = (1..=servers).map(StoreId).collect();
    let keep = 1 + random.below(servers - 1);
    while stores.len() as u64 > keep {
        stores.remove(index(random.below(stores.len() as u64)));
    }
    stores
}
