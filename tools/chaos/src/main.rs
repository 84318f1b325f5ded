//! `flotilla-chaos` does harm to real servers under load, and checks what clients were told against what is there.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use flotilla_chaos::check::check;
use flotilla_chaos::compare::{compare, table};
use flotilla_chaos::history::History;
use flotilla_chaos::plan::{self, Kind, Plan};
use flotilla_chaos::report::{Report, Summary};
use flotilla_chaos::run::{Options, run};

/// Do harm to real servers under load, and check what clients were told
#[derive(Debug, Parser)]
#[command(
    after_help = "FLOTILLA_SERVER and NATS_SERVER name the server programs; without them flotilla-server is taken from \
    beside this program, and nats-server from the PATH. It needs the right to mount file systems."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs servers, load and faults, and checks the histories
    Run(RunArguments),
    /// Checks a history
    Check {
        /// The file
        file: PathBuf,
    },
    /// Does to Flotilla and to nats-server what nats-server loses messages by
    Compare {
        /// How long clients publish before the fault, in seconds
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Names the bit that flips
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where histories and logs go
        #[arg(long, default_value = "chaos")]
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// How many runs; each takes the next seed
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// How long faults are begun in each, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The kinds of faults; all, if not given
    #[arg(long, value_delimiter = ',')]
    faults: Vec<Kind>,
    /// How many servers; three, four and five in turn, if not given
    #[arg(long, value_parser = clap::value_parser!(u64).range(3..=5))]
    servers: Option<u64>,
    /// Instead of what a seed draws: each harm to each class of file, one per run, on a server that is down and on one
    /// that runs
    #[arg(long, conflicts_with_all = ["faults", "runs"])]
    sweep: bool,
    /// How long each client rests between two operations, in milliseconds
    #[arg(long, default_value_t = 10)]
    pace: u64,
    /// Where histories go
    #[arg(long, default_value = "chaos")]
    dir: PathBuf,
    /// Keep histories and logs of runs without findings, too
    #[arg(long)]
    keep: bool,
    /// Write all figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let result = tokio::select! {
        result = carry_out(command) => result,
        // What is dropped now kills its servers and unmounts its disks.
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted")),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flotilla-chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn carry_out(command: Command) -> Result<bool> {
    match command {
        Command::Run(arguments) => run_all(&arguments).await,
        Command::Check { file } => check_file(&file),
        Command::Compare { seconds, seed, dir } => {
            let rows = compare(Duration::from_secs(seconds), seed, &dir).await?;
            ensure!(!rows.is_empty(), "file systems cannot be mounted here");
            println!("{}", table(&rows));
            Ok(true)
        }
    }
}

/// What the arguments ask for, a plan for each run.
fn plans(arguments: &RunArguments) -> Result<Vec<Plan>> {
    if arguments.sweep {
        let servers = usize::try_from(arguments.servers.unwrap_or(3))?;
        return Ok(plan::damage(arguments.seed, servers));
    }
    let kinds = match arguments.faults.as_slice() {
        [] => Kind::value_variants().to_vec(),
        given => given.to_vec(),
    };
    let mut plans = Vec::new();
    for seed in arguments.seed..arguments.seed + arguments.runs {
        let servers = usize::try_from(arguments.servers.unwrap_or(3 + (seed.max(1) - 1) % 3))?;
        plans.push(Plan::draw(&plan::Options { seed, servers, kinds: kinds.clone() }));
    }
    Ok(plans)
}

async fn run_all(arguments: &RunArguments) -> Result<bool> {
    let mut summary = Summary::default();
    for plan in plans(arguments)? {
        let (seed, servers) = (plan.seed, plan.servers);
        let options = Options {
            plan,
            length: Duration::from_secs(arguments.seconds),
            pace: Duration::from_millis(arguments.pace),
            dir: arguments.dir.clone(),
        };
        println!("seed {seed}, {servers} servers");
        let ran = match run(&options).await.with_context(|| format!("seed {seed}")) {
            Ok(Some(ran)) => ran,
            Ok(None) => bail!("file systems cannot be mounted here"),
            Err(error) => {
                println!("  FAILED {error:#}");
                return Err(error);
            }
        };
        let history = History::read(&ran.history)?;
        let report =
            Report::new(seed, &history, check(&history), &ran.faults, ran.unhealed.clone());
        println!("{report}");
        if !report.passes() || arguments.keep {
            println!("  history {}, logs {}", ran.history.display(), ran.keep_logs()?.display());
        } else {
            fs::remove_file(&ran.history)?;
            fs::remove_file(ran.history.with_extension("plan.json"))?;
        }
        summary.runs.push(report);
        if let Some(path) = &arguments.json {
            fs::write(path, serde_json::to_vec_pretty(&summary)?)?;
        }
    }
    println!("{summary}");
    Ok(summary.passes())
}

fn check_file(file: &std::path::Path) -> Result<bool> {
    let history = History::read(file)?;
    let findings = check(&history);
    for finding in &findings {
        println!("{finding}");
    }
    println!("{} operations, {} findings", history.operations.len(), findings.len());
    Ok(findings.is_empty())
}
