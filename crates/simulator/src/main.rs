//! The simulator's command line.

use std::ops::Range;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use simulator::{Plan, did_enough, run, run_all};

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
    if !trace {
        outcome.last.iter().for_each(|line| println!("{line}"));
    }
    println!("seed {seed}: trace {:016x}, {:?}", outcome.hash, outcome.work);
    match outcome.violation {
        Some(violation) => {
            println!("{}: {}", violation.invariant, violation.what);
            ExitCode::FAILURE
        }
        None => {
            if !did_enough(&outcome.work) {
                println!("it did too little to count");
            }
            ExitCode::SUCCESS
        }
    }
}
