//! All servers lose power in the same instant, under load: everything acknowledged is still there.
//!
//! The reference syncs every two minutes and says so. Here it is told to sync always, and the test only reports
//! what became of the messages.

use std::time::Duration;

use anyhow::{Context, Result};
use flotilla_tests::cluster::{ELECTION, create_stream, stream_group};
use flotilla_tests::history::read_stream;
use flotilla_tests::power::PowerSupply;
use flotilla_tests::{Cluster, Flavour, Plan, Publisher, eventually};

const STREAM: &str = "LOAD";
const CUTS: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_outlives_a_power_loss_of_all_servers() -> Result<()> {
    let Some(mut power) = PowerSupply::install(3)? else { return Ok(()) };
    let mut plan = Plan::new(3)?.with_stores(power.stores());
    if plan.flavour == Flavour::NatsServer {
        plan.jetstream = "sync_interval: always".into();
    }
    let mut cluster = Cluster::start(plan).await?;
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["LOAD.*"], 3).await?;
    let publisher = Publisher::start(&client, "LOAD", 16);
    for cut in 1..=CUTS {
        publisher.progress(1_000, Duration::from_secs(120)).await?;
        power.cut(&mut cluster).await?;
        cluster.start_all().await.with_context(|| format!("after power loss {cut}"))?;
        let result = publisher.progress(10, Duration::from_secs(60)).await;
        if cluster.flavour() == Flavour::NatsServer && result.is_err() {
            println!("the reference does not serve the stream after power loss {cut}");
            return Ok(());
        }
        result.with_context(|| format!("publishing goes on after power loss {cut}"))?;
    }
    let published = publisher.stop().await?;
    eventually(ELECTION, "a leader", async || {
        Ok((!stream_group(&client, STREAM).await?.leader.is_empty()).then_some(()))
    })
    .await?;
    let verdict = published.history.verify(&read_stream(&client, STREAM).await?);
    println!(
        "{CUTS} power losses: {verdict}; publishing stood still for {:?}",
        published.longest_gap
    );
    match cluster.flavour() {
        Flavour::Flotilla => verdict.keeps_the_promise(),
        Flavour::NatsServer => Ok(()),
    }
}
