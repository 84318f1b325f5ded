//! The network between the servers fails: a leader is cut off from everybody, two servers are cut off from each
//! other, every link is bad. Clients reach all servers all the time.
//!
//! The relay in between carries QUIC, so this runs against Flotilla only: the reference's routes are TCP.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flotilla_relay::{Change, Pairs, Relay, Server};
use flotilla_tests::cluster::{create_stream, free_ports, stream_group};
use flotilla_tests::history::read_stream;
use flotilla_tests::{Cluster, Flavour, Plan, Publisher, eventually, tool};

const STREAM: &str = "LOAD";
const PATIENCE: Duration = Duration::from_secs(120);
/// Names every run's fates of datagrams.
const SEED: u64 = 7;

/// A cluster of three behind a relay; `None` for a server the relay cannot carry.
async fn behind_relay() -> Result<Option<(Cluster, Relay)>> {
    let mut plan = Plan::new(3)?;
    if plan.flavour == Flavour::NatsServer {
        tool::skip("a relay for the reference's routes", "run it against Flotilla")?;
        return Ok(None);
    }
    plan.cluster_ports = free_ports(plan.servers)?;
    let names = (1..=plan.servers).map(|number| format!("n{number}-c1"));
    let servers = names.zip(&plan.cluster_ports).map(|(name, port)| {
        let address = ([127, 0, 0, 1], *port).into();
        Server { name, address, front: ([127, 0, 0, 1], 0).into() }
    });
    let servers: Vec<Server> = servers.collect();
    let relay = Relay::start(SEED, servers.clone())?;
    for server in &servers {
        plan.fronts.push(relay.front(&server.name)?.to_string());
    }
    Ok(Some((Cluster::start(plan).await?, relay)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_the_others_acknowledges_nothing() -> Result<()> {
    let Some((cluster, relay)) = behind_relay().await? else { return Ok(()) };
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["LOAD.>"], 3).await?;
    let group = whole_group(&client).await?;
    let (leader, other) = (&group.leader, group.followers.first().context("a follower")?);
    let alone = cluster.client_of(leader).await?;
    let among = cluster.client_of(other).await?;
    let with_leader = Publisher::start(&alone, "LOAD.leader", 2);
    let with_others = Publisher::start(&among, "LOAD.others", 2);
    with_leader.progress(100, PATIENCE).await?;
    with_others.progress(100, PATIENCE).await?;

    relay.isolate(leader)?;
    with_others.progress(200, PATIENCE).await.context("the majority goes on")?;
    let before = with_leader.acknowledged();
    with_others.progress(1_000, PATIENCE).await?;
    let after = with_leader.acknowledged();
    ensure!(before == after, "{leader}, alone, acknowledged {} messages", after - before);
    let elected = stream_group(&among, STREAM).await?.leader;
    ensure!(elected != *leader, "the majority still believes in {leader}");

    relay.heal();
    with_leader.progress(100, PATIENCE).await.context("after healing")?;
    finish(&client, vec![with_leader, with_others]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_that_do_not_hear_each_other_do_not_stop_the_stream() -> Result<()> {
    let Some((cluster, relay)) = behind_relay().await? else { return Ok(()) };
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["LOAD.>"], 3).await?;
    let group = whole_group(&client).await?;
    // Messages travel one hop, as with the reference server: a client of the server that does not hear the leader
    // would reach nobody. This one is the leader's own.
    let beside = cluster.client_of(&group.leader).await?;
    let publisher = Publisher::start(&beside, "LOAD", 4);
    for follower in &group.followers {
        publisher.progress(200, PATIENCE).await?;
        relay.cut(&group.leader, follower)?;
        publisher.progress(500, PATIENCE).await.with_context(|| {
            format!("with {} and {follower} cut off from each other", group.leader)
        })?;
        relay.heal();
        whole_group(&client).await?;
    }
    finish(&client, vec![publisher]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_network_slows_the_stream_and_breaks_nothing() -> Result<()> {
    let Some((cluster, relay)) = behind_relay().await? else { return Ok(()) };
    let client = cluster.client().await?;
    create_stream(&client, STREAM, &["LOAD.>"], 3).await?;
    whole_group(&client).await?;
    let publisher = Publisher::start(&client, "LOAD", 4);
    for change in [Change::Loss(0.05), Change::Duplicate(0.05), Change::Reorder(0.05)] {
        relay.change(&Pairs::all(), change)?;
    }
    publisher.progress(1_000, PATIENCE).await.context("on a bad network")?;
    relay.heal();
    finish(&client, vec![publisher]).await
}

/// Ends the publishers and compares what they were told with what the stream holds.
async fn finish(client: &async_nats::Client, publishers: Vec<Publisher>) -> Result<()> {
    whole_group(client).await?;
    let mut history = flotilla_tests::History::default();
    for publisher in publishers {
        publisher.progress(50, PATIENCE).await?;
        history.merge(publisher.stop().await?.history);
    }
    let verdict = history.verify(&read_stream(client, STREAM).await?);
    println!("{verdict}");
    verdict.keeps_the_promise()
}

async fn whole_group(client: &async_nats::Client) -> Result<flotilla_tests::cluster::Group> {
    eventually(PATIENCE, "the group to be whole", async || {
        let group = stream_group(client, STREAM).await?;
        let whole = !group.leader.is_empty() && group.followers.len() == 2 && group.all_there;
        Ok(whole.then_some(group))
    })
    .await
}
