//! `flotilla-bench` starts three servers of Flotilla and of nats-server in turn (A B A B), puts the same load on both
//! from the same thin client, and prints medians, spread and ratios. The servers, the client and whatever else runs
//! share the machine: figures of two runs do not compare, the ratios of one run do.
//!
//! Flotilla runs with its defaults: a majority syncs before an acknowledgment. So does nats-server: it does not sync
//! before an acknowledgment.

mod catch_up;
mod failover;
mod floor;
mod groups;
mod heaviest;
mod one_server;
mod processes;
mod recovery;
mod report;
mod scenes;
mod slow_disk;
mod stock;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use flotilla_loads::{Figures, Load, Moment, Servers, Window};
use flotilla_tests::{Cluster, Flavour};
use tokio::time::sleep;

use crate::processes::Processes;
use crate::report::Report;
use crate::scenes::{Scene, start};

/// Before counting begins.
const WARM: Duration = Duration::from_secs(2);
/// How long a load lasts if nothing else is said.
const LENGTH: Duration = Duration::from_secs(15);
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
    /// How long each kind of load lasts, in seconds, after two more to warm up: 15 if it is not given, and 300 for
    /// `heaviest`
    #[arg(long)]
    seconds: Option<u64>,
    /// Only the loads whose names contain this text; may be given several times
    #[arg(long)]
    only: Vec<String>,
    /// How many streams there are in the load `groups`, each with a consumer
    #[arg(long, default_value_t = 1_000)]
    streams: usize,
    /// How many leaders are killed in the load `failover`
    #[arg(long, default_value_t = 10)]
    kills: usize,
    /// How many messages of 128 B there are in the loads `recovery` and `catch-up`
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// How many groups there are in the load `one server`: one in a hundred is a stream, the others are its consumers
    #[arg(long, default_value_t = 100_000)]
    groups: usize,
    /// Measure one server only
    #[arg(long, value_parser = ["flotilla", "nats"])]
    server: Option<String>,
    /// Write the figures of every round to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

impl Arguments {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.names(name)
    }

    fn names(&self, name: &str) -> bool {
        self.only.iter().any(|text| name.contains(text))
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
    for scene in Scene::ALL {
        let name = scene.name();
        let is_wanted = arguments.names(name) || scene.is_usual() && arguments.wants(name);
        if result.is_ok() && is_wanted {
            let mut figures = Figures::default();
            result = scene.play(arguments, flavour, &mut figures).await.context(name);
            measured.push((name.to_owned(), figures));
        }
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
    let mut cluster = start(flavour, 3).await?;
    let urls: Vec<String> = cluster.servers().iter().map(|server| server.url()).collect();
    let servers = Servers::find(&urls).await?;
    let length = arguments.seconds.map_or(LENGTH, Duration::from_secs);
    let window = Window { warm: WARM, length };
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
        if let Some(stored) = load.stored_bytes() {
            let payload = messages * stored as f64;
            figures.add("disk bytes/acknowledged byte, per replica", used.written as f64 / payload);
        }
    } else {
        figures.add("server CPU s", used.cpu_seconds);
    }
    Ok(figures)
}
