//! What came of a run: one line per fault, and a summary of many runs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::check::{Finding, Invariant};
use crate::event::{Answer, Call, Micros, Phase};
use crate::history::{History, Outcome};
use crate::load::LOG;
use crate::run::Done;

/// One fault of one run.
#[derive(Debug, Clone, Serialize)]
pub struct FaultLine {
    /// What it was.
    pub what: String,
    /// The proof that it was there.
    pub proof: String,
    /// When it came, in seconds.
    pub at: f64,
    /// How long it stayed, in seconds; nothing if it could not be taken away.
    pub held: Option<f64>,
    /// Messages acknowledged from its begin until everything was whole.
    pub acknowledged: usize,
    /// Those of them that are lost or altered.
    pub lost: usize,
    /// The longest time in which nobody was acknowledged anything, in seconds.
    pub gap: f64,
    /// From the end of the last fault of its episode until everything was whole, in seconds; nothing if that did not come.
    pub healed: Option<f64>,
    /// Why it did not fire.
    pub failure: Option<String>,
}

impl fmt::Display for FaultLine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.held.map_or("?".into(), |held| format!("{held:.2} s"));
        let healed = self.healed.map_or("not healed".into(), |healed| format!("{healed:.2} s"));
        write!(
            formatter,
            "  +{:6.2} s  {:42} held {held:>8}  acked {:6}  lost {}  gap {:6.2} s  heal {healed:>10}  [{}]",
            self.at, self.what, self.acknowledged, self.lost, self.gap, self.proof
        )?;
        if let Some(failure) = &self.failure {
            write!(formatter, "\n      DID NOT FIRE: {failure}")?;
        }
        Ok(())
    }
}

/// One run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Messages acknowledged, in all streams.
    pub acknowledged: usize,
    /// Reads from leaders.
    pub reads: usize,
    /// Writes that expected a sequence: stored, refused, of unknown fate.
    pub expecting: (usize, usize, usize),
    /// Acknowledgments of deliveries that were confirmed.
    pub confirmed: usize,
    /// Its faults.
    pub faults: Vec<FaultLine>,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What makes the run worthless: a fault that did not fire, nothing acknowledged.
    pub worthless: Vec<String>,
}

impl Report {
    /// Puts together what the history says and what the checker found.
    #[must_use]
    pub fn new(
        seed: u64,
        history: &History,
        findings: Vec<Finding>,
        done: &[Done],
        unhealed: Option<String>,
    ) -> Self {
        let mut report = Self {
            seed,
            acknowledged: 0,
            reads: 0,
            expecting: (0, 0, 0),
            confirmed: 0,
            faults: Vec::new(),
            findings,
            worthless: Vec::new(),
        };
        report.count(history);
        let times = history.acknowledgments(LOG);
        for (index, done) in done.iter().enumerate() {
            let line = line(history, &times, &report.findings, index + 1, done);
            if let Some(failure) = &line.failure {
                report.worthless.push(format!("{} did not fire: {failure}", line.what));
            }
            report.faults.push(line);
        }
        if let Some(what) = unhealed {
            report.findings.push(Finding { invariant: Invariant::Liveness, at: 0, what });
        }
        if report.acknowledged == 0 || report.confirmed == 0 || report.reads == 0 {
            report.worthless.push("the load did nothing".into());
        }
        if report.faults.is_empty() {
            report.worthless.push("no fault was begun".into());
        }
        report
    }

    fn count(&mut self, history: &History) {
        for op in &history.operations {
            let expects = matches!(&op.call, Call::Publish { expect: Some(_), .. });
            match &op.outcome {
                Outcome::Ok(Answer::Stored { .. }) => {
                    self.acknowledged += 1;
                    self.expecting.0 += usize::from(expects);
                }
                Outcome::Ok(Answer::Last { .. }) => self.reads += 1,
                Outcome::Ok(Answer::Confirmed) => self.confirmed += 1,
                Outcome::Refused(_) => self.expecting.1 += usize::from(expects),
                Outcome::Unknown => self.expecting.2 += usize::from(expects),
                Outcome::Ok(_) => {}
            }
        }
    }

    /// Whether nothing is wrong with it.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.findings.is_empty() && self.worthless.is_empty()
    }

    fn of(&self, invariants: &[Invariant]) -> usize {
        self.findings.iter().filter(|finding| invariants.contains(&finding.invariant)).count()
    }
}

/// The most findings of one invariant that a report spells out.
const SPELLED: usize = 5;

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(formatter, "{fault}")?;
        }
        let (stored, refused, unknown) = self.expecting;
        write!(
            formatter,
            "  seed {}: {} acknowledged, {} lost, {} duplicated; {} confirmed; expecting writes {stored} stored, \
             {refused} refused, {unknown} unknown; {} leader reads",
            self.seed,
            self.acknowledged,
            self.of(&[Invariant::Acknowledged, Invariant::Unaltered]),
            self.of(&[Invariant::Duplicates]),
            self.confirmed,
            self.reads,
        )?;
        let mut spelled: BTreeMap<Invariant, usize> = BTreeMap::new();
        for finding in &self.findings {
            let count = spelled.entry(finding.invariant).or_default();
            *count += 1;
            if *count <= SPELLED {
                write!(formatter, "\n  WRONG {finding}")?;
            }
        }
        for (invariant, count) in spelled.iter().filter(|(_, count)| **count > SPELLED) {
            write!(formatter, "\n  WRONG {invariant}: {count} in all")?;
        }
        for worthless in &self.worthless {
            write!(formatter, "\n  WORTHLESS {worthless}")?;
        }
        Ok(())
    }
}

