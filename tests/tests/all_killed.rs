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
/// For what takes milliseconds on a good disk.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_acknowledged_outlives_the_death_of_all_servers() -> Result<()> {
    let mut cluster = Cluster::start(Plan::new(3)?).await?;
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["LOAD.*"], 3).await?;
    let publisher = Publisher::start(&client, "LOAD", 16);
    publisher.progress(CONSUMED as u64, PATIENCE).await?;
    let floor = consume(&client, CONSUMED).await?;
    ensure!(floor == CONSUMED as u64, "sequence {floor} was consumed last");
    publisher.progress(2_000, PATIENCE).await?;

    cluster.kill_all().await?;
    cluster.start_all().await?;

    publisher.progress(500, PATIENCE).await.context("publishing goes on after the restart")?;
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

/// Consumes so many messages with a durable pull consumer, one after the other, and returns the last one's sequence.
/// Until the consumer has a leader nobody answers, and it is asked again; an acknowledgment is sent again until it is
/// confirmed, so that what was consumed is known for certain.
async fn consume(client: &async_nats::Client, count: usize) -> Result<u64> {
    let context = jetstream::new(client.clone());
    let config =
        consumer::pull::Config { durable_name: Some("reader".into()), ..Default::default() };
    let consumer = eventually(ELECTION, "the consumer", async || {
        Ok(Some(context.create_consumer_on_stream(config.clone(), STREAM).await?))
    })
    .await?;
    let mut last = 0;
    for number in 1..=count {
        let message = eventually(ELECTION, &format!("message {number} of {count}"), async || {
            let fetch = consumer.fetch().max_messages(1).expires(Duration::from_secs(1));
            let next = fetch.messages().await?.next().await;
            next.transpose().map_err(anyhow::Error::from_boxed)
        })
        .await?;
        last = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
        eventually(ELECTION, &format!("the acknowledgment of sequence {last}"), async || {
            Ok(Some(message.double_ack().await.map_err(anyhow::Error::from_boxed)?))
        })
        .await?;
    }
    Ok(last)
}
