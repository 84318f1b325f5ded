//! A cluster serves the official tools and clients unchanged, and this project's own tool.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use async_nats::Client;
use flotilla_tests::cluster::{ELECTION, create_stream, request};
use flotilla_tests::{Cluster, Plan, eventually, tool};
use serde_json::{Value, json};

/// How long the servers of a new cluster may take to become voters of its meta group.
const VOTERS: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_nats_tool_adds_a_stream_publishes_and_consumes() -> Result<()> {
    let cluster = Cluster::start(Plan::new(3)?).await?;
    let Some(nats) = tool::nats(cluster.urls(), cluster.dir())? else { return Ok(()) };

    let added = "stream add ORDERS --subjects ORDERS.* --replicas 3 --defaults";
    let text = nats.succeed(&words(added)).await?;
    ensure!(text.contains("Stream ORDERS was created"), "{text}");
    ensure!(text.contains("Replicas: 3"), "{text}");
    let again = nats.succeed(&words(added)).await?;
    ensure!(again.contains("Information for Stream ORDERS"), "creating is idempotent: {again}");

    for number in 1..=20 {
        let body = format!("order {number}");
        let text = nats.succeed(&["pub", "ORDERS.new", &body, "--jetstream"]).await?;
        ensure!(text.contains("Stored in Stream: ORDERS"), "{text}");
    }
    let info: Value = serde_json::from_str(&stdout(&nats, "stream info ORDERS --json").await?)?;
    ensure!(info["state"]["messages"] == 20, "{info}");
    ensure!(info["config"]["num_replicas"] == 3, "{info}");

    nats.succeed(&words("consumer add ORDERS shipping --pull --ack explicit --defaults")).await?;
    let text = nats.succeed(&words("consumer next ORDERS shipping --count 20 --raw --ack")).await?;
    for number in 1..=20 {
        ensure!(text.contains(&format!("order {number}")), "order {number} is not in {text}");
    }
    let info: Value =
        serde_json::from_str(&stdout(&nats, "consumer info ORDERS shipping --json").await?)?;
    ensure!(info["num_pending"] == 0, "{info}");
    ensure!(info["delivered"]["stream_seq"] == 20, "{info}");

    ensure!(nats.succeed(&words("stream ls --names")).await?.contains("ORDERS"));
    nats.succeed(&words("stream purge ORDERS --force")).await?;
    let info: Value = serde_json::from_str(&stdout(&nats, "stream info ORDERS --json").await?)?;
    ensure!(info["state"]["messages"] == 0 && info["state"]["first_seq"] == 21, "{info}");
    nats.succeed(&words("stream rm ORDERS --force")).await?;
    let gone = nats.run(&words("stream info ORDERS")).await?;
    ensure!(gone.code != 0, "{}", gone.text());
    ensure!(!nats.succeed(&words("stream ls --names")).await?.contains("ORDERS"));
    Ok(())
}

#[tokio::test]
async fn the_nats_tool_finds_the_servers_and_moves_the_meta_leader() -> Result<()> {
    let cluster = Cluster::start(Plan::new(3)?).await?;
    let Some(nats) = tool::nats(cluster.urls(), cluster.dir())? else { return Ok(()) };
    let (user, password) = flotilla_tests::cluster::SYSTEM_USER;
    let system =
        |line: &'static str| [vec!["--user", user, "--password", password], words(line)].concat();

    let text = nats.succeed(&system("server list --json")).await?;
    let servers: Vec<Value> = serde_json::from_str(&text)?;
    ensure!(servers.len() == 3, "{text}");
    ensure!(servers.iter().all(|s| s["statsz"]["active_servers"] == 3), "{text}");
    let text = nats.succeed(&system("server report jetstream")).await?;
    ensure!(text.contains("RAFT Meta Group Information"), "{text}");
    // A cluster that has just been founded serves before all servers vote in its meta group: until then the leader
    // has nobody to hand over to, and says so. Nothing else may keep it.
    let moved =
        eventually(VOTERS, "the meta leader to have somebody to hand over to", async || {
            let ended = nats.run(&system("server cluster step-down --force")).await?;
            let alone = ended.text().contains("no replacement peer connected");
            Ok((!alone).then_some(ended))
        });
    let moved = moved.await?;
    ensure!(moved.code == 0 && moved.text().contains("New leader elected"), "{}", moved.text());

    let refused = nats.run(&words("server list --timeout 1s")).await?;
    ensure!(refused.code != 0, "only the system account is answered: {}", refused.text());
    Ok(())
}

#[tokio::test]
async fn the_python_client_publishes_and_consumes() -> Result<()> {
    let cluster = Cluster::start(Plan::new(3)?).await?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/publish_and_consume.py");
    let Some(python) = tool::nats_py(&script, cluster.urls(), cluster.dir()).await? else {
        return Ok(());
    };
    let client = cluster.client().await?;
    create_stream(&client, "EVENTS", &["EVENTS.>"], 3).await?;
    let text = python.succeed(&["EVENTS", "EVENTS.python"]).await?;
    ensure!(text.contains("published, read and acknowledged 200"), "{text}");
    Ok(())
}

/// How long a consumer is kept that nobody uses; much longer than a slow machine takes from creating one to using it.
const UNUSED_NS: u64 = 5_000_000_000;

