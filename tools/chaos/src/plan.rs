//! What will be done to the servers, as data: the same seed and options give the same plan.

use std::fmt;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::chance::Chance;

/// The most episodes a plan has; a run begins as many as its time allows.
const EPISODES: usize = 64;

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
    /// A file is damaged, of a server that is down (started in the end) or runs (restarted in the end). It is always the
    /// same server of a run: damage to more copies than one is another promise.
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

/// What a fault is allowed to leave behind. Losing something is never allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Expectation {
    /// Whether everything must be whole again afterwards.
    pub heals: bool,
}

impl Act {
    /// What must hold after this fault.
    #[must_use]
    pub fn expectation(&self) -> Expectation {
        // A replica whose files are damaged takes no part any more, and says so; it is not repaired from its peers yet.
        // When it is, this becomes true for all.
        Expectation { heals: !matches!(self, Self::Damage { .. }) }
    }

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

impl Plan {
    /// Draws a plan.
    #[must_use]
    pub fn draw(options: &Options) -> Self {
        let mut chance = Chance::new(options.seed);
        let servers = options.servers;
        let replicas = if servers >= 5 && chance.happens(0.5) { 5 } else { 3 };
        let mut dice = Dice { chance, servers, replicas, kinds: options.kinds.clone() };
        let mut episodes = Vec::new();
        while episodes.len() < EPISODES && !dice.kinds.is_empty() {
            episodes.push(dice.episode());
        }
        Self { seed: options.seed, servers, replicas, episodes }
    }
}

struct Dice {
    chance: Chance,
    servers: usize,
    replicas: usize,
    kinds: Vec<Kind>,
}

impl Dice {
    fn episode(&mut self) -> Episode {
        let kind = self.chance.pick(&self.kinds).copied().unwrap_or(Kind::Kill);
        let act = self.act(kind);
        if matches!(kind, Kind::DamageDown | Kind::DamageRunning) {
            // A damaged replica may be out for good: moving others around it would be about something else.
            self.kinds.retain(|kind| *kind != Kind::Membership);
        }
        let mut faults = vec![self.fault(act)];
        if let Some(second) = self.second(&act).filter(|_| self.chance.happens(0.5)) {
            let mut second = self.fault(second);
            second.after = Duration::from_millis(self.chance.below(1_500));
            faults.push(second);
        }
        Episode { faults, quiet: Duration::from_millis(1_000 + self.chance.below(2_000)) }
    }

    fn fault(&mut self, act: Act) -> Fault {
        let hold = match act {
            Act::Pause(_) => self.chance.between_magnitudes(1, 60_000),
            _ => 500 + self.chance.below(6_000),
        };
        Fault { act, after: Duration::ZERO, hold: Duration::from_millis(hold) }
    }

    /// A fault that may stand beside the first: one of the network beside one of a server, and the other way round.
    fn second(&mut self, first: &Act) -> Option<Act> {
        let beside: &[Kind] = match first.kind() {
            Kind::Link => &[Kind::Kill, Kind::Pause, Kind::Power, Kind::FullDisk, Kind::HungDisk],
            _ => &[Kind::Link],
        };
        let kinds: Vec<Kind> =
            beside.iter().filter(|kind| self.kinds.contains(kind)).copied().collect();
        let kind = self.chance.pick(&kinds).copied()?;
        Some(self.act(kind))
    }

    fn act(&mut self, kind: Kind) -> Act {
        match kind {
            Kind::Kill => Act::Kill(self.whom(true)),
            Kind::Pause => Act::Pause(self.whom(true)),
            Kind::Power => Act::Power(self.whom(true)),
            Kind::FullDisk => Act::FullDisk(self.whom(false)),
            Kind::HungDisk => Act::HungDisk(self.whom(false)),
            Kind::Link => {
                let weathers = [
                    Weather::Isolated,
                    Weather::Deaf,
                    Weather::Mute,
                    Weather::CutFromNext,
                    Weather::Lossy(0.02 + 0.2 * self.chance.fraction()),
                    Weather::Slow(self.chance.between_magnitudes(1, 100)),
                ];
                let weather = self.chance.pick(&weathers).copied();
                Act::Link(self.server(), weather.unwrap_or(Weather::Isolated))
            }
            Kind::DamageDown | Kind::DamageRunning => {
                // The log and the segments hold what clients were promised: they are met more often.
                let classes = [
                    FileClass::StoreA,
                    FileClass::StoreB,
                    FileClass::Log,
                    FileClass::Log,
                    FileClass::Spare,
                    FileClass::Segment,
                    FileClass::Segment,
                ];
                let harms = [Harm::FlippedByte, Harm::ZeroedSector, Harm::Truncated];
                let class = self.chance.pick(&classes).copied().unwrap_or(FileClass::Log);
                let harm = self.chance.pick(&harms).copied().unwrap_or(Harm::FlippedByte);
                Act::Damage { class, harm, running: kind == Kind::DamageRunning }
            }
            Kind::Rolling => Act::Rolling,
            Kind::Membership => {
                if self.servers > self.replicas && self.chance.happens(0.5) {
                    return Act::RemovePeer;
                }
                let sizes: Vec<usize> = [1, 3, 5]
                    .into_iter()
                    .filter(|size| *size <= self.servers && *size != self.replicas)
                    .collect();
                Act::Scale(self.chance.pick(&sizes).copied().unwrap_or(1))
            }
        }
    }

    fn whom(&mut self, may_be_all: bool) -> Whom {
        let server = self.server();
        let everybody = if may_be_all { Whom::All } else { Whom::One(server) };
        let choices = [
            Whom::One(server),
            Whom::Leader,
            Whom::Leader,
            Whom::Two(server),
            Whom::Minority(server),
            everybody,
        ];
        self.chance.pick(&choices).copied().unwrap_or(Whom::Leader)
    }

    fn server(&mut self) -> usize {
        usize::try_from(self.chance.below(self.servers as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn plan(seed: u64, servers: usize, kinds: &[Kind]) -> Plan {
        Plan::draw(&Options { seed, servers, kinds: kinds.to_vec() })
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(plan(1, 3, Kind::value_variants()), plan(1, 3, Kind::value_variants()));
        assert_ne!(plan(1, 3, Kind::value_variants()), plan(2, 3, Kind::value_variants()));
    }

    #[test]
    fn every_kind_is_drawn_and_no_other() {
        let kinds = |plan: &Plan| -> BTreeSet<Kind> {
            let faults = plan.episodes.iter().flat_map(|episode| &episode.faults);
            faults.map(|fault| fault.act.kind()).collect()
        };
        let all: BTreeSet<Kind> =
            (0..20).flat_map(|seed| kinds(&plan(seed, 4, Kind::value_variants()))).collect();
        assert_eq!(all.len(), Kind::value_variants().len());
        assert_eq!(kinds(&plan(1, 3, &[Kind::Kill])), [Kind::Kill].into());
    }

    #[test]
    fn nobody_is_moved_around_a_damaged_replica() {
        for seed in 0..50 {
            let plan = plan(seed, 4, Kind::value_variants());
            let kinds = plan.episodes.iter().map(|episode| episode.faults[0].act.kind());
            let damaged = |kind: &Kind| matches!(kind, Kind::DamageDown | Kind::DamageRunning);
            let after: Vec<Kind> = kinds.skip_while(|kind| !damaged(kind)).collect();
            assert!(!after.contains(&Kind::Membership), "seed {seed}");
        }
    }
}
