//! A leader is killed while a client publishes one message after the other: how long publishing stands still.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use flotilla_loads::Figures;
use flotilla_tests::cluster::{create_stream, stream_group};
use flotilla_tests::{Cluster, eventually};
use tokio::time::{Instant, sleep, timeout};

pub(crate) const NAME: &str = "failover";
const STREAM: &str = "FAILOVER";
/// How long a publisher waits for an answer before it asks again: what is measured is no finer than that.
const ANSWER: Duration = Duration::from_millis(50);
/// Between two tries that were answered at once, as when nobody leads.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a group may take to be whole, or to have a leader.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long publishing goes on between two kills.
const CALM: Duration = Duration::from_secs(2);

/// Kills so many leaders, one after the other; each comes back before the next is killed.
pub(crate) async fn measure(cluster: &mut Cluster, kills: usize) -> Result<Figures> {
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["failover"], 3).await?;
    let mut gaps = Vec::new();
    for _ in 0..kills {
        let leader = eventually(PATIENCE, "the group to be whole", async || {
            let group = stream_group(&client, STREAM).await?;
            let whole = !group.leader.is_empty() && group.followers.len() == 2 && group.all_there;
            Ok(whole.then_some(group.leader))
        })
        .await?;
        let other = cluster.servers().iter().find(|server| server.name() != leader);
        let name = other.context("there is one server only")?.name().to_owned();
        // Through a server that lives on, as a client that is connected to the leader would have to find another first.
        let publisher = cluster.client_of(&name).await?;
        let calm = Instant::now() + CALM;
        let mut last = Instant::now();
        let mut killed = None;
        let mut longest = Duration::ZERO;
        loop {
            let stored =
                timeout(ANSWER, publisher.request("failover", Bytes::from_static(b"x"))).await;
            let now = Instant::now();
            if matches!(&stored, Ok(Ok(ack)) if memchr::memmem::find(&ack.payload, b"\"error\"").is_none())
            {
                if killed.is_some() {
                    longest = longest.max(now - last);
                }
                last = now;
            } else {
                sleep(PAUSE).await;
            }
            match killed {
                None if now >= calm => {
                    cluster.server_mut(&leader)?.kill().await?;
                    killed = Some(now);
                }
                Some(at) if last > at + CALM => break,
                Some(at) if now > at + PATIENCE => {
                    anyhow::bail!("no message was stored after {leader} was killed")
                }
                _ => {}
            }
        }
        gaps.push(longest.as_secs_f64());
        let server = cluster.server_mut(&leader)?;
        server.start()?;
        server.wait_ready().await?;
    }
    gaps.sort_by(f64::total_cmp);
    let at = |quantile: f64| {
        let place = (gaps.len().saturating_sub(1) as f64 * quantile).round();
        gaps.get(place as usize).copied().unwrap_or_default()
    };
    let mut figures = Figures::default();
    figures.add("p50 s", at(0.5));
    figures.add("p99 s", at(0.99));
    figures.add("longest s", at(1.0));
    Ok(figures)
}
