//! The two cases in which nats-server loses acknowledged messages, done to both servers: all lose power during a
//! publish; one bit of one replica's message file flips, and that replica becomes the leader.
//!
//! Both servers run with their defaults: that is what users run.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;
use flotilla_tests::cluster::{ELECTION, create_stream, request, stream_group};
use flotilla_tests::power::PowerSupply;
use flotilla_tests::{Cluster, Flavour, Plan, eventually};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::chance::Chance;
use crate::check::{Invariant, check};
use crate::dump::dump;
use crate::fault;
use crate::history::{History, Recorder};
use crate::load::{LOG, Load};
use crate::plan::Harm;

const SERVERS: usize = 3;
const WRITERS: usize = 16;

/// What is done to the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Case {
    /// All lose power while clients publish.
    PowerLoss,
    /// One bit of a message file of a killed follower flips; it comes back, and is made leader.
    FlippedBit,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PowerLoss => "all servers lose power during a publish",
            Self::FlippedBit => {
                "one bit of one replica's message file flips, and it is made leader"
            }
        })
    }
}

/// What came of one case with one server.
#[derive(Debug, Serialize)]
pub struct Row {
    case: Case,
    server: String,
    acknowledged: usize,
    /// Not given by the damaged replica while it led.
    denied: usize,
    lost: usize,
    note: String,
}

/// Both cases with both servers; nothing, and a line that says so, where file systems cannot be mounted.
///
/// # Errors
/// A server is missing, or did not do what every server must before the fault.
pub async fn compare(publishing: Duration, seed: u64, dir: &Path) -> Result<Vec<Row>> {
    fs::create_dir_all(dir)?;
    let mut rows = Vec::new();
    for case in [Case::PowerLoss, Case::FlippedBit] {
        for flavour in [Flavour::Flotilla, Flavour::NatsServer] {
            let Some(power) = PowerSupply::install(SERVERS)? else { return Ok(rows) };
            let mut plan = Plan::new(SERVERS)?.with_stores(power.stores());
            plan.flavour = flavour;
            let mut cluster = Cluster::start(plan).await?;
            cluster.keep_quiet();
            let history = dir.join(format!("{case:?}-{flavour}.jsonl"));
            let mut stage = Stage { power, cluster, history, seed };
            let note = stage.play(case, publishing).await;
            for server in stage.cluster.servers() {
                let log = format!("{case:?}-{flavour}-{}.log", server.name());
                fs::write(dir.join(log), server.log()?)?;
            }
            stage.cluster.kill_all().await?;
            let row = stage.judge(case, flavour, note?)?;
            eprintln!(
                "{case}, {flavour}: {} acknowledged, {} lost; {}",
                row.acknowledged, row.lost, row.note
            );
            rows.push(row);
        }
    }
    Ok(rows)
}

/// The table of them.
#[must_use]
pub fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["case", "server", "acknowledged", "denied", "lost", "afterwards"]);
    for row in rows {
        table.add_row([
            row.case.to_string(),
            row.server.clone(),
            row.acknowledged.to_string(),
            row.denied.to_string(),
            row.lost.to_string(),
            row.note.clone(),
        ]);
    }
    table
}

struct Stage {
    // Processes end before their disks go.
    cluster: Cluster,
    power: PowerSupply,
    history: PathBuf,
    seed: u64,
}

