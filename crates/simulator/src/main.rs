//! The simulator's command line.

use std::ops::Range;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
#[cfg(feature = "mutations")]
use flotilla_mutation::Mutation;
use simulator::crash_points::{Choice, try_all};
use simulator::script::{CrashAt, play, scripts};
use simulator::{Outcome, Plan, did_enough, run, run_all};

/// A run makes and frees millions of small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs whole clusters from seeds, and looks whether they keep what they promise.
#[derive(Parser)]
#[command(name = "simulator")]
struct Options {
    /// Replay one seed
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run many: from A up to, and without, B
    #[arg(long, value_name = "A..B", value_parser = range)]
    seeds: Option<Range<u64>>,
    /// How many at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Crash at every disk call of a script, or of all
    #[arg(long, value_name = "SCRIPT", num_args = 0..=1, default_missing_value = "all")]
    crash_points: Option<String>,
    /// Replay the crash at this call of the script; without --power, of the process alone
    #[arg(long, requires = "crash_points")]
    call: Option<u64>,
    /// and at this call of the next life
    #[arg(long, requires = "call")]
    again: Option<u64>,
    /// What the power leaves, as a seed; without --call, how many of them are tried
    #[arg(long, requires = "crash_points")]
    power: Option<u64>,
    /// Print all that happens
    #[arg(long)]
    trace: bool,
    /// Put known bugs back, one at a time, and look whether the seeds find them
    #[cfg(feature = "mutations")]
    #[arg(long, conflicts_with = "seed")]
    mutations: bool,
    /// Put this one back
    #[cfg(feature = "mutations")]
    #[arg(long, value_name = "NAME", value_parser = mutation)]
    mutation: Option<Mutation>,
}

fn range(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("two numbers with .. between them")?;
    let (from, to) = (from.parse()?, to.parse()?);
    ensure!(from < to, "the first number must be below the second");
    Ok(from..to)
}

fn main() -> ExitCode {
    let options = Options::parse();
    #[cfg(feature = "mutations")]
    if options.mutations {
        return mutations(&options);
    }
    #[cfg(feature = "mutations")]
    flotilla_mutation::select(options.mutation);
    if let Some(seed) = options.seed {
        return one(seed, options.trace);
    }
    if let Some(name) = &options.crash_points {
        return crash_points(name, &options);
    }
    let summary = run_all(options.seeds.unwrap_or(0..256), options.jobs, true);
    println!("{summary}");
    for failure in &summary.failures {
        println!("\nseed {}: {}", failure.seed, failure.what);
        println!("  again, with all that happened: --seed {} --trace", failure.seed);
    }
    if summary.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, trace: bool) -> ExitCode {
    let outcome = run(&Plan::draw(seed), trace);
    if outcome.violation.is_none() && !did_enough(&outcome.work) {
        println!("it did too little to count");
    }
    show(&format!("seed {seed}"), &outcome, trace)
}

/// Prints a run that was replayed.
fn show(what: &str, outcome: &Outcome, trace: bool) -> ExitCode {
    if !trace {
        outcome.last.iter().for_each(|line| println!("{line}"));
    }
    println!("{what}: trace {:016x}, {:?}", outcome.hash, outcome.work);
    match &outcome.violation {
        Some(violation) => {
            println!("{}: {}", violation.invariant, violation.what);
            ExitCode::FAILURE
        }
        None => ExitCode::SUCCESS,
    }
}

fn crash_points(name: &str, options: &Options) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for script in scripts().iter().filter(|script| name == "all" || name == script.name) {
        if let Some(call) = options.call {
            let at = CrashAt { call, again: options.again, power: options.power };
            return show(
                script.name,
                &play(script, Some(at), options.trace).outcome,
                options.trace,
            );
        }
        let powers = options.power.unwrap_or(4);
        let tried = try_all(script, Choice::all(powers, options.jobs));
        println!("{tried}");
        if !tried.failures.is_empty() {
            code = ExitCode::FAILURE;
        }
    }
    code
}

#[cfg(feature = "mutations")]
fn mutation(name: &str) -> Result<Mutation> {
    let mut all = Mutation::ALL.iter();
    all.find(|mutation| format!("{mutation:?}") == name).copied().context("no such mutation")
}

/// Puts known bugs back: all of them, or the one that was named.
#[cfg(feature = "mutations")]
fn mutations(options: &Options) -> ExitCode {
    use simulator::Failure;
    use simulator::mutations::{Hunt, hunt_all};

    // A bug may well panic; that is caught, and said below.
    std::panic::set_hook(Box::new(|_| ()));
    let seeds = options.seeds.clone().unwrap_or(0..250);
    let all = Mutation::ALL.iter().copied();
    let wanted = all.filter(|m| options.mutation.is_none_or(|named| named == *m));
    let hunts = hunt_all(wanted, &seeds, options.jobs, |hunt| {
        let Hunt { mutation, runs, found } = hunt;
        match found {
            Some(Failure { seed, what, .. }) => {
                let what = what.lines().next().unwrap_or_default();
                println!("{mutation:?}: seed {seed}, run {runs}: {what:.200}");
            }
            None => println!("{mutation:?}: not found in {runs} runs"),
        }
    });
    println!("\n| bug | seed | run | found by |\n|---|---|---|---|");
    for hunt in &hunts {
        let seed = hunt.found.as_ref().map_or("-".to_owned(), |f| f.seed.to_string());
        println!("| `{:?}` | {seed} | {} | {} |", hunt.mutation, hunt.runs, hunt.by());
    }
    let missed = hunts.iter().filter(|hunt| hunt.found.is_none()).count();
    println!("\n{} of {} found", hunts.len() - missed, hunts.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
