//! Taking messages from a pull consumer, and acknowledging each.

use tokio::time::Instant;

use crate::api::fit;
use crate::error::LoadError;
use crate::figures::{Figures, Latencies};
use crate::fill::fill;
use crate::load::{Moment, Window};
use crate::servers::{Address, Servers};
use crate::wire::{Connection, random};

/// How many messages there are to take.
const MESSAGES: u64 = 500_000;

/// A consumer of a stream that is full, and one client that takes a batch at a time.
#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(crate) replicas: usize,
    /// Bytes of payload.
    pub(crate) size: usize,
    /// How many messages are asked for at a time.
    pub(crate) batch: usize,
}

impl Pull {
    pub(crate) async fn run(
        &self,
        servers: &Servers,
        window: Window,
        at: &mut dyn FnMut(Moment),
    ) -> Result<Figures, LoadError> {
        fit(servers, self.replicas)?;
        let mut client = Connection::open(servers.first()).await?;
        let run = random();
        let (stream, subject) = (format!("BENCH_{run:x}"), format!("bench.{run:x}"));
        client.create_stream(&stream, &subject, self.replicas).await?;
        let leader = client.stream_leader(&stream, servers).await?;
        fill(&leader, &subject, self.size, MESSAGES).await?;
        client.create_consumer(&stream, "C", self.replicas).await?;
        let leader = client.consumer_leader(&stream, "C", servers).await?;
        at(Moment::Begin);
        let taken = self.take(&stream, &leader, MESSAGES, Instant::now() + window.length).await;
        at(Moment::End);
        client.delete_stream(&stream).await?;
        taken
    }

    /// Takes messages from the consumer `C`, at most so many and until then.
    pub(crate) async fn take(
        &self,
        stream: &str,
        leader: &Address,
        most: u64,
        until: Instant,
    ) -> Result<Figures, LoadError> {
        let mut connection = Connection::open(leader).await?;
        let inbox = format!("_INBOX.{:x}", random());
        connection.subscribe(&inbox, "1").await?;
        let body = format!("{{\"batch\":{},\"expires\":5000000000}}", self.batch);
        let pull = format!(
            "PUB $JS.API.CONSUMER.MSG.NEXT.{stream}.C {inbox} {}\r\n{body}\r\n",
            body.len()
        );
        let (began, mut taken, mut latencies) = (Instant::now(), 0_u64, Latencies::new());
        let mut out = pull.clone().into_bytes();
        while taken < most && Instant::now() < until {
            let asked = Instant::now();
            connection.write(&out).await?;
            out.clear();
            let (mut came, mut status) = (0, None);
            while came < self.batch && status.is_none() && taken + (came as u64) < most {
                connection
                    .messages(|message| match message.reply {
                        Some(reply) => {
                            came += 1;
                            out.extend_from_slice(b"PUB ");
                            out.extend_from_slice(reply);
                            out.extend_from_slice(b" 4\r\n+ACK\r\n");
                        }
                        // A heartbeat says nothing of the request.
                        None if message.headers.starts_with(b"NATS/1.0 100") => {}
                        None => {
                            status = Some(String::from_utf8_lossy(message.headers).into_owned());
                        }
                    })
                    .await?;
            }
            // One that says that nothing came in time is no reason to stop.
            if let Some(status) = status.filter(|it| came == 0 && !it.starts_with("NATS/1.0 408")) {
                return Err(connection.said(&status));
            }
            latencies.record(asked.elapsed());
            taken += came as u64;
            out.extend_from_slice(pull.as_bytes());
        }
        let took = began.elapsed();
        let mut figures = Figures::default();
        figures.add("messages", taken as f64);
        figures.add("messages/s", taken as f64 / took.as_secs_f64());
        figures.add_latencies(&latencies.corrected());
        Ok(figures)
    }
}
