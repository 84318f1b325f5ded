//! Many runs.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::plan::Plan;
use crate::run::{Outcome, Work, run};

/// Why a run does not count as passed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
    /// The last that happened.
    pub last: Vec<String>,
}

/// What all runs did together.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many were run.
    pub runs: u64,
    /// How many were run twice, to compare.
    pub repeated: u64,
    /// How many of them did too little to count.
    pub idle: u64,
    /// In how many of them a fault of a disk came.
    pub with_disk_faults: u64,
    /// In how many of them the voters of a stream or a consumer changed.
    pub reshaped: u64,
    /// What they did.
    pub work: Work,
    /// Those that failed.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub took: Duration,
}

/// How often it is said how far all runs are.
const PROGRESS: Duration = Duration::from_secs(10);

/// A run must have done this much to count.
const LEAST_COMMITS: u64 = 100;

/// Runs one seed; one in a hundred twice.
#[must_use]
pub fn run_seed(seed: u64) -> (Outcome, Option<Failure>) {
    let plan = Plan::draw(seed);
    let outcome = match caught(|| run(&plan, false)) {
        Ok(outcome) => outcome,
        Err(what) => {
            let nothing =
                Outcome { work: Work::default(), violation: None, hash: 0, last: Vec::new() };
            return (nothing, Some(Failure { seed, what, last: Vec::new() }));
        }
    };
    let failure = |what: String| Some(Failure { seed, what, last: outcome.last.clone() });
    if let Some(violation) = &outcome.violation {
        let failed = failure(format!("{}: {}", violation.invariant, violation.what));
        return (outcome, failed);
    }
    if seed.is_multiple_of(100) && run(&plan, false).hash != outcome.hash {
        let failed =
            failure("I17 one seed, one run: another run of it had another trace".to_owned());
        return (outcome, failed);
    }
    (outcome, None)
}

/// What something returns, or in which words it panics.
pub(crate) fn caught<T>(does: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, String> {
    std::panic::catch_unwind(does).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("panic: {}", text.unwrap_or_default())
    })
}

/// Does something with each number, with so many at a time.
pub(crate) fn each(numbers: Range<u64>, jobs: usize, does: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(numbers.start);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= numbers.end {
                        return;
                    }
                    does(number);
                }
            });
        }
    });
}

/// Whether a run did enough to count.
#[must_use]
pub fn did_enough(work: &Work) -> bool {
    work.commits >= LEAST_COMMITS && work.leader_changes > 0 && work.faults.1 == 0
}

/// Runs all seeds, so many at a time, and reports how far it is.
#[must_use]
pub fn run_all(seeds: Range<u64>, jobs: usize, progress: bool) -> Summary {
    let started = Instant::now();
    let summary = Mutex::new(Summary::default());
    let said = Mutex::new(started);
    each(seeds, jobs, |seed| {
        let (outcome, failure) = run_seed(seed);
        let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.add(seed, &outcome, failure);
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        if progress && said.elapsed() > PROGRESS {
            *said = Instant::now();
            summary.took = started.elapsed();
            println!("{summary}");
        }
    });
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.took = started.elapsed();
    summary
}

impl Summary {
    fn add(&mut self, seed: u64, outcome: &Outcome, failure: Option<Failure>) {
        let work = &outcome.work;
        self.runs += 1;
        self.repeated += u64::from(seed.is_multiple_of(100));
        self.idle += u64::from(failure.is_none() && !did_enough(work));
        self.with_disk_faults += u64::from(work.disk_faults > 0);
        self.reshaped += u64::from(work.reshaped > 0);
        self.work.commits += work.commits;
        self.work.leader_changes += work.leader_changes;
        self.work.acknowledged += work.acknowledged;
        self.work.delivered += work.delivered;
        self.work.faults.0 += work.faults.0;
        self.work.faults.1 += work.faults.1;
        self.work.time += work.time;
        self.work.turns += work.turns;
        if let Some(failure) = failure {
            println!("seed {}: {}", failure.seed, failure.what);
            self.failures.push(failure);
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        let simulated = self.work.time as f64 / 1e9;
        write!(
            f,
            "{} seeds ({} failed, {} did too little, {} with faults of disks, {} with other members), {:.1} a second; {:.1} \
             h simulated, {:.0} times real time; {} acknowledged, {} delivered, {} leader changes, {} faults",
            self.runs,
            self.failures.len(),
            self.idle,
            self.with_disk_faults,
            self.reshaped,
            self.runs as f64 / seconds,
            simulated / 3600.0,
            simulated / seconds,
            self.work.acknowledged,
            self.work.delivered,
            self.work.leader_changes,
            self.work.faults.0,
        )
    }
}
