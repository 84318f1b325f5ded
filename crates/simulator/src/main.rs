//! The simulator's command line.

use std::ops::Range;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
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
}

fn range(text: &str) -> Result<Range<u64>> {
    let (from, to) = text.split_once("..").context("two numbers with .. between them")?;
    let (from, to) = (from.parse()?, to.parse()?);
    ensure!(from < to, "the first number must be below the second");
    Ok(from..to)
}

fn main() -> ExitCode {
    let options = Options::parse();
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
