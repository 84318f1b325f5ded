//! Seeds that failed once, and a handful that no campaign begins with.
//!
//! `SIMULATOR_SEEDS=A..B` runs others than this handful.
#![allow(clippy::unwrap_used)] // a test

use std::ops::Range;

use simulator::{Summary, run_all, run_seed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One seed a line, with what it found behind it.
const REGRESSIONS: &str = include_str!("../regressions.txt");
/// How many others are run.
const OTHERS: u64 = 256;

fn regressions() -> Vec<u64> {
    let lines = REGRESSIONS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

/// What else is run: the same in each run, unless others are asked for.
fn others() -> Range<u64> {
    if let Ok(range) = std::env::var("SIMULATOR_SEEDS") {
        let (from, to) = range.split_once("..").unwrap();
        return from.parse().unwrap()..to.parse().unwrap();
    }
    let from = 1_000_000;
    from..from + OTHERS
}

fn check(summary: &Summary) {
    println!("{summary}");
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
}

#[test]
fn seeds_that_failed_once_do_not_fail() {
    for seed in regressions() {
        let (_, failure) = run_seed(seed);
        assert!(failure.is_none(), "{failure:#?}");
    }
}

#[test]
fn other_seeds_keep_every_promise() {
    let summary = run_all(others(), 2, true);
    check(&summary);
    // Runs that do nothing prove nothing.
    assert!(summary.idle * 8 < summary.runs, "{} of {} did too little", summary.idle, summary.runs);
    assert!(summary.work.leader_changes > summary.runs, "{}", summary.work.leader_changes);
}

#[test]
fn one_seed_is_one_run() {
    for seed in [3, 5, 8] {
        let (first, second) = (run_seed(seed).0, run_seed(seed).0);
        assert_eq!(first.hash, second.hash);
    }
    assert_ne!(run_seed(3).0.hash, run_seed(5).0.hash);
}
