//! The clustering page's administration chapter, done on five servers with the official tool: create a replicated
//! stream, move its leader, evict a peer, lose two servers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flotilla_tests::cluster::{ELECTION, Group, request, stream_group};
use flotilla_tests::{Cluster, Plan, eventually, tool};
use serde_json::Value;

const CATCH_UP: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_administration_page_holds_on_five_servers() -> Result<()> {
    let mut cluster = Cluster::start(Plan::new(5)?).await?;
    let Some(nats) = tool::nats(cluster.urls(), cluster.dir())? else { return Ok(()) };
    let client = cluster.client().await?;

    create(&nats).await?;
    let group = current_group(&client).await?;
    let moved = move_leader(&nats, &client, &group).await?;
    evict(&nats, &client, &moved).await?;
    lose_two(&mut cluster, &nats, &client).await
}

/// "Creating clustered streams"
async fn create(nats: &tool::Tool) -> Result<()> {
    let line = ["str", "add", "ORDERS", "--subjects", "ORDERS.*", "--replicas", "3", "--defaults"];
    let text = nats.succeed(&line).await?;
    for words in [
        "Information for Stream ORDERS",
        "Replicas: 3",
        "Cluster Information:",
        "Name: C1",
        "Leader: n",
    ] {
        ensure!(text.contains(words), "{words:?} is not in {text}");
    }
    ensure!(text.matches("Replica: n").count() == 2, "two followers: {text}");
    nats.succeed(&["consumer", "add", "ORDERS", "c1", "--pull", "--defaults"]).await?;
    nats.succeed(&["pub", "ORDERS.new", "order", "--count", "10", "--jetstream"]).await?;
    Ok(())
}

/// "Forcing leader election"
async fn move_leader(
    nats: &tool::Tool,
    client: &async_nats::Client,
    before: &Group,
) -> Result<Group> {
    let text = nats.succeed(&["stream", "cluster", "step-down", "ORDERS"]).await?;
    ensure!(text.contains("Requesting leader step down of"), "{text}");
    ensure!(text.contains("New leader elected"), "{text}");
    let after = current_group(client).await?;
    ensure!(after.leader != before.leader, "{} leads still", before.leader);
    ensure!(after.members() == before.members(), "moving the leader does not move the members");
    Ok(after)
}

/// "Evicting a peer"
async fn evict(nats: &tool::Tool, client: &async_nats::Client, before: &Group) -> Result<()> {
    let peer = before.followers.first().context("a follower")?;
    let text = nats.succeed(&["s", "cluster", "peer-remove", "ORDERS", peer, "--force"]).await?;
    ensure!(text.contains(&format!("Removing peer {peer:?}")), "{text}");
    ensure!(text.contains(&format!("Requested removal of peer {peer:?}")), "{text}");
    eventually(CATCH_UP, "another server to take the evicted one's place", async || {
        let stream = stream_group(client, "ORDERS").await?;
        let info = request(client, "CONSUMER.INFO.ORDERS.c1", &Value::Null).await?;
        let consumer = Group::read(&info["cluster"]);
        let replaced =
            |group: &Group| group.members().len() == 3 && !group.members().contains(peer);
        Ok((replaced(&stream) && stream.is_current && replaced(&consumer)).then_some(()))
    })
    .await?;
    let info = request(client, "STREAM.INFO.ORDERS", &Value::Null).await?;
    ensure!(info["state"]["messages"] == 10, "nothing is lost: {info}");
    Ok(())
}

/// "A 5 node cluster can withstand 2 nodes being down", here the stream's leader and a server without a copy.
async fn lose_two(
    cluster: &mut Cluster,
    nats: &tool::Tool,
    client: &async_nats::Client,
) -> Result<()> {
    let group = current_group(client).await?;
    let members = group.members();
    let mut names = cluster.servers().iter().map(|server| server.name().to_owned());
    let other = names.find(|name| !members.contains(name)).context("a server without a copy")?;
    for name in [&group.leader, &other] {
        cluster.server_mut(name)?.kill().await?;
    }
    let stored = eventually(ELECTION, "a message to be stored with two servers down", async || {
        let ended = nats
            .run(&["pub", "ORDERS.new", "after the loss", "--jetstream", "--timeout", "2s"])
            .await?;
        Ok((ended.code == 0).then(|| ended.text()))
    });
    ensure!(stored.await?.contains("Stored in Stream: ORDERS"));
    cluster.start_all().await?;
    let whole = eventually(CATCH_UP, "the group to be whole again", async || {
        let group = stream_group(client, "ORDERS").await?;
        Ok((group.members() == members && group.is_current).then_some(()))
    });
    whole.await
}

async fn current_group(client: &async_nats::Client) -> Result<Group> {
    eventually(CATCH_UP, "the group to be current", async || {
        let group = stream_group(client, "ORDERS").await?;
        Ok((!group.leader.is_empty() && group.followers.len() == 2 && group.is_current)
            .then_some(group))
    })
    .await
}
