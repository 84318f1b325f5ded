//! Creating and deleting streams and consumers.

use futures::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::api::fit;
use crate::error::LoadError;
use crate::figures::{Figures, Latencies};
use crate::load::{Moment, Window};
use crate::servers::Servers;
use crate::wire::{Connection, random};

/// Streams, or consumers of one stream, as many at once as there are clients.
#[derive(Clone, Debug)]
pub(crate) struct Assets {
    pub(crate) replicas: usize,
    /// How many clients ask, each for one at a time.
    pub(crate) at_once: usize,
    /// Whether they are consumers.
    pub(crate) consumers: bool,
}

impl Assets {
    pub(crate) async fn run(
        &self,
        servers: &Servers,
        window: Window,
        at: &mut dyn FnMut(Moment),
    ) -> Result<Figures, LoadError> {
        fit(servers, self.replicas)?;
        let run = random();
        let base = format!("BENCH_{run:x}");
        let mut client = Connection::open(servers.first()).await?;
        client.create_stream(&base, &format!("bench.{run:x}"), self.replicas).await?;
        let mut clients = Vec::new();
        for number in 0..self.at_once {
            let server = &servers.all()[number % servers.len()];
            let (connection, names) = (Connection::open(server).await?, Vec::new());
            clients.push(Client { connection, number, names, latencies: Latencies::new() });
        }
        at(Moment::Begin);
        let began = Instant::now();
        let until = began + window.length;
        let created =
            try_join_all(clients.iter_mut().map(|it| it.create(self, &base, until))).await;
        let creating = began.elapsed();
        at(Moment::End);
        created?;
        let began = Instant::now();
        try_join_all(clients.iter_mut().map(|it| it.delete(self, &base))).await?;
        let deleting = began.elapsed();
        client.delete_stream(&base).await?;
        let mut latencies = Latencies::new();
        clients.iter().for_each(|it| latencies.merge(&it.latencies));
        let count = clients.iter().map(|it| it.names.len()).sum::<usize>() as f64;
        let mut figures = Figures::default();
        figures.add("created/s", count / creating.as_secs_f64());
        figures.add("deleted/s", count / deleting.as_secs_f64());
        figures.add_latencies(&latencies.corrected());
        Ok(figures)
    }
}

/// Asks for one after the other.
struct Client {
    connection: Connection,
    number: usize,
    /// What it created.
    names: Vec<String>,
    latencies: Latencies,
}

impl Client {
    async fn create(&mut self, load: &Assets, base: &str, until: Instant) -> Result<(), LoadError> {
        while Instant::now() < until {
            let (client, number, replicas) = (self.number, self.names.len(), load.replicas);
            let name = format!("{base}_{client}_{number}");
            let (api, config) = if load.consumers {
                let config = json!({
                    "name": name, "durable_name": name, "ack_policy": "explicit", "num_replicas": replicas,
                });
                let config = json!({ "stream_name": base, "config": config });
                (format!("CONSUMER.CREATE.{base}.{name}"), config)
            } else {
                let subject = format!("{base}.{client}.{number}");
                let config = json!({
                    "name": name, "subjects": [subject], "num_replicas": replicas, "storage": "file",
                });
                (format!("STREAM.CREATE.{name}"), config)
            };
            let asked = Instant::now();
            self.connection.api(&api, &config).await?;
            self.latencies.record(asked.elapsed());
            self.names.push(name);
        }
        Ok(())
    }

    async fn delete(&mut self, load: &Assets, base: &str) -> Result<(), LoadError> {
        for name in &self.names {
            let api = if load.consumers {
                format!("CONSUMER.DELETE.{base}.{name}")
            } else {
                format!("STREAM.DELETE.{name}")
            };
            self.connection.api(&api, &json!({})).await?;
        }
        Ok(())
    }
}
