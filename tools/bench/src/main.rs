//! `flotilla-bench` starts three servers of Flotilla and of nats-server in turn (A B A B), puts the same load on both
//! from the same thin client, and prints medians, spread and ratios. The servers, the client and whatever else runs
//! share the machine: figures of two runs do not compare, the ratios of one run do.
//!
//! Flotilla runs with its defaults: a majority syncs before an acknowledgment. So does nats-server: it does not sync
//! before an acknowledgment.

mod failover;
mod groups;
mod processes;
mod report;
mod slow_disk;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use flotilla_loads::{Figures, Load, Moment, Servers, Window};
use flotilla_tests::{Cluster, Flavour, Plan};
use tokio::time::sleep;

use crate::processes::Processes;
use crate::report::Report;

/// Before counting begins.
const WARM: Duration = Duration::from_secs(2);
/// After a load, for what the servers still have to write.
const SETTLE: Duration = Duration::from_secs(2);

/// Compare Flotilla with nats-server on this machine
#[derive(Debug, Parser)]
#[command(
    after_help = "FLOTILLA_SERVER and NATS_SERVER name the programs; without them flotilla-server is taken from \
    beside this program, and nats-server from the PATH."
)]
struct Arguments {
    /// How many times each server is measured
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long each kind of load lasts, in seconds, after two more to warm up
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Only the loads whose names contain this text; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// How many streams there are in the load `groups`, each with a consumer
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// How many leaders are killed in the load `failover`
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// Measure one server only
    #[arg(long, value_parser = ["flotilla", "nats"])]
    server: Option<String>,
    /// Write the figures of every round to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| name.contains(text))
    }

    fn flavours(&self) -> Vec<Flavour> {
        match self.server.as_deref() {
            Some("flotilla") => vec![Flavour::Flotilla],
            Some(_) => vec![Flavour::NatsServer],
            None => vec![Flavour::Flotilla, Flavour::NatsServer],
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.context("no runtime").and_then(|runtime| runtime.block_on(run(&arguments))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flotilla-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> Result<()> {
    let mut report = Report::default();
    for round in 1..=arguments.rounds {
        for flavour in arguments.flavours() {
            // What one server does not stand is told, and takes no other figure away.
            let (measured, result) = measure(arguments, flavour).await;
            for (name, figures) in measured {
                eprintln!("round {round}, {flavour}, {name}: {figures}");
                report.add(&name, flavour, &figures);
            }
            if let Err(error) = result {
                eprintln!("round {round}, {flavour}: {error:#}");
            }
        }
    }
    println!("{}", processes::machine()?);
    println!("{}", report.table());
    if let Some(path) = &arguments.json {
        let json = serde_json::to_vec_pretty(&report)?;
        fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// One server's figures of one round, and what ended it early, if so.
async fn measure(arguments: &Arguments, flavour: Flavour) -> (Vec<(String, Figures)>, Result<()>) {
    let mut measured = Vec::new();
    let mut result = put_loads(arguments, flavour, &mut measured).await;
    if result.is_ok() && arguments.wants(failover::NAME) {
        result = async {
            let mut cluster = start(flavour).await?;
            let figures = failover::measure(&mut cluster, arguments.kills).await?;
            measured.push((failover::NAME.to_owned(), figures));
            cluster.kill_all().await
        }
        .await;
    }
    if result.is_ok() && arguments.wants(groups::NAME) {
        result = async {
            let mut cluster = start(flavour).await?;
            let figures = groups::measure(&mut cluster, arguments.streams).await?;
            measured.push((groups::NAME.to_owned(), figures));
            cluster.kill_all().await
        }
        .await;
    }
    // Only if asked for: it needs root.
    if result.is_ok() && arguments.only.iter().any(|text| slow_disk::NAME.contains(text)) {
        result = async {
            let mut cluster = start(flavour).await?;
            let figures = slow_disk::measure(&cluster).await?;
            measured.push((slow_disk::NAME.to_owned(), figures));
            cluster.kill_all().await
        }
        .await;
    }
    (measured, result)
}

async fn put_loads(
    arguments: &Arguments,
    flavour: Flavour,
    measured: &mut Vec<(String, Figures)>,
) -> Result<()> {
    let loads: Vec<Load> = Load::all().filter(|load| arguments.wants(load.name)).collect();
    if loads.is_empty() {
        return Ok(());
    }
    let mut cluster = start(flavour).await?;
    let urls: Vec<String> = cluster.servers().iter().map(|server| server.url()).collect();
    let servers = Servers::find(&urls).await?;
    let window = Window { warm: WARM, length: Duration::from_secs(arguments.seconds) };
    for load in loads {
        let figures = put(&load, &cluster, &servers, window).await;
        measured.push((load.name.to_owned(), figures.with_context(|| load.name.to_owned())?));
        sleep(SETTLE).await;
    }
    cluster.kill_all().await
}

/// One load, and what the servers used meanwhile.
async fn put(load: &Load, cluster: &Cluster, servers: &Servers, window: Window) -> Result<Figures> {
    let mut before = None;
    let mut used = None;
    let mut at = |moment| match (moment, Processes::read(cluster)) {
        (Moment::Begin, now) => before = now.ok(),
        (Moment::End, now) => {
            used = now.ok().and_then(|now| before.as_ref().map(|before| now.since(before)));
        }
    };
    let mut figures = load.run(servers, window, &mut at).await?;
    let used: Processes = used.context("the servers cannot be watched")?;
    figures.add("resident MB, largest", used.largest_resident as f64 / 1e6);
    if let Some(messages) = figures.get("messages").filter(|messages| *messages > 0.0) {
        figures.add("server CPU us/message", used.cpu_seconds * 1e6 / messages);
        figures.add("bytes to disk/message", used.written as f64 / messages);
    } else {
        figures.add("server CPU s", used.cpu_seconds);
    }
    Ok(figures)
}

async fn start(flavour: Flavour) -> Result<Cluster> {
    let mut plan = Plan::new(3)?;
    plan.flavour = flavour;
    plan.shards.clear();
    Cluster::start(plan).await
}
