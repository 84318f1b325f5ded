//! Does the harness work? Known bugs are put back one at a time, and each must be found.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use flotilla_mutation::{Mutation, select};

use crate::campaign::{Failure, run_seed};
use crate::plan::RESHAPING;

/// What became of one bug.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The bug.
    pub mutation: Mutation,
    /// How many runs there were.
    pub runs: usize,
    /// The first that failed, and does not without the bug.
    pub found: Option<Failure>,
}

impl Hunt {
    /// The invariant that does not hold, or what else went wrong.
    #[must_use]
    pub fn by(&self) -> &str {
        let what = self.found.as_ref().map_or("-", |failure| &failure.what);
        what.split_once(": ").map_or(what, |(invariant, _)| invariant)
    }
}

/// Puts each bug back and runs the seeds, those and as many with members that change all the time in turn, until one fails.
/// So many bugs at a time.
pub fn hunt_all(
    mutations: impl IntoIterator<Item = Mutation>,
    seeds: &Range<u64>,
    jobs: usize,
    told: impl Fn(&Hunt) + Sync,
) -> Vec<Hunt> {
    let left: Mutex<VecDeque<Mutation>> = Mutex::new(mutations.into_iter().collect());
    let hunts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(mutation) = next else { return };
                    let hunt = hunt(mutation, seeds);
                    told(&hunt);
                    hunts.lock().unwrap_or_else(PoisonError::into_inner).push(hunt);
                }
            });
        }
    });
    let mut hunts = hunts.into_inner().unwrap_or_else(PoisonError::into_inner);
    hunts.sort_by_key(|hunt| Mutation::ALL.iter().position(|m| *m == hunt.mutation));
    hunts
}

fn hunt(mutation: Mutation, seeds: &Range<u64>) -> Hunt {
    let mut runs = 0;
    let found = seeds.clone().flat_map(|seed| [seed, RESHAPING + seed]).find_map(|seed| {
        runs += 1;
        select(Some(mutation));
        let failure = run_seed(seed).1;
        select(None);
        // A seed that fails without the bug proves nothing.
        failure.filter(|_| run_seed(seed).1.is_none())
    });
    Hunt { mutation, runs, found }
}
