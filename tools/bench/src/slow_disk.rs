//! Disks of 1 MB/s, and ten publishers that do not wait: what is stored, what is refused, how much memory the servers take,
//! and how long a message to another stream takes meanwhile.

use std::fs;
use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::Client;
use bytes::Bytes;
use flotilla_loads::{Figures, Latencies};
use flotilla_tests::Cluster;
use flotilla_tests::cluster::create_stream;
use futures::StreamExt as _;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::processes::Processes;

pub(crate) const NAME: &str = "slow disk";
const BYTES_PER_SECOND: u64 = 1_000_000;
const PUBLISHERS: usize = 10;
const PAYLOAD: [u8; 1024] = [b'x'; 1024];
/// How long the load lasts.
const LENGTH: Duration = Duration::from_secs(60);
/// How long the other stream's publisher waits for an answer.
const ANSWER: Duration = Duration::from_secs(20);
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Slows the disks of all servers of the cluster, and overloads them.
pub(crate) async fn measure(cluster: &Cluster) -> Result<Figures> {
    let client = cluster.client().await?;
    create_stream(&client, "QUIET", &["quiet"], 3).await?;
    for number in 0..PUBLISHERS {
        create_stream(&client, &format!("LOUD{number}"), &[&format!("loud.{number}")], 3).await?;
    }
    let _brakes = Brakes::put_on(cluster)?;
    let (stored, refused) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let mut tasks = JoinSet::new();
    for number in 0..PUBLISHERS {
        let client = cluster.client().await?;
        tasks.spawn(answers(client.clone(), number, stored.clone(), refused.clone()));
        tasks.spawn(publish(client, number));
    }
    let began = Instant::now();
    let quiet = tokio::spawn(ask(client, began + LENGTH));
    let mut resident = 0;
    while began.elapsed() < LENGTH {
        resident = resident.max(Processes::read(cluster)?.largest_resident);
        sleep(LOOK).await;
    }
    let quiet = quiet.await??;
    let seconds = began.elapsed().as_secs_f64();
    tasks.shutdown().await;
    let mut figures = Figures::default();
    figures.add("stored/s", stored.load(Ordering::Relaxed) as f64 / seconds);
    figures.add("refused/s", refused.load(Ordering::Relaxed) as f64 / seconds);
    figures.add_milliseconds(["another stream, p50 ms", "another stream, p99 ms"], &quiet);
    figures.add("resident MB, largest", resident as f64 / 1e6);
    Ok(figures)
}

/// Publishes and does not wait for answers.
async fn publish(client: Client, number: usize) -> Result<()> {
    let (subject, reply) = (format!("loud.{number}"), format!("answers.{number}"));
    let payload = Bytes::from_static(&PAYLOAD);
    loop {
        client.publish_with_reply(subject.clone(), reply.clone(), payload.clone()).await?;
    }
}

async fn answers(
    client: Client,
    number: usize,
    stored: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
) -> Result<()> {
    let mut answers = client.subscribe(format!("answers.{number}")).await?;
    while let Some(answer) = answers.next().await {
        let is_error = memchr::memmem::find(&answer.payload, b"\"error\"").is_some();
        let count = if is_error || answer.payload.is_empty() { &refused } else { &stored };
        count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// How long each of a publisher's messages took that waits for its answers.
async fn ask(client: Client, until: Instant) -> Result<Latencies> {
    let mut took = Latencies::new();
    while Instant::now() < until {
        let began = Instant::now();
        // No answer in time counts as that long.
        let _answer = timeout(ANSWER, client.request("quiet", Bytes::from_static(&PAYLOAD))).await;
        took.record(began.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    Ok(took)
}

/// Limits on what the servers write, each its own. Dropping them takes them off.
struct Brakes {
    groups: Vec<PathBuf>,
}

impl Brakes {
    /// Control groups (version 1) see what a process writes past the page cache or syncs; what else it writes is written by
    /// the kernel.
    fn put_on(cluster: &Cluster) -> Result<Self> {
        let root = Path::new("/sys/fs/cgroup/blkio");
        let device = fs::metadata(cluster.dir())?.st_dev();
        let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
        let mut brakes = Self { groups: Vec::new() };
        for server in cluster.servers() {
            let id = server.id().context("a server is not running")?;
            let group = root.join(format!("flotilla-bench-{id}"));
            fs::create_dir(&group)
                .context("slow disks need root, and control groups of version 1 with blkio")?;
            brakes.groups.push(group.clone());
            let limit = format!("{major}:{minor} {BYTES_PER_SECOND}");
            fs::write(group.join("blkio.throttle.write_bps_device"), limit)?;
            fs::write(group.join("cgroup.procs"), id.to_string())?;
        }
        Ok(brakes)
    }
}

impl Drop for Brakes {
    fn drop(&mut self) {
        for group in &self.groups {
            let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for process in processes.lines() {
                // One that has ended meanwhile needs none.
                let _ = fs::write("/sys/fs/cgroup/blkio/cgroup.procs", process);
            }
            let _ = fs::remove_dir(group);
        }
    }
}
