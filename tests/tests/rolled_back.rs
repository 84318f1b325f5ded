//! A server comes back with an older image of its disk, as a machine that was restored does: nothing on it says that it has
//! forgotten what it promised. The others remember, and it gets everything anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_nats::Client;
use flotilla_tests::cluster::{ELECTION, create_stream, stream_group};
use flotilla_tests::history::read_stream;
use flotilla_tests::{Cluster, Flavour, Plan, Publisher, eventually};

const STREAM: &str = "LOAD";
const PATIENCE: Duration = Duration::from_secs(60);

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

async fn wait_for_all(client: &Client) -> Result<()> {
    eventually(PATIENCE, "all replicas to be there", async || {
        let group = stream_group(client, STREAM).await?;
        let all = !group.leader.is_empty() && group.followers.len() == 2;
        Ok((all && group.all_there).then_some(()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_was_rolled_back_is_noticed_and_made_good() -> Result<()> {
    let plan = Plan::new(3)?;
    if plan.flavour == Flavour::NatsServer {
        println!("skipped: the reference does not notice it");
        return Ok(());
    }
    let mut cluster = Cluster::start(plan).await?;
    let client = cluster.client_of("n1-c1").await?;
    create_stream(&client, STREAM, &["LOAD.*"], 3).await?;
    let publisher = Publisher::start(&client, "LOAD", 4);
    publisher.progress(200, PATIENCE).await?;
    wait_for_all(&client).await?;

    // The image.
    let victim = 2;
    let store: PathBuf = cluster.dir().join("n3-c1/jetstream");
    let image = cluster.dir().join("image");
    cluster.servers_mut()[victim].kill().await?;
    copy(&store, &image)?;
    cluster.servers_mut()[victim].start()?;
    cluster.servers_mut()[victim].wait_ready().await?;
    wait_for_all(&client).await?;
    // Beats tell the others how far its log is, ten times a second.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        publisher.progress(100, PATIENCE).await?;
    }

    cluster.servers_mut()[victim].kill().await?;
    fs::remove_dir_all(&store)?;
    fs::rename(&image, &store)?;
    cluster.servers_mut()[victim].start()?;
    eventually(PATIENCE, "the server to say what is wrong with its disk", async || {
        let health = cluster.servers()[victim].health().await.unwrap_or_default();
        Ok(health.contains("rolled back").then_some(()))
    })
    .await?;
    publisher.progress(100, PATIENCE).await.context("the other two go on")?;

    cluster.servers_mut()[victim].kill().await?;
    cluster.servers_mut()[victim].start()?;
    cluster.servers_mut()[victim].wait_ready().await?;
    let published = publisher.stop().await?;
    eventually(PATIENCE, "all replicas to have everything", async || {
        Ok(stream_group(&client, STREAM).await?.is_current.then_some(()))
    })
    .await?;
    // What it has is what the others have: it serves alone, with one of them.
    cluster.servers_mut()[0].kill().await?;
    let client = cluster.client_of("n3-c1").await?;
    eventually(ELECTION, "a leader", async || {
        Ok((!stream_group(&client, STREAM).await?.leader.is_empty()).then_some(()))
    })
    .await?;
    published.history.verify(&read_stream(&client, STREAM).await?).keeps_the_promise()
}
