//! A request and its reply between two clients of one server: what a message costs that nobody stores.

use tokio::time::Instant;

use crate::error::LoadError;
use crate::figures::{Figures, Latencies};
use crate::load::{Moment, Window};
use crate::servers::Servers;
use crate::wire::{Connection, random};

/// One client that asks, one question after the other, and one that sends the payload back.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    /// Bytes of payload.
    pub(crate) size: usize,
}

impl Echo {
    pub(crate) async fn run(
        &self,
        servers: &Servers,
        window: Window,
        at: &mut dyn FnMut(Moment),
    ) -> Result<Figures, LoadError> {
        let run = random();
        let (subject, inbox) = (format!("bench.{run:x}"), format!("_INBOX.{run:x}"));
        let mut echo = Connection::open(servers.first()).await?;
        echo.subscribe(&subject, "1").await?;
        echo.flush().await?;
        let mut client = Connection::open(servers.first()).await?;
        client.subscribe(&inbox, "1").await?;
        let payload = "x".repeat(self.size);
        let question = format!("PUB {subject} {inbox} {}\r\n{payload}\r\n", self.size).into_bytes();
        let answer = format!("PUB {inbox} {}\r\n{payload}\r\n", self.size).into_bytes();
        let answering = async {
            loop {
                let mut asked = 0;
                echo.messages(|_| asked += 1).await?;
                for _ in 0..asked {
                    echo.write(&answer).await?;
                }
            }
            #[allow(unreachable_code)] // it ends with an error, or is dropped
            Ok::<(), LoadError>(())
        };
        let asking = async {
            let from = Instant::now() + window.warm;
            let until = from + window.length;
            let (mut asked, mut latencies, mut began) = (0_u64, Latencies::new(), None);
            loop {
                let before = Instant::now();
                if before >= from && began.is_none() {
                    at(Moment::Begin);
                    began = Some(before);
                }
                if let Some(began) = began.filter(|_| before >= until) {
                    at(Moment::End);
                    return Ok::<_, LoadError>((asked, latencies, before - began));
                }
                client.write(&question).await?;
                client.messages(|_| {}).await?;
                if began.is_some() {
                    asked += 1;
                    latencies.record(before.elapsed());
                }
            }
        };
        let (asked, latencies, took) = tokio::select! {
            done = asking => done?,
            ended = answering => {
                ended?;
                return Err(LoadError::Unfit("nobody answers".to_owned()));
            }
        };
        let mut figures = Figures::default();
        figures.add("messages", asked as f64);
        figures.add("messages/s", asked as f64 / took.as_secs_f64());
        figures.add_latencies(&latencies.corrected());
        Ok(figures)
    }
}