impl Stage {
    async fn play(&mut self, case: Case, publishing: Duration) -> Result<String> {
        let recorder = Arc::new(Recorder::create(&self.history)?);
        let client = self.cluster.client().await?;
        create_stream(&client, LOG, &["LOG.>"], SERVERS).await?;
        let mut load = Load::publishers(&client, &recorder, WRITERS);
        sleep(publishing).await;
        ensure!(recorder.acknowledged() > 0, "nothing was acknowledged before the fault");
        let victim = match case {
            Case::PowerLoss => {
                self.power.cut(&mut self.cluster).await?;
                load.stop_writing().await;
                None
            }
            Case::FlippedBit => {
                load.stop_writing().await;
                Some(self.flip(&client).await?)
            }
        };
        let mut note = self.start_all().await?;
        if let Some(victim) = victim {
            let leads = self.lead(&client, |leader| leader == victim, Some(&victim)).await;
            note +=
                if leads { "; the damaged one leads" } else { "; the damaged one does not lead" };
            if leads && dump(slice::from_ref(&client), &recorder, LOG, true).await.is_err() {
                note += "; it cannot be read";
            }
            if leads && !self.lead(&client, |leader| leader != victim, None).await {
                note += "; nobody else leads afterwards";
            }
        }
        if let Err(error) = dump(&[client], &recorder, LOG, false).await {
            note = format!("{note}; not readable: {}", error.root_cause());
        }
        recorder.finish()?;
        Ok(note)
    }

    /// Starts all; who is not healthy in the end.
    async fn start_all(&mut self) -> Result<String> {
        for server in self.cluster.servers_mut() {
            if !server.is_running() {
                server.start()?;
            }
        }
        let mut unwell = Vec::new();
        for server in self.cluster.servers_mut() {
            if server.wait_ready().await.is_err() {
                unwell.push(server.name().to_owned());
            }
        }
        Ok(match unwell.as_slice() {
            [] => "all healthy".into(),
            unwell => format!("not healthy: {}", unwell.join(" ")),
        })
    }

    async fn flip(&mut self, client: &Client) -> Result<String> {
        let group = eventually(ELECTION, "all replicas to be current", async || {
            let group = stream_group(client, LOG).await?;
            Ok((group.is_current && !group.leader.is_empty()).then_some(group))
        })
        .await?;
        let victim = group.followers.first().context("a follower")?.clone();
        let index = self.cluster.servers().iter().position(|server| server.name() == victim);
        let index = index.context("no such server")?;
        self.cluster.servers_mut()[index].kill().await?;
        let store = self.power.stores().get(index).cloned().context("no such store")?;
        let file = message_file(&store)?;
        let what = fault::damage(&file, Harm::FlippedByte, &mut Chance::new(self.seed))?;
        let name = file.strip_prefix(&store)?.display().to_string();
        eprintln!("{victim}: {name}: {what}");
        Ok(victim)
    }

    /// Asks for other leaders until one is wanted; whether that came.
    async fn lead(
        &self,
        client: &Client,
        is_wanted: impl Fn(&str) -> bool,
        preferred: Option<&str>,
    ) -> bool {
        let leads = eventually(ELECTION, "another leader", async || {
            let leader = stream_group(client, LOG).await?.leader;
            if is_wanted(&leader) && !leader.is_empty() {
                return Ok(Some(()));
            }
            let body = match preferred {
                Some(preferred) => json!({ "placement": { "preferred": preferred } }),
                None => Value::Null,
            };
            request(client, &format!("STREAM.LEADER.STEPDOWN.{LOG}"), &body).await?;
            sleep(Duration::from_millis(500)).await;
            Ok(None)
        });
        leads.await.is_ok()
    }

    fn judge(&self, case: Case, flavour: Flavour, note: String) -> Result<Row> {
        let history = History::read(&self.history)?;
        let findings = check(&history);
        let count = |invariant: Invariant| {
            findings.iter().filter(|finding| finding.invariant == invariant).count()
        };
        Ok(Row {
            case,
            server: flavour.to_string(),
            acknowledged: history.acknowledgments(LOG).len(),
            denied: count(Invariant::Damage),
            lost: count(Invariant::Acknowledged) + count(Invariant::Unaltered),
            note,
        })
    }
}

/// The largest file of the store that holds messages.
fn message_file(store: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![store.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let is_message_file = path.extension().is_some_and(|it| it == "seg" || it == "blk")
                && path.components().any(|part| part.as_os_str() == "streams");
            if path.is_dir() {
                directories.push(path);
            } else if is_message_file {
                found.push((fs::metadata(&path)?.len(), path));
            }
        }
    }
    let largest = found.into_iter().max().context("the store has no message file yet")?;
    Ok(largest.1)
}