/// Creates a consumer of the stream EVENTS; without a threshold it is a durable one, which is kept for ever.
async fn create_consumer(client: &Client, name: &str, inactive_threshold: u64) -> Result<()> {
    let config = json!({
        "stream_name": "EVENTS",
        "config": {
            "name": name,
            "durable_name": if inactive_threshold == 0 { name } else { "" },
            "ack_policy": "explicit",
            "inactive_threshold": inactive_threshold,
        },
    });
    let api = format!("CONSUMER.CREATE.EVENTS.{name}");
    eventually(ELECTION, &api, async || Ok(Some(request(client, &api, &config).await?))).await?;
    Ok(())
}

/// Clients make consumers for single reads and leave them behind: a group each, so they must go by themselves.
#[tokio::test]
async fn a_consumer_that_nobody_uses_goes_and_one_in_use_stays() -> Result<()> {
    let cluster = Cluster::start(Plan::new(3)?).await?;
    let client = cluster.client().await?;
    create_stream(&client, "EVENTS", &["EVENTS.>"], 3).await?;
    create_consumer(&client, "kept", 0).await?;
    create_consumer(&client, "used", UNUSED_NS).await?;
    // A request that waits is use.
    let wait = json!({ "batch": 1, "expires": 60_000_000_000_u64 });
    let next = "$JS.API.CONSUMER.MSG.NEXT.EVENTS.used".to_owned();
    let inbox = client.new_inbox();
    let _messages = client.subscribe(inbox.clone()).await?;
    client.publish_with_reply(next, inbox, wait.to_string().into()).await?;
    // Made last, so that the other one's time is up when this one's is.
    create_consumer(&client, "left", UNUSED_NS).await?;
    let stay = eventually(Duration::from_secs(30), "the unused consumer to go", async || {
        let answer = request(&client, "CONSUMER.NAMES.EVENTS", &Value::Null).await?;
        let names = answer["consumers"].as_array().into_iter().flatten();
        let names: Vec<&str> = names.filter_map(Value::as_str).collect();
        Ok((!names.contains(&"left")).then(|| names.join(" ")))
    })
    .await?;
    ensure!(stay == "kept used", "{stay}");
    Ok(())
}

#[tokio::test]
async fn this_project_s_tool_speaks_for_people_and_for_scripts() -> Result<()> {
    let cluster = Cluster::start(Plan::new(3)?).await?;
    let flotilla = tool::flotilla(cluster.urls(), cluster.dir())?;

    let text =
        flotilla.succeed(&words("stream add ORDERS --subjects ORDERS.* --replicas 3")).await?;
    ensure!(text.contains("Information for Stream ORDERS created"), "{text}");
    ensure!(text.contains("Cluster Information:") && text.contains("Name: C1"), "{text}");
    flotilla.succeed(&words("pub ORDERS.new hello --jetstream --count 3")).await?;
    flotilla.succeed(&words("consumer add ORDERS c1 --pull")).await?;
    let lines = stdout(&flotilla, "consumer next ORDERS c1 --count 3 --json").await?;
    let messages: Vec<Value> = lines.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let sequences: Vec<&Value> = messages.iter().map(|message| &message["stream_seq"]).collect();
    ensure!(sequences == [1, 2, 3], "{lines}");

    let text = flotilla.succeed(&words("stream cluster step-down ORDERS")).await?;
    ensure!(text.contains("Requesting leader step down of"), "{text}");
    ensure!(
        text.contains("in a 3 peer RAFT group") && text.contains("New leader elected"),
        "{text}"
    );
    let (user, password) = flotilla_tests::cluster::SYSTEM_USER;
    let text = flotilla
        .succeed(&["--user", user, "--password", password, "server", "cluster", "step-down"])
        .await?;
    ensure!(text.contains("New leader elected"), "{text}");

    for (line, code) in [
        ("stream info NOPE", 4),
        ("consumer next ORDERS c1 --wait 100ms", 4),
        ("stream rm ORDERS", 2),
        ("server cluster step-down", 5),
        ("--server nats://127.0.0.1:1 stream ls", 3),
        ("stream rm ORDERS --force", 0),
    ] {
        let ended = flotilla.run(&words(line)).await?;
        ensure!(ended.code == code, "{line}: {} in place of {code}: {}", ended.code, ended.text());
    }
    Ok(())
}

/// Every load does something, and leaves nothing behind.
#[tokio::test]
async fn this_project_s_tool_puts_loads_on_servers() -> Result<()> {
    let cluster = Cluster::start(Plan::new(3)?).await?;
    let flotilla = tool::flotilla(cluster.urls(), cluster.dir())?;
    let json = stdout(&flotilla, "bench --length 200ms --warm 50ms --json").await?;
    let measured: Value = serde_json::from_str(&json)?;
    let names: Vec<String> =
        serde_json::from_str(&stdout(&flotilla, "bench --list --json").await?)?;
    for name in &names {
        let rate = ["messages/s", "created/s"].map(|figure| measured[name][figure].as_f64());
        let rate = rate.into_iter().flatten().next();
        ensure!(rate.is_some_and(|rate| rate > 0.0), "{name}: {}", measured[name]);
    }
    let left = stdout(&flotilla, "stream ls --names").await?;
    ensure!(left.trim().is_empty(), "{left}");
    let ended = flotilla.run(&words("bench nothing-of-that-name")).await?;
    ensure!(ended.code == 2, "{}", ended.text());
    Ok(())
}

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

async fn stdout(tool: &tool::Tool, line: &str) -> Result<String> {
    let ended = tool.run(&words(line)).await?;
    ensure!(ended.code == 0, "{line}: {}", ended.text());
    Ok(ended.stdout)
}
