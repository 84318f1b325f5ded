//! Many streams and consumers in which nothing happens: what they cost.

use std::time::Duration;

use anyhow::Result;
use flotilla_loads::Figures;
use flotilla_tests::cluster::{ELECTION, create_stream, request};
use flotilla_tests::{Cluster, eventually};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::processes::Processes;

pub(crate) const NAME: &str = "idle";
/// How many are created at the same time.
const TOGETHER: usize = 8;
/// Until nothing is left of creating them.
const SETTLE: Duration = Duration::from_secs(20);
/// How long the servers are watched.
const WATCH: Duration = Duration::from_secs(20);

/// Creates so many R3 streams with an R3 consumer each, and watches the servers at rest.
pub(crate) async fn measure(cluster: &Cluster, streams: usize) -> Result<Figures> {
    let client = cluster.client().await?;
    let empty = Processes::read(cluster)?;
    let started = Instant::now();
    futures::stream::iter(0..streams)
        .map(|number| {
            let client = client.clone();
            async move {
                let stream = format!("IDLE{number}");
                create_stream(&client, &stream, &[&format!("idle.{number}")], 3).await?;
                let config = json!({
                    "stream_name": stream,
                    "config": { "durable_name": "reader", "ack_policy": "explicit", "num_replicas": 3 },
                });
                let api = format!("CONSUMER.CREATE.{stream}.reader");
                // A server that is behind may let a request time out; it is asked again, and the time counts.
                let created = eventually(ELECTION, &api, async || {
                    Ok(Some(request(&client, &api, &config).await?))
                });
                created.await.map(drop)
            }
        })
        .buffer_unordered(TOGETHER)
        .try_collect::<()>()
        .await?;
    let creating = started.elapsed();
    sleep(SETTLE).await;
    let before = Processes::read(cluster)?;
    sleep(WATCH).await;
    let used = Processes::read(cluster)?.since(&before);
    let servers = cluster.servers().len() as f64;
    let resident = used.largest_resident as f64;
    let mut figures = Figures::default();
    figures.add("created/s", (streams * 2) as f64 / creating.as_secs_f64());
    figures.add("% of a core, each", used.cpu_seconds / WATCH.as_secs_f64() / servers * 100.0);
    figures.add("resident MB, largest", resident / 1e6);
    let beyond = resident - empty.largest_resident as f64;
    figures.add("MB beyond empty, largest", beyond / 1e6);
    Ok(figures)
}
