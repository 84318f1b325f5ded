//! A follower is away while many messages are stored, and comes back: how fast it gets what it lacks.

use anyhow::{Context, Result};
use flotilla_loads::Figures;
use flotilla_tests::Cluster;
use tokio::time::Instant;

use crate::stock::{SIZE, Stock, until_healthy, until_there};

pub(crate) const NAME: &str = "catch-up";

/// So many messages that their log is not kept for the follower: a stream's leader keeps 32 MiB of entries.
pub(crate) async fn measure(cluster: &mut Cluster, messages: u64) -> Result<Figures> {
    let client = cluster.client().await?;
    let stock = Stock::create(&client, "CATCHUP").await?;
    let leader = stock.leader(&client).await?;
    let away = cluster.servers().iter().find(|server| server.name() != leader);
    let away = away.context("there is one server only")?.name().to_owned();
    cluster.server_mut(&away)?.kill().await?;
    let filling = stock.fill(cluster, messages).await?;

    let started = Instant::now();
    cluster.server_mut(&away)?.start()?;
    let back = cluster.servers().iter().find(|server| server.name() == away);
    let back = back.context("it was there a moment ago")?;
    // By the leader's word and by its own: who is current by the one may still have to read what it was sent.
    let (healthy, (), ()) = tokio::try_join!(
        async { until_healthy(cluster.servers()).await.map(|()| started.elapsed()) },
        stock.until_current(&client),
        until_there(back, messages),
    )?;
    let seconds = started.elapsed().as_secs_f64();
    let mut figures = Figures::default();
    figures.add("filled by two, messages/s", messages as f64 / filling.as_secs_f64());
    figures.add("healthy s", healthy.as_secs_f64());
    figures.add("current s", seconds);
    figures.add("messages/s", messages as f64 / seconds);
    figures.add("payload MB/s", messages as f64 * SIZE as f64 / seconds / 1e6);
    Ok(figures)
}
