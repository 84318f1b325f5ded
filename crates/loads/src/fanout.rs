//! Publishing to subscribers, without a stream.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::{Instant, sleep};

use crate::error::LoadError;
use crate::figures::Figures;
use crate::load::{Moment, Window};
use crate::servers::Servers;
use crate::wire::{Connection, random};

/// How many bytes of messages may be on their way to a subscriber: what comes beyond would be dropped in the end.
const ON_THE_WAY: u64 = 4 << 20;
/// How many bytes are written at once.
const WRITE: usize = 64 << 10;
/// How long the publisher waits for the slowest subscriber before it looks again.
const PAUSE: Duration = Duration::from_micros(200);

/// One publisher, and subscribers that all get everything.
#[derive(Clone, Debug)]
pub(crate) struct Fanout {
    /// Bytes of payload.
    pub(crate) size: usize,
    pub(crate) subscribers: usize,
    /// Whether the subscribers are on another server.
    pub(crate) across: bool,
}

impl Fanout {
    pub(crate) async fn run(
        &self,
        servers: &Servers,
        window: Window,
        at: &mut dyn FnMut(Moment),
    ) -> Result<Figures, LoadError> {
        let all = servers.all();
        if self.across && all.len() < 2 {
            return Err(LoadError::Unfit("two servers are needed; one is named".to_owned()));
        }
        let subject = format!("bench.{:x}", random());
        let mut publisher = Connection::open(&all[0]).await?;
        let mut subscribers = Vec::new();
        for _ in 0..self.subscribers {
            let mut subscriber = Connection::open(&all[usize::from(self.across)]).await?;
            subscriber.subscribe(&subject, "1").await?;
            subscriber.flush().await?;
            subscribers.push(subscriber);
        }
        // Another server hears of it a moment later.
        sleep(Duration::from_secs(1)).await;
        let payload = "x".repeat(self.size);
        let message = format!("PUB {subject} {}\r\n{payload}\r\n", self.size);
        let delivered = format!("MSG {subject} 1 {}\r\n{payload}\r\n", self.size).len() as u64;
        let together = WRITE / message.len();
        let batch = message.repeat(together).into_bytes();
        // Bytes, for each subscriber: all messages are of one length.
        let got: Vec<AtomicU64> = (0..self.subscribers).map(|_| AtomicU64::new(0)).collect();
        let slowest = || got.iter().map(|got| got.load(Ordering::Relaxed)).min().unwrap_or(0);
        let listen =
            try_join_all(subscribers.iter_mut().zip(&got).map(async |(subscriber, got)| {
                loop {
                    let bytes = subscriber.waste().await? as u64;
                    got.fetch_add(bytes, Ordering::Relaxed);
                }
                #[allow(unreachable_code)] // it ends with an error, or is dropped
                Ok::<(), LoadError>(())
            }));
        let publish = async {
            let from = Instant::now() + window.warm;
            let until = from + window.length;
            let mut sent = 0;
            let mut began = None;
            loop {
                while sent > slowest() + ON_THE_WAY {
                    sleep(PAUSE).await;
                }
                publisher.write(&batch).await?;
                sent += together as u64 * delivered;
                let now = Instant::now();
                if now >= from && began.is_none() {
                    at(Moment::Begin);
                    began = Some((now, slowest()));
                }
                if let Some((since, before)) = began.filter(|_| now >= until) {
                    at(Moment::End);
                    return Ok::<_, LoadError>((slowest() - before, now - since));
                }
                tokio::task::yield_now().await;
            }
        };
        let (bytes, took) = tokio::select! {
            done = publish => done?,
            ended = listen => {
                ended?;
                return Err(LoadError::Unfit("nobody listens".to_owned()));
            }
        };
        let messages = bytes as f64 / delivered as f64;
        let mut figures = Figures::default();
        figures.add("messages", messages);
        figures.add("messages/s", messages / took.as_secs_f64());
        figures.add("deliveries/s", messages * self.subscribers as f64 / took.as_secs_f64());
        Ok(figures)
    }
}
