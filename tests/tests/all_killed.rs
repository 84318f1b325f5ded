//! All servers of a cluster are killed at the same time, under load, and started again: everything acknowledged is
//! still there, a consumer goes on where it was, and duplicates are still known.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::{self, consumer};
use flotilla_tests::cluster::{ELECTION, create_stream};
use flotilla_tests::history::read_stream;
use flotilla_tests::{Cluster, Plan, Publisher, eventually};
use futures::StreamExt;

const STREAM: &str = "LOAD";
/// What the consumer has acknowledged before the kill.
const CONSUMED: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_outlives_the_death_of_all_servers() -> Result<()> {
    let mut cluster = Cluster::start(Plan::new(3)?).await?;
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["LOAD.*"], 3).await?;
    let publisher = Publisher::start(&client, "LOAD", 4);
    publisher.progress(CONSUMED as u64, ELECTION).await?;
    let floor = consume(&client, CONSUMED).await?;
    ensure!(floor == CONSUMED as u64, "sequence {floor} was consumed last");
    publisher.progress(2_000, Duration::from_secs(60)).await?;

    cluster.kill_all().await?;
    cluster.start_all().await?;

    publisher.progress(500, ELECTION).await.context("publishing goes on after the restart")?;
    let published = publisher.stop().await?;
    let verdict = published.history.verify(&read_stream(&client, STREAM).await?);
    println!(
        "all servers killed: {verdict}; publishing stood still for {:?}",
        published.longest_gap
    );
    verdict.keeps_the_promise()?;
    let next = consume(&client, 1).await?;
    ensure!(next == floor + 1, "the consumer had acknowledged up to {floor} and goes on at {next}");
    Ok(())
}

/// Consumes so many messages with a durable pull consumer, every acknowledgment confirmed, and returns the last
/// one's sequence. Until the consumer has a leader nobody answers, and it is asked again.
async fn consume(client: &async_nats::Client, count: usize) -> Result<u64> {
    let (mut consumed, mut last) = (0, 0);
    eventually(ELECTION, &format!("{count} messages from the consumer"), async || {
        let context = jetstream::new(client.clone());
        let config =
            consumer::pull::Config { durable_name: Some("reader".into()), ..Default::default() };
        let consumer = context.create_consumer_on_stream(config, STREAM).await?;
        let fetch = consumer.fetch().max_messages(count - consumed).expires(Duration::from_secs(2));
        let mut messages = fetch.messages().await?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| anyhow::anyhow!("{error}"))?;
            last = message.info().map_err(|error| anyhow::anyhow!("{error}"))?.stream_sequence;
            message.double_ack().await.map_err(|error| anyhow::anyhow!("{error}"))?;
            consumed += 1;
        }
        Ok((consumed == count).then_some(()))
    })
    .await?;
    Ok(last)
}
