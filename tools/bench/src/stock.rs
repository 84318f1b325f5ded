//! Streams with messages in them, and what several loads ask of them: is it whole again, does it store.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use bytes::Bytes;
use flotilla_loads::{Servers, fill_stream};
use flotilla_tests::cluster::{ELECTION, create_stream, request, stream_group};
use flotilla_tests::{Cluster, Server, eventually};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// Bytes of payload of each message.
pub(crate) const SIZE: usize = 128;
/// How long servers may take to be whole again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// How long a publisher waits for an answer before it asks again.
const ANSWER: Duration = Duration::from_millis(200);
/// How long a look at a group may take.
const LOOK: Duration = Duration::from_secs(1);
/// Between two looks: what is measured in seconds is no more exact than this.
const PAUSE: Duration = Duration::from_millis(20);

/// An R3 stream.
pub(crate) struct Stock {
    pub(crate) name: &'static str,
    subject: String,
}

impl Stock {
    /// Creates it, without messages, and waits until all its replicas are there.
    pub(crate) async fn create(client: &Client, name: &'static str) -> Result<Self> {
        let subject = name.to_lowercase();
        create_stream(client, name, &[&subject], 3).await?;
        let stock = Self { name, subject };
        stock.until_current(client).await?;
        Ok(stock)
    }

    /// Publishes so many messages through the servers that run. Returns how long it took.
    pub(crate) async fn fill(&self, cluster: &Cluster, messages: u64) -> Result<Duration> {
        let running = cluster.servers().iter().filter(|server| server.is_running());
        let urls: Vec<String> = running.map(Server::url).collect();
        let servers = Servers::find(&urls).await?;
        let began = Instant::now();
        fill_stream(&servers, self.name, &self.subject, SIZE, messages).await?;
        Ok(began.elapsed())
    }

    /// The name of the server that leads it.
    pub(crate) async fn leader(&self, client: &Client) -> Result<String> {
        eventually(ELECTION, "a leader", async || {
            let leader = stream_group(client, self.name).await?.leader;
            Ok((!leader.is_empty()).then_some(leader))
        })
        .await
    }

    /// Returns once a message is stored.
    pub(crate) async fn until_stored(&self, client: &Client) -> Result<()> {
        until_stored(client, &self.subject).await
    }

    /// Returns once both followers have all that the leader has, by its own word.
    pub(crate) async fn until_current(&self, client: &Client) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            // A server that has just come back may not answer, or not know the others yet.
            let group = timeout(LOOK, stream_group(client, self.name)).await;
            if let Ok(Ok(group)) = group
                && !group.leader.is_empty()
                && group.followers.len() == 2
                && group.all_there
                && group.is_current
            {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{} is not whole after {PATIENCE:?}", self.name);
            sleep(PAUSE).await;
        }
    }

    /// How many messages it has.
    pub(crate) async fn messages(&self, client: &Client) -> Result<u64> {
        let info = request(client, &format!("STREAM.INFO.{}", self.name), &Value::Null).await?;
        info["state"]["messages"].as_u64().context("a stream says how many messages it has")
    }
}

/// What a server says of its JetStream.
pub(crate) async fn jsz(server: &Server) -> Result<Value> {
    let page = server.get("/jsz").await.context("nobody answers")?;
    let (_, body) = page.split_once("\r\n\r\n").context("no page")?;
    Ok(serde_json::from_str(body)?)
}

/// Returns once a server itself says that it has so many messages, of all its streams.
pub(crate) async fn until_there(server: &Server, messages: u64) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let there = jsz(server).await.ok().and_then(|page| page["messages"].as_u64());
        if there == Some(messages) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{} has {there:?} of {messages}", server.name());
        sleep(PAUSE).await;
    }
}

/// Publishes one message after the other, until one is stored.
pub(crate) async fn until_stored(client: &Client, subject: &str) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let asked = client.request(subject.to_owned(), Bytes::from_static(b"x"));
        match timeout(ANSWER, asked).await {
            Ok(Ok(ack)) if is_stored(&ack.payload) => return Ok(()),
            _ if Instant::now() > until => anyhow::bail!("{subject}: nothing is stored"),
            _ => sleep(PAUSE).await,
        }
    }
}

/// Whether an answer to a publish says so.
pub(crate) fn is_stored(answer: &[u8]) -> bool {
    let has = |text: &[u8]| memchr::memmem::find(answer, text).is_some();
    has(b"\"seq\"") && !has(b"\"error\"")
}

/// Returns once all servers are healthy.
pub(crate) async fn until_healthy(servers: &[Server]) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    for server in servers {
        while server.health().await.is_none_or(|page| page.get(8..12) != Some(" 200")) {
            ensure!(Instant::now() < until, "{} is not healthy", server.name());
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Creates a durable consumer of a stream. A server that is behind may let a request time out; it is asked again, and the
/// time counts.
pub(crate) async fn create_consumer(
    client: &Client,
    stream: &str,
    name: &str,
    replicas: usize,
) -> Result<()> {
    let config = json!({
        "stream_name": stream,
        "config": { "durable_name": name, "ack_policy": "explicit", "num_replicas": replicas },
    });
    let api = format!("CONSUMER.CREATE.{stream}.{name}");
    let created =
        eventually(ELECTION, &api, async || Ok(Some(request(client, &api, &config).await?)));
    created.await.map(drop)
}
