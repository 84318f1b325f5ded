//! One server with as many groups as it stands: R1 streams with many consumers each. How fast they are made, what they cost
//! at rest, how long one of them takes to wake up, and how long the server takes to be back after a kill.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use bytes::Bytes;
use flotilla_loads::{Figures, Latencies};
use flotilla_tests::Cluster;
use flotilla_tests::cluster::{create_stream, request};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::processes::Processes;
use crate::stock::{create_consumer, is_stored, until_healthy, until_stored};

pub(crate) const NAME: &str = "one server";
/// How many groups a stream has with its consumers.
const TOGETHER: usize = 100;
/// How many are created at the same time.
const AT_ONCE: usize = 64;
/// Until nothing is left of what was done before.
const SETTLE: Duration = Duration::from_secs(20);
/// How long the server is watched at rest.
const WATCH: Duration = Duration::from_secs(20);
/// How long a consumer may take to give a message.
const ANSWER: Duration = Duration::from_secs(10);
/// How many of each kind are asked something.
const ASKED: usize = 500;

/// Creates so many groups, a hundredth of them streams, and looks at the server at rest, at work and in trouble.
/// What was measured before it breaks is told.
pub(crate) async fn measure(
    cluster: &mut Cluster,
    groups: usize,
    figures: &mut Figures,
) -> Result<()> {
    let streams = (groups / TOGETHER).max(1);
    let client = cluster.client().await?;
    let empty = Processes::read(cluster)?;
    create(&client, streams, figures).await.context("creating")?;
    rest(cluster, &empty, streams * TOGETHER, figures).await?;
    ask(&client, streams, figures).await?;
    restart(cluster, &client, figures).await.context("starting again")
}

async fn create(client: &Client, streams: usize, figures: &mut Figures) -> Result<()> {
    let began = Instant::now();
    futures::stream::iter(0..streams)
        .map(async |number| {
            create_stream(client, &format!("ONE{number}"), &[&format!("one.{number}")], 1).await?;
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    figures.add("streams created/s", streams as f64 / began.elapsed().as_secs_f64());
    let began = Instant::now();
    let consumers = streams * (TOGETHER - 1);
    // One after the other of each stream: as those who use many streams create theirs.
    futures::stream::iter(0..consumers)
        .map(async |number| {
            let (stream, consumer) = (number % streams, number / streams);
            create_consumer(client, &format!("ONE{stream}"), &format!("c{consumer}"), 1).await
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    figures.add("consumers created/s", consumers as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// What they cost while nothing happens.
async fn rest(
    cluster: &Cluster,
    empty: &Processes,
    groups: usize,
    figures: &mut Figures,
) -> Result<()> {
    sleep(SETTLE).await;
    let before = Processes::read(cluster)?;
    sleep(WATCH).await;
    let used = Processes::read(cluster)?.since(&before);
    let beyond = used.largest_resident.saturating_sub(empty.largest_resident) as f64;
    figures.add("% of a core at rest", used.cpu_seconds / WATCH.as_secs_f64() * 100.0);
    figures.add("MB beyond empty", beyond / 1e6);
    figures.add("KiB/group", beyond / 1024.0 / groups as f64);
    Ok(())
}

/// How long those at rest take to answer, spread over all of them.
async fn ask(client: &Client, streams: usize, figures: &mut Figures) -> Result<()> {
    let asked: Vec<usize> =
        (0..ASKED.min(streams)).map(|n| n * streams / ASKED.min(streams)).collect();
    let mut publish = Latencies::new();
    for number in &asked {
        let began = Instant::now();
        let ack = client.request(format!("one.{number}"), Bytes::from_static(b"x")).await;
        let ack = ack.with_context(|| format!("publishing to stream {number}"))?;
        publish.record(began.elapsed());
        ensure!(is_stored(&ack.payload), "stream {number} stores nothing: {ack:?}");
    }
    figures.add_milliseconds(["publish, p50 ms", "publish, p99 ms"], &publish);
    // What was published may have woken the consumers.
    sleep(SETTLE).await;
    let (mut pull, mut info) = (Latencies::new(), Latencies::new());
    let (inbox, body) = (client.new_inbox(), Bytes::from_static(br#"{"batch":1}"#));
    // Not a request: a message that is delivered has the subject that it was published to.
    let mut messages = client.subscribe(inbox.clone()).await?;
    client.flush().await?;
    for (place, number) in asked.iter().enumerate() {
        let consumer = place % (TOGETHER - 1);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.ONE{number}.c{consumer}");
        let began = Instant::now();
        client.publish_with_reply(subject, inbox.clone(), body.clone()).await?;
        let message = timeout(ANSWER, messages.next()).await;
        let message = message.with_context(|| format!("pulling from c{consumer} of {number}"))?;
        let message = message.context("the subscription ended")?;
        pull.record(began.elapsed());
        ensure!(message.payload == "x", "consumer {consumer} of {number} gives {message:?}");
    }
    figures.add_milliseconds(["pull, p50 ms", "pull, p99 ms"], &pull);
    for (place, number) in asked.iter().enumerate() {
        let api = format!("CONSUMER.INFO.ONE{number}.c{}", (place + 7) % (TOGETHER - 1));
        let began = Instant::now();
        request(client, &api, &json!({})).await?;
        info.record(began.elapsed());
    }
    figures.add_milliseconds(["info, p50 ms", "info, p99 ms"], &info);
    Ok(())
}

/// The server is killed and started again.
async fn restart(cluster: &mut Cluster, client: &Client, figures: &mut Figures) -> Result<()> {
    cluster.kill_all().await?;
    let started = Instant::now();
    for server in cluster.servers_mut() {
        server.start()?;
    }
    let seconds = || started.elapsed().as_secs_f64();
    let (healthy, stored) = tokio::try_join!(
        async { until_healthy(cluster.servers()).await.map(|()| seconds()) },
        async { until_stored(client, "one.0").await.map(|()| seconds()) },
    )?;
    figures.add("killed: healthy s", healthy);
    figures.add("killed: stored s", stored);
    let used = Processes::read(cluster)?;
    figures.add("killed: CPU s until then", used.cpu_seconds);
    figures.add("killed: resident MB", used.largest_resident as f64 / 1e6);
    Ok(())
}
