//! What will be done to the servers, as data: the same seed and options give the same plan.

mod draw;

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

pub use draw::damage;

/// The kinds of faults to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// SIGKILL of one server, the leader, a minority, all.
    Kill,
    /// SIGSTOP for 1 ms to 60 s.
    Pause,
    /// Links that are cut, work one way, lose, repeat, reorder or delay.
    Link,
    /// Power loss of one server, two, all.
    Power,
    /// A disk without space.
    FullDisk,
    /// A disk that does not answer.
    HungDisk,
    /// A flipped byte, a zeroed sector, a truncated file, of one server that is down.
    DamageDown,
    /// The same of one that runs.
    DamageRunning,
    /// All servers are restarted, one after the other.
    Rolling,
    /// A replica is moved away, the number of replicas changes.
    Membership,
}

/// Whom a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Whom {
    /// This server, from 0.
    One(usize),
    /// Who leads the stream.
    Leader,
    /// This server and the next.
    Two(usize),
    /// As many as may be missing, from this server on.
    Minority(usize),
    /// Everybody.
    All,
}

/// What a bad link does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Weather {
    /// Nothing comes or goes.
    Isolated,
    /// The server hears nobody; what it sends arrives.
    Deaf,
    /// Nobody hears the server; it hears the others.
    Mute,
    /// It and the next server do not hear each other.
    CutFromNext,
    /// Datagrams are lost, repeated and reordered, each with this probability.
    Lossy(f64),
    /// Datagrams take so many milliseconds, and up to as many more.
    Slow(u64),
}

/// The classes of files of a store (`docs/storage-format.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum FileClass {
    /// `store.a`
    StoreA,
    /// `store.b`
    StoreB,
    /// `wal/*.wal`
    Log,
    /// `wal/spare-*`
    Spare,
    /// `streams/*/*.seg`
    Segment,
}

/// What is done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Harm {
    /// One bit of one byte is another.
    FlippedByte,
    /// 512 bytes are zero.
    ZeroedSector,
    /// The file ends early.
    Truncated,
}

impl FileClass {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::StoreA, Self::StoreB, Self::Log, Self::Spare, Self::Segment];
}

impl Harm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::FlippedByte, Self::ZeroedSector, Self::Truncated];
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Act {
    /// SIGKILL; started again in the end.
    Kill(Whom),
    /// SIGSTOP; SIGCONT in the end.
    Pause(Whom),
    /// What was not synced is gone; started again in the end.
    Power(Whom),
    /// The disk is filled; emptied in the end.
    FullDisk(Whom),
    /// The disk hangs; it goes on in the end.
    HungDisk(Whom),
    /// Links of one server are bad; perfect in the end.
    Link(usize, Weather),
    /// A file is damaged, of a server that is down (started in the end) or runs (restarted in the end). It is the same
    /// server again as long as it holds a replica: damage to more copies than one is another promise, and damage in a
    /// segment waits until somebody reads there.
    Damage {
        /// Which file.
        class: FileClass,
        /// What is done to it.
        harm: Harm,
        /// Whether the server runs meanwhile.
        running: bool,
    },
    /// One server after the other is stopped and started.
    Rolling,
    /// The stream's replica on a follower is moved away.
    RemovePeer,
    /// The stream gets another number of replicas; the old one in the end.
    Scale(usize),
}

impl Act {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Kill(_) => Kind::Kill,
            Self::Pause(_) => Kind::Pause,
            Self::Power(_) => Kind::Power,
            Self::FullDisk(_) => Kind::FullDisk,
            Self::HungDisk(_) => Kind::HungDisk,
            Self::Link(..) => Kind::Link,
            Self::Damage { running: false, .. } => Kind::DamageDown,
            Self::Damage { running: true, .. } => Kind::DamageRunning,
            Self::Rolling => Kind::Rolling,
            Self::RemovePeer | Self::Scale(_) => Kind::Membership,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Kill(whom) => format!("kill {whom:?}"),
            Self::Pause(whom) => format!("pause {whom:?}"),
            Self::Power(whom) => format!("power loss {whom:?}"),
            Self::FullDisk(whom) => format!("full disk {whom:?}"),
            Self::HungDisk(whom) => format!("hung disk {whom:?}"),
            Self::Link(server, weather) => format!("link of {server} {weather:?}"),
            Self::Damage { class, harm, running } => {
                let state = if *running { "running" } else { "down" };
                format!("{harm:?} {class:?} while {state}")
            }
            Self::Rolling => "rolling restart".into(),
            Self::RemovePeer => "peer removal".into(),
            Self::Scale(replicas) => format!("scale to {replicas}"),
        };
        formatter.pad(&text)
    }
}

/// One fault in time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    /// What it does.
    pub act: Act,
    /// How long after its episode's begin.
    pub after: Duration,
    /// How long it stays.
    pub hold: Duration,
}

/// Faults that overlap, and then a time in which everything must become whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Episode {
    /// One fault or two.
    pub faults: Vec<Fault>,
    /// How long nothing happens before.
    pub quiet: Duration,
}

/// What a plan is drawn from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// How many servers.
    pub servers: usize,
    /// The kinds to choose from.
    pub kinds: Vec<Kind>,
}

/// All of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// How many servers.
    pub servers: usize,
    /// How many replicas the streams have.
    pub replicas: usize,
    /// What is done, one after the other.
    pub episodes: Vec<Episode>,
}
