//! The disk of one server fills up: what it leads refuses messages with NATS's error, everything else goes on, and once there
//! is room it is as before, without a restart.
//!
//! The reference turns JetStream off on a server whose disk is full; the test is about Flotilla alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use bytes::Bytes;
use flotilla_tests::cluster::{ELECTION, create_stream, request, stream_group};
use flotilla_tests::power::PowerSupply;
use flotilla_tests::{Cluster, Flavour, Plan, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
/// What nats-server answers when its store has no room.
const INSUFFICIENT_RESOURCES: u64 = 10023;

/// The sequence a message got, or the error.
async fn publish(client: &Client, subject: &str, payload: Bytes) -> Result<Result<u64, u64>> {
    let answer = client.request(subject.to_owned(), payload).await?;
    let ack: Value = serde_json::from_slice(&answer.payload)?;
    match ack["error"]["err_code"].as_u64() {
        Some(error) => Ok(Err(error)),
        None => Ok(Ok(ack["seq"].as_u64().context("an acknowledgment has a sequence")?)),
    }
}

/// Publishes until a message is refused, and adds what was acknowledged. One that nobody answers has an unknown fate.
async fn publish_until_refused(
    client: &Client,
    subject: &str,
    size: usize,
    acknowledged: &mut BTreeMap<u64, Bytes>,
) -> Result<u64> {
    for n in 0..20_000 {
        let mut payload = format!("{n} ").into_bytes();
        payload.resize(size.max(payload.len()), b'x');
        let payload = Bytes::from(payload);
        match publish(client, subject, payload.clone()).await {
            Ok(Ok(seq)) => drop(acknowledged.insert(seq, payload)),
            Ok(Err(error)) => return Ok(error),
            Err(_) => {}
        }
    }
    anyhow::bail!("the disk took everything")
}

async fn stores_again(client: &Client, subject: &str) -> Result<u64> {
    eventually(PATIENCE, &format!("{subject} to be stored"), async || {
        Ok(publish(client, subject, Bytes::from_static(b"again")).await?.ok())
    })
    .await
}

async fn check(client: &Client, stream: &str, held: &BTreeMap<u64, Bytes>) -> Result<()> {
    // Of many every so many, and the ends.
    let step = (held.len() / 200).max(1);
    let some = held.iter().step_by(step).chain(held.last_key_value());
    for (seq, payload) in some {
        let answer = client.request(
            format!("$JS.API.DIRECT.GET.{stream}"),
            json!({ "seq": seq }).to_string().into(),
        );
        let message = answer.await.with_context(|| format!("message {seq} of {stream}"))?;
        ensure!(message.payload == *payload, "message {seq} of {stream}: {message:?}");
    }
    Ok(())
}

/// A stream of one replica on each server: its name and the server's number.
async fn one_on_each(client: &Client, servers: usize) -> Result<Vec<String>> {
    let mut on = vec![None; servers];
    // A cluster that has just been founded serves before all its servers are registered, and known to have room.
    let begun = Instant::now();
    for n in 0.. {
        if begun.elapsed() > PATIENCE {
            break;
        }
        let name = format!("S{n}");
        create_stream(client, &name, &[&format!("{name}.>")], 1).await?;
        let leader = eventually(ELECTION, "a leader", async || {
            // A server that has just registered is known by its store's id at first.
            Ok(Some(stream_group(client, &name).await?.leader).filter(|l| l.contains('-')))
        });
        let leader = leader.await?;
        let server = (0..servers).find(|s| leader == format!("n{}-c1", s + 1));
        on[server.context("a leader of this cluster")?].get_or_insert(name);
        if on.iter().all(Option::is_some) {
            return Ok(on.into_iter().flatten().collect());
        }
    }
    anyhow::bail!("placement leaves a server out: {on:?}")
}

/// A cluster whose disks can be filled; `None` where that cannot be tested.
async fn start() -> Result<Option<(PowerSupply, Cluster)>> {
    let Some(power) = PowerSupply::install(3)? else { return Ok(None) };
    let plan = Plan::new(3)?.with_stores(power.stores());
    if plan.flavour == Flavour::NatsServer {
        println!("skipped: the reference turns JetStream off when a disk is full");
        return Ok(None);
    }
    let cluster = Cluster::start(plan).await?;
    Ok(Some((power, cluster)))
}

async fn health_says(cluster: &Cluster, server: usize, wanted: &str) -> Result<()> {
    eventually(PATIENCE, &format!("/healthz to say {wanted:?}"), async || {
        let health = cluster.servers()[server].health().await.context("no answer")?;
        Ok(health.contains(wanted).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_costs_only_what_is_stored_there_and_only_while_it_is_full() -> Result<()> {
    let Some((power, cluster)) = start().await? else { return Ok(()) };
    let client = cluster.client().await?;
    let streams = one_on_each(&client, 3).await?;
    create_stream(&client, "ALL", &["ALL.>"], 3).await?;
    let (full, other) = (format!("{}.x", streams[0]), format!("{}.x", streams[1]));
    let mut held = BTreeMap::new();
    for n in 0..100 {
        let payload = Bytes::from(format!("payload {n}"));
        let seq = publish(&client, &full, payload.clone()).await?.ok().context("refused")?;
        held.insert(seq, payload);
    }

    // Somebody else fills the disk.
    power.fill(0, 0)?;
    health_says(&cluster, 0, "is full").await?;
    let error = publish_until_refused(&client, &full, 100, &mut held).await?;
    ensure!(error == INSUFFICIENT_RESOURCES, "error {error}");
    check(&client, &streams[0], &held).await?;
    for _ in 0..20 {
        let stored = publish(&client, &other, Bytes::from_static(b"elsewhere")).await?;
        ensure!(stored.is_ok(), "another server's stream: {stored:?}");
    }
    // Replicas elsewhere have room.
    stores_again(&client, "ALL.x").await?;
    let new = json!({ "name": "NEW", "subjects": ["NEW.>"], "num_replicas": 3, "storage": "file" });
    // The leader of the meta group hears of the disk with the next beat of that server.
    eventually(PATIENCE, "a stream to find too little room", async || {
        match request(&client, "STREAM.CREATE.NEW", &new).await {
            Ok(_) => {
                request(&client, "STREAM.DELETE.NEW", &Value::Null).await?;
                Ok(None)
            }
            Err(refused) => {
                let refused = refused.to_string();
                ensure!(refused.contains("insufficient storage"), "{refused}");
                Ok(Some(()))
            }
        }
    })
    .await?;
    let last = request(&client, &format!("STREAM.INFO.{}", streams[0]), &Value::Null).await?;
    ensure!(last["state"]["messages"].as_u64() >= Some(held.len() as u64), "{last}");

    power.empty(0)?;
    stores_again(&client, &full).await?;
    health_says(&cluster, 0, "200 OK").await?;
    check(&client, &streams[0], &held).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_filled_its_disk_makes_room_by_a_purge() -> Result<()> {
    let Some((power, cluster)) = start().await? else { return Ok(()) };
    let client = cluster.client().await?;
    let streams = one_on_each(&client, 3).await?;
    let subject = format!("{}.x", streams[0]);
    power.fill(0, 250 * MIB)?;
    let mut held = BTreeMap::new();
    let error = publish_until_refused(&client, &subject, 512 << 10, &mut held).await?;
    ensure!(error == INSUFFICIENT_RESOURCES, "error {error}");
    ensure!(held.len() > 100, "only {} were stored", held.len());
    check(&client, &streams[0], &held).await?;
    request(&client, &format!("STREAM.PURGE.{}", streams[0]), &Value::Null).await?;
    let seq = stores_again(&client, &subject).await?;
    ensure!(held.last_key_value().is_some_and(|(last, _)| *last < seq), "sequence {seq}");
    health_says(&cluster, 0, "200 OK").await?;
    println!("{} messages of 512 KiB until the disk was full", held.len());
    Ok(())
}
