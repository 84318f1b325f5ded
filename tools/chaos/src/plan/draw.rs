//! Drawing a plan from a seed.

use std::time::Duration;

use super::{Act, Episode, Fault, FileClass, Harm, Kind, Options, Plan, Weather, Whom};
use crate::chance::Chance;

/// The most episodes a plan has; a run begins as many as its time allows.
const EPISODES: usize = 64;

impl Plan {
    /// Draws a plan.
    #[must_use]
    pub fn draw(options: &Options) -> Self {
        let mut chance = Chance::new(options.seed);
        let servers = options.servers;
        let replicas = if servers >= 5 && chance.happens(0.5) { 5 } else { 3 };
        let kinds = options.kinds.clone();
        let mut dice = Dice { chance, servers, replicas, kinds, damaged: false };
        let mut episodes = Vec::new();
        while episodes.len() < EPISODES && !dice.kinds.is_empty() {
            episodes.push(dice.episode());
        }
        Self { seed: options.seed, servers, replicas, episodes }
    }
}

/// Every harm to every class of file, while its server is down and while it runs: a plan for each, so that what one
/// of them leaves behind is not taken for the next one's.
#[must_use]
pub fn damage(first_seed: u64, servers: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    for class in FileClass::ALL {
        for harm in Harm::ALL {
            for running in [false, true] {
                let act = Act::Damage { class, harm, running };
                let (after, hold) = (Duration::ZERO, Duration::from_secs(2));
                let faults = vec![Fault { act, after, hold }];
                // Until then there are segments.
                let episode = Episode { faults, quiet: Duration::from_secs(10) };
                let seed = first_seed + plans.len() as u64;
                plans.push(Plan { seed, servers, replicas: 3, episodes: vec![episode] });
            }
        }
    }
    plans
}

struct Dice {
    chance: Chance,
    servers: usize,
    replicas: usize,
    kinds: Vec<Kind>,
    /// Whether a copy may hold damage that nobody has read yet.
    damaged: bool,
}

impl Dice {
    fn episode(&mut self) -> Episode {
        let kind = self.chance.pick(&self.kinds).copied().unwrap_or(Kind::Kill);
        let act = self.act(kind);
        if matches!(kind, Kind::DamageDown | Kind::DamageRunning) {
            self.damaged = true;
            if self.servers == 3 {
                // There one copy is all that a change could leave.
                self.kinds.retain(|kind| *kind != Kind::Membership);
            }
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
            // Files are made ahead: a disk must be full for a while until anybody misses the space.
            Act::FullDisk(_) | Act::HungDisk(_) => 1_000 + self.chance.below(12_000),
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
        let mut act = self.act(kind);
        if matches!(first, Act::Kill(Whom::All) | Act::Pause(Whom::All) | Act::Power(Whom::All)) {
            return None;
        }
        // Whoever is down sends nothing: what its link does must show in what the others send.
        let is_down = matches!(
            first,
            Act::Kill(_) | Act::Pause(_) | Act::Power(_) | Act::Damage { running: false, .. }
        );
        if let Act::Link(_, weather) = &mut act
            && is_down
            && matches!(weather, Weather::Mute | Weather::CutFromNext | Weather::Deaf)
        {
            *weather = Weather::Isolated;
        }
        Some(act)
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
                let class = self.chance.pick(&classes).copied().unwrap_or(FileClass::Log);
                let harm = self.chance.pick(&Harm::ALL).copied().unwrap_or(Harm::FlippedByte);
                Act::Damage { class, harm, running: kind == Kind::DamageRunning }
            }
            Kind::Rolling => Act::Rolling,
            Kind::Membership => {
                // Damage in a segment is found when it is read. If its copy is the only one by then, nobody can repair it.
                let fewest = if self.damaged { 3 } else { 1 };
                let sizes: Vec<usize> = [1, 3, 5]
                    .into_iter()
                    .filter(|size| (fewest..=self.servers).contains(size))
                    .filter(|size| *size != self.replicas)
                    .collect();
                let spare = self.servers > self.replicas;
                if spare && (sizes.is_empty() || self.chance.happens(0.5)) {
                    return Act::RemovePeer;
                }
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

    use clap::ValueEnum;

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
    fn every_damage_is_done_once() {
        let plans = damage(7, 3);
        let acts: BTreeSet<String> =
            plans.iter().map(|plan| plan.episodes[0].faults[0].act.to_string()).collect();
        assert_eq!((plans.len(), acts.len()), (30, 30));
        assert_eq!(plans[29].seed, 36);
    }

    #[test]
    fn a_copy_that_was_damaged_is_never_left_alone() {
        let mut changes = 0;
        for (seed, servers) in (0..150).zip([3, 4, 5].into_iter().cycle()) {
            let plan = plan(seed, servers, Kind::value_variants());
            let acts = plan.episodes.iter().map(|episode| episode.faults[0].act);
            let after = acts.skip_while(|act| !matches!(act, Act::Damage { .. }));
            for act in after.filter(|act| act.kind() == Kind::Membership) {
                assert_ne!(act, Act::Scale(1), "seed {seed}");
                changes += 1;
            }
        }
        assert!(changes > 0);
    }
}
