//! Servers are killed that hold a stream with many messages, all at once and then the leader alone, and started again at
//! once: until a message is stored, until they are healthy, and until every replica has everything.

use std::time::Duration;

use anyhow::{Result, ensure};
use async_nats::Client;
use flotilla_loads::Figures;
use flotilla_tests::Cluster;
use tokio::time::{Instant, sleep};

use crate::stock::{Stock, until_healthy};

pub(crate) const NAME: &str = "recovery";
/// Between what is done: segments are written, followers hear of the last commit.
const CALM: Duration = Duration::from_secs(5);

pub(crate) async fn measure(cluster: &mut Cluster, messages: u64) -> Result<Figures> {
    let client = cluster.client().await?;
    let stock = Stock::create(&client, "RECOVERY").await?;
    let mut figures = Figures::default();
    let filling = stock.fill(cluster, messages).await?;
    figures.add("filled, messages/s", messages as f64 / filling.as_secs_f64());

    // Not a moment after the last acknowledgement: what is not in segments yet is read from the log.
    cluster.kill_all().await?;
    let started = Instant::now();
    for server in cluster.servers_mut() {
        server.start()?;
    }
    let (stored, healthy, current) = watch(cluster, &client, &stock, started).await?;
    figures.add("all killed: stored s", stored);
    figures.add("all killed: healthy s", healthy);
    figures.add("all killed: current s", current);
    let there = stock.messages(&client).await?;
    ensure!(there > messages, "{messages} were acknowledged, {there} are there");

    sleep(CALM).await;
    let leader = stock.leader(&client).await?;
    let server = cluster.server_mut(&leader)?;
    server.kill().await?;
    let started = Instant::now();
    server.start()?;
    let (stored, healthy, current) = watch(cluster, &client, &stock, started).await?;
    figures.add("leader killed: stored s", stored);
    figures.add("leader killed: healthy s", healthy);
    figures.add("leader killed: current s", current);
    Ok(figures)
}

/// Seconds until a message is stored, all servers are healthy, and all replicas current.
async fn watch(
    cluster: &Cluster,
    client: &Client,
    stock: &Stock,
    started: Instant,
) -> Result<(f64, f64, f64)> {
    let seconds = || started.elapsed().as_secs_f64();
    tokio::try_join!(
        async { stock.until_stored(client).await.map(|()| seconds()) },
        async { until_healthy(cluster.servers()).await.map(|()| seconds()) },
        async { stock.until_current(client).await.map(|()| seconds()) },
    )
}
