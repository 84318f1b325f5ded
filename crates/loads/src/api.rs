//! What loads ask of JetStream's API.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::error::LoadError;
use crate::servers::{Address, Servers};
use crate::wire::Connection;

/// How long a group may take to have a leader that answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

impl Connection {
    pub(crate) async fn api(&mut self, api: &str, body: &Value) -> Result<Value, LoadError> {
        self.request(&format!("$JS.API.{api}"), body).await
    }

    /// The same again and again, until it is done or nothing helps.
    async fn insist(&mut self, api: &str, body: &Value) -> Result<Value, LoadError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.api(api, body).await {
                Err(_) if Instant::now() < until => sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }

    /// Creates a stream in a file, without limits.
    pub(crate) async fn create_stream(
        &mut self,
        name: &str,
        subject: &str,
        replicas: usize,
    ) -> Result<(), LoadError> {
        self.create_bounded_stream(name, subject, replicas, -1).await
    }

    /// The same, that gives up its oldest messages beyond so many bytes.
    pub(crate) async fn create_bounded_stream(
        &mut self,
        name: &str,
        subject: &str,
        replicas: usize,
        max_bytes: i64,
    ) -> Result<(), LoadError> {
        let config = json!({
            "name": name, "subjects": [subject], "num_replicas": replicas, "storage": "file", "retention": "limits",
            "discard": "old", "max_msgs": -1, "max_bytes": max_bytes, "max_age": 0, "max_consumers": -1, "max_msg_size": -1,
        });
        self.insist(&format!("STREAM.CREATE.{name}"), &config).await.map(drop)
    }

    pub(crate) async fn delete_stream(&mut self, name: &str) -> Result<(), LoadError> {
        self.insist(&format!("STREAM.DELETE.{name}"), &json!({})).await.map(drop)
    }

    /// Creates a durable consumer with explicit acknowledgements.
    pub(crate) async fn create_consumer(
        &mut self,
        stream: &str,
        name: &str,
        replicas: usize,
    ) -> Result<Value, LoadError> {
        let config = json!({
            "stream_name": stream,
            "config": {
                "name": name, "durable_name": name, "ack_policy": "explicit", "deliver_policy": "all",
                "replay_policy": "instant", "max_ack_pending": 20_000, "num_replicas": replicas,
            },
        });
        self.insist(&format!("CONSUMER.CREATE.{stream}.{name}"), &config).await
    }

    /// Who leads, as `info` says once somebody does; a server alone says nothing of it.
    async fn leader(&mut self, api: &str, servers: &Servers) -> Result<Address, LoadError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let info = self.insist(api, &json!({})).await?;
            match info["cluster"]["leader"].as_str() {
                Some(name) if !name.is_empty() => return servers.named(name).cloned(),
                None if servers.len() == 1 => return Ok(servers.first().clone()),
                _ if Instant::now() > until => {
                    return Err(LoadError::Unfit(format!("{api}: nobody leads")));
                }
                _ => sleep(PAUSE).await,
            }
        }
    }

    pub(crate) async fn stream_leader(
        &mut self,
        stream: &str,
        servers: &Servers,
    ) -> Result<Address, LoadError> {
        self.leader(&format!("STREAM.INFO.{stream}"), servers).await
    }

    pub(crate) async fn consumer_leader(
        &mut self,
        stream: &str,
        consumer: &str,
        servers: &Servers,
    ) -> Result<Address, LoadError> {
        self.leader(&format!("CONSUMER.INFO.{stream}.{consumer}"), servers).await
    }
}

/// Replicas need a server each.
pub(crate) fn fit(servers: &Servers, replicas: usize) -> Result<(), LoadError> {
    if servers.len() < replicas {
        let count = servers.len();
        return Err(LoadError::Unfit(format!(
            "{replicas} replicas need as many servers; {count} are named"
        )));
    }
    Ok(())
}
