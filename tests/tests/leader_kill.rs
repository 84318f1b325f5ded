//! A stream's leader is killed with SIGKILL, over and over, while clients publish to it: nothing acknowledged is
//! lost, nothing is stored twice, and publishing goes on.

use std::env;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flotilla_tests::cluster::{create_stream, stream_group};
use flotilla_tests::history::read_stream;
use flotilla_tests::{Cluster, Plan, Publisher, eventually};

const STREAM: &str = "LOAD";
const WRITERS: usize = 16;
/// Acknowledgments between two kills: the next leader must have taken over, and done some work.
const PROGRESS: u64 = 200;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_killed_under_load_loses_nothing() -> Result<()> {
    let rounds: u32 = match env::var("FLOTILLA_ROUNDS") {
        Ok(rounds) => rounds.parse().context("FLOTILLA_ROUNDS")?,
        Err(_) => 20,
    };
    let mut cluster = Cluster::start(Plan::new(3)?).await?;
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["LOAD.*"], 3).await?;
    let publisher = Publisher::start(&client, "LOAD", WRITERS);
    let mut gaps = Vec::new();
    for round in 1..=rounds {
        publisher
            .progress(PROGRESS, PATIENCE)
            .await
            .with_context(|| format!("before kill {round}"))?;
        let leader = whole_group(&client).await?;
        cluster.server_mut(&leader).context("the stream's leader")?.kill().await?;
        let killed = Instant::now();
        publisher
            .progress(1 + WRITERS as u64, PATIENCE)
            .await
            .with_context(|| format!("no progress after kill {round}, of {leader}"))?;
        gaps.push(killed.elapsed());
        let server = cluster.server_mut(&leader)?;
        server.start()?;
        server.wait_ready().await?;
    }
    publisher.progress(PROGRESS, PATIENCE).await?;
    let published = publisher.stop().await?;
    whole_group(&client).await?;
    let verdict = published.history.verify(&read_stream(&client, STREAM).await?);
    gaps.sort();
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or_default();
    println!("{rounds} leaders killed: {verdict}");
    println!(
        "publishing stood still for {median:?} (median), {:?} (longest)",
        gaps.last().copied().unwrap_or(Duration::ZERO)
    );
    verdict.keeps_the_promise()
}

/// Waits until the stream has its three members, a leader and no lag, and returns the leader: what is killed next
/// may leave a majority behind.
async fn whole_group(client: &async_nats::Client) -> Result<String> {
    eventually(PATIENCE, "the group to be whole", async || {
        let group = stream_group(client, STREAM).await?;
        // Under load a follower is always a little behind, so lag does not count against it here.
        let whole = !group.leader.is_empty() && group.followers.len() == 2 && group.all_there;
        Ok(whole.then_some(group.leader))
    })
    .await
}
