//! Many streams and consumers: how fast they are made, what they cost at rest, and what happens to them when a server is
//! killed and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use bytes::Bytes;
use flotilla_loads::{Figures, Latencies};
use flotilla_tests::cluster::{create_stream, request};
use flotilla_tests::{Cluster, Flavour, Server, eventually};
use futures::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::processes::Processes;
use crate::stock::create_consumer;

pub(crate) const NAME: &str = "groups";
/// How many are created at the same time.
const TOGETHER: usize = 16;
/// Until nothing is left of creating them.
const SETTLE: Duration = Duration::from_secs(20);
/// How long the servers are watched.
const WATCH: Duration = Duration::from_secs(20);
/// How many streams at rest are published to, and how many requests of each kind are made.
const ASKED: usize = 500;
/// How long the servers may take to recover.
const PATIENCE: Duration = Duration::from_secs(120);

/// Creates so many R3 streams with an R3 consumer each, and looks at the servers at rest, at work and in trouble.
pub(crate) async fn measure(cluster: &mut Cluster, streams: usize) -> Result<Figures> {
    let client = cluster.client().await?;
    let mut figures = Figures::default();
    let empty = Processes::read(cluster)?;
    let started = Instant::now();
    futures::stream::iter(0..streams)
        .map(|number| create(&client, number))
        .buffer_unordered(TOGETHER)
        .try_collect::<()>()
        .await?;
    figures.add("created/s", (streams * 2) as f64 / started.elapsed().as_secs_f64());
    rest(cluster, &empty, &mut figures).await?;
    ask(&client, streams, &mut figures).await?;
    if cluster.flavour() == Flavour::Flotilla {
        lose(cluster, streams, &mut figures).await?;
    }
    Ok(figures)
}

async fn create(client: &Client, number: usize) -> Result<()> {
    let stream = format!("IDLE{number}");
    create_stream(client, &stream, &[&format!("idle.{number}")], 3).await?;
    create_consumer(client, &stream, "reader", 3).await
}

/// What they cost while nothing happens.
async fn rest(cluster: &Cluster, empty: &Processes, figures: &mut Figures) -> Result<()> {
    sleep(SETTLE).await;
    let before = Processes::read(cluster)?;
    sleep(WATCH).await;
    let used = Processes::read(cluster)?.since(&before);
    let resident = used.largest_resident as f64;
    let servers = cluster.servers().len() as f64;
    figures.add("% of a core, each", used.cpu_seconds / WATCH.as_secs_f64() / servers * 100.0);
    figures.add("resident MB, largest", resident / 1e6);
    figures.add("MB beyond empty, largest", (resident - empty.largest_resident as f64) / 1e6);
    Ok(())
}

/// How long a message to a stream at rest takes, and a request of the API among so many assets.
async fn ask(client: &Client, streams: usize, figures: &mut Figures) -> Result<()> {
    // Spread over all of them, each once.
    let places =
        |from: usize| (0..ASKED.min(streams)).map(move |n| (from + n * streams / ASKED) % streams);
    let mut publish = Latencies::new();
    for number in places(0) {
        let began = Instant::now();
        let ack = client.request(format!("idle.{number}"), Bytes::from_static(b"x")).await?;
        publish.record(began.elapsed());
        let ack: Value = serde_json::from_slice(&ack.payload)?;
        ensure!(ack.get("error").is_none(), "stream {number} stores nothing: {ack}");
    }
    let names = ["publish to one at rest, p50 ms", "publish to one at rest, p99 ms"];
    figures.add_milliseconds(names, &publish);
    let (mut info, mut list, mut make) = (Latencies::new(), Latencies::new(), Latencies::new());
    for number in places(streams / 2) {
        let began = Instant::now();
        request(client, &format!("CONSUMER.INFO.IDLE{number}.reader"), &json!({})).await?;
        info.record(began.elapsed());
        let began = Instant::now();
        request(client, "STREAM.NAMES", &json!({ "offset": number })).await?;
        list.record(began.elapsed());
        let began = Instant::now();
        create(client, streams + number).await?;
        make.record(began.elapsed() / 2);
    }
    figures.add_milliseconds(["info, p50 ms", "info, p99 ms"], &info);
    figures.add_milliseconds(["names, p50 ms", "names, p99 ms"], &list);
    figures.add_milliseconds(["create, p50 ms", "create, p99 ms"], &make);
    Ok(())
}

/// A server is killed, and comes back: how long groups have no leader, and how long it is away.
async fn lose(cluster: &mut Cluster, streams: usize, figures: &mut Figures) -> Result<()> {
    let groups = 2 * (streams + ASKED.min(streams)) as u64;
    let [first, others @ ..] = cluster.servers_mut() else { return Ok(()) };
    let led = count(first, "_led").await.context("nothing is said of what is led")?;
    first.kill().await?;
    let killed = Instant::now();
    eventually(PATIENCE, "all groups to be led", async || {
        let mut led = 0;
        for other in &*others {
            led += count(other, "_led").await.unwrap_or_default();
        }
        Ok((led >= groups).then_some(()))
    })
    .await?;
    figures.add("led by the killed one", led as f64);
    figures.add("led again after s", killed.elapsed().as_secs_f64());
    first.start()?;
    let started = Instant::now();
    first.wait_ready().await?;
    figures.add("healthy after a restart, s", started.elapsed().as_secs_f64());
    eventually(PATIENCE, "all replicas to be back", async || {
        let here = count(first, "streams").await.zip(count(first, "consumers").await);
        Ok(here.is_some_and(|(streams, consumers)| streams + consumers >= groups).then_some(()))
    })
    .await?;
    figures.add("all replicas after a restart, s", started.elapsed().as_secs_f64());
    Ok(())
}

/// The sum of a server's JetStream gauges whose names end so.
async fn count(server: &Server, name: &str) -> Option<u64> {
    let page = server.get("/metrics").await?;
    let lines = page.lines().filter_map(|line| line.strip_prefix("flotilla_jetstream_"));
    let values = lines.filter_map(|line| line.split_once(' '));
    let values = values
        .filter(|(gauge, _)| *gauge == name || name.starts_with('_') && gauge.ends_with(name));
    values.map(|(_, value)| value.parse::<u64>().ok()).sum()
}