fn seconds(micros: Micros) -> f64 {
    micros as f64 / 1e6
}

fn line(
    history: &History,
    times: &[Micros],
    findings: &[Finding],
    number: usize,
    done: &Done,
) -> FaultLine {
    let step = |phase: Phase| {
        history.faults.iter().find(|step| step.number == number && step.phase == phase)
    };
    let injected = step(Phase::Injected);
    let begun = injected.map_or(0, |step| step.at);
    let removed = step(Phase::Removed).map(|step| step.at);
    let healed = step(Phase::Healed).map(|step| step.at);
    // Another fault of the episode may have stayed longer: before its end nothing can be whole.
    let removals = history.faults.iter().filter(|step| step.phase == Phase::Removed);
    let last_removed = |healed| removals.map(|step| step.at).filter(|at| *at <= healed).max();
    let over = healed.or(step(Phase::NotHealed).map(|step| step.at)).unwrap_or(begun);
    let within = |at: Micros| (begun..=over).contains(&at);
    let lost = findings.iter().filter(|finding| {
        matches!(finding.invariant, Invariant::Acknowledged | Invariant::Unaltered)
            && within(finding.at)
    });
    let text = injected.map(|step| step.text.clone()).unwrap_or_default();
    let proof = text.split_once(": ").map_or(text.clone(), |(_, proof)| proof.to_owned());
    FaultLine {
        what: done.what.clone(),
        proof,
        at: seconds(begun),
        held: removed.map(|removed| seconds(removed - begun)),
        acknowledged: times.iter().filter(|at| within(**at)).count(),
        lost: lost.count(),
        gap: seconds(longest_gap(times, begun, over)),
        healed: healed.zip(removed).map(|(healed, removed)| {
            seconds(healed.saturating_sub(last_removed(healed).unwrap_or(removed)))
        }),
        failure: done.failure.clone(),
    }
}

/// The longest time without an acknowledgment that touches the time between the two.
fn longest_gap(times: &[Micros], from: Micros, to: Micros) -> Micros {
    let touching = times.windows(2).filter(|two| two[1] >= from && two[0] <= to);
    touching.map(|two| two[1] - two[0]).max().unwrap_or(0)
}

/// Many runs.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Each of them.
    pub runs: Vec<Report>,
}

impl Summary {
    /// Whether nothing is wrong with any of them.
    #[must_use]
    pub fn passes(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(Report::passes)
    }

    fn faults(&self) -> impl Iterator<Item = &FaultLine> {
        self.runs.iter().flat_map(|run| &run.faults)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |count: fn(&Report) -> usize| self.runs.iter().map(count).sum::<usize>();
        let failed: Vec<u64> =
            self.runs.iter().filter(|run| !run.passes()).map(|run| run.seed).collect();
        writeln!(
            formatter,
            "{} runs, {} faults: {} acknowledged, {} lost, {} duplicated; other findings {}; runs with findings: {failed:?}",
            self.runs.len(),
            self.faults().count(),
            all(|run| run.acknowledged),
            all(|run| run.of(&[Invariant::Acknowledged, Invariant::Unaltered])),
            all(|run| run.of(&[Invariant::Duplicates])),
            all(|run| run.findings.len())
                - all(|run| {
                    run.of(&[Invariant::Acknowledged, Invariant::Unaltered, Invariant::Duplicates])
                }),
        )?;
        let gaps: Vec<f64> = self.faults().map(|fault| fault.gap).collect();
        let healed: Vec<f64> = self.faults().filter_map(|fault| fault.healed).collect();
        let unhealed = self.faults().filter(|fault| fault.healed.is_none()).count();
        writeln!(formatter, "outage: {}", spread(gaps))?;
        write!(formatter, "time to heal: {}; not healed: {unhealed}", spread(healed))
    }
}

fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        let place = (values.len() as f64 * quantile).ceil() as usize;
        values.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
    };
    format!("p50 {:.2} s, p99 {:.2} s, longest {:.2} s", at(0.5), at(0.99), at(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::FaultStep;

    #[test]
    fn gaps_count_where_they_touch_the_fault() {
        let times = [0, 10, 50, 60, 200];
        assert_eq!(longest_gap(&times, 20, 30), 40, "all around the fault");
        assert_eq!(longest_gap(&times, 55, 58), 10);
        assert_eq!(longest_gap(&times, 58, 70), 140);
        assert_eq!(longest_gap(&[], 1, 2), 0);
    }

    #[test]
    fn healing_begins_when_the_last_fault_of_an_episode_ends() {
        use Phase::{Healed, Injected, Removed};
        let steps = [
            (1, 1, Injected),
            (2, 2, Injected),
            (3, 2, Removed),
            (7, 1, Removed),
            (9, 1, Healed),
            (9, 2, Healed),
            (10, 3, Injected),
            (20, 3, Removed),
            (24, 3, Healed),
        ];
        let mut history = History::default();
        for (at, number, phase) in steps {
            let (at, text) = (at * 1_000_000, String::new());
            history.faults.push(FaultStep { at, number, phase, text });
        }
        let healed = [1, 2, 3].map(|number| {
            let done = Done { what: String::new(), failure: None };
            line(&history, &[], &[], number, &done).healed
        });
        assert_eq!(healed, [Some(2.0), Some(2.0), Some(4.0)]);
    }

    #[test]
    fn a_run_that_did_nothing_does_not_pass() {
        let report = Report::new(1, &History::default(), Vec::new(), &[], None);
        assert!(!report.passes());
        assert!(!Summary::default().passes());
    }

    #[test]
    fn quantiles_are_of_what_was_seen() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(spread(values), "p50 50.00 s, p99 99.00 s, longest 100.00 s");
    }
}
