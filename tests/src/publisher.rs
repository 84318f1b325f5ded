//! Publishers as load: several at once, each in order, each remembering what it was told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::{Client, HeaderMap, Request};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::condition::eventually;
use crate::history::History;

/// How long a publisher waits for an acknowledgment before it sends a message again: one on its way to a leader that dies
/// is answered by nobody. It bounds how exactly a gap is measured.
const PATIENCE: Duration = Duration::from_millis(250);
/// Each time that is in vain it waits twice as long, up to this: a slow disk must not be taken for a dead leader for ever.
const MOST_PATIENCE: Duration = Duration::from_secs(4);
/// Between two attempts while there is no leader.
const PAUSE: Duration = Duration::from_millis(20);

/// Publishers at work on one stream.
#[derive(Debug)]
pub struct Publisher {
    tasks: JoinSet<(History, Duration)>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
}

/// What the publishers of a run saw.
#[derive(Debug)]
pub struct Published {
    /// What they were told.
    pub history: History,
    /// The longest time one of them went without an acknowledgment.
    pub longest_gap: Duration,
}

impl Publisher {
    /// Starts so many writers; writer w publishes `<subject>.<w>-1`, `<subject>.<w>-2`, … to `<subject>.<w>`, each
    /// with its payload as message id. A message is sent again, under the same id, until it is acknowledged: at most one copy of it
    /// may be stored.
    #[must_use]
    pub fn start(client: &Client, subject: &str, writers: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let subject = format!("{subject}.{writer}");
            let writer = Writer { client: client.clone(), subject, shared: shared.clone() };
            tasks.spawn(writer.run());
        }
        Self { tasks, shared }
    }

    /// How many messages were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Returns once so many more messages are acknowledged than now.
    ///
    /// # Errors
    /// They are not within `patience`.
    pub async fn progress(&self, more: u64, patience: Duration) -> Result<()> {
        let goal = self.acknowledged() + more;
        let what = format!("{more} more messages to be acknowledged");
        eventually(patience, &what, async || Ok((self.acknowledged() >= goal).then_some(()))).await
    }

    /// Ends the writers and returns what they saw. A message in flight becomes one of unknown fate.
    ///
    /// # Errors
    /// A writer panicked.
    pub async fn stop(mut self) -> Result<Published> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut published = Published { history: History::default(), longest_gap: Duration::ZERO };
        while let Some(ended) = self.tasks.join_next().await {
            let (history, gap) = ended.context("a writer failed")?;
            published.history.merge(history);
            published.longest_gap = published.longest_gap.max(gap);
        }
        Ok(published)
    }
}

struct Writer {
    client: Client,
    subject: String,
    shared: Arc<Shared>,
}

impl Writer {
    async fn run(self) -> (History, Duration) {
        let mut history = History::default();
        let (mut last, mut gap) = (Instant::now(), Duration::ZERO);
        let mut number = 0_u64;
        while !self.stopped() {
            number += 1;
            let payload = format!("{}-{number}", self.subject);
            match self.publish(&payload).await {
                Some(sequence) => {
                    self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                    history.acknowledged.insert(payload, sequence);
                    gap = gap.max(last.elapsed());
                    last = Instant::now();
                }
                None => {
                    history.unknown.insert(payload);
                }
            }
        }
        (history, gap)
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::Relaxed)
    }

    /// Publishes until it is acknowledged, and returns the sequence; `None` if the end came before.
    async fn publish(&self, payload: &str) -> Option<u64> {
        let mut patience = PATIENCE;
        while !self.stopped() {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", payload);
            let request = Request::new().payload(payload.to_owned().into()).headers(headers);
            let answer = self.client.send_request(self.subject.clone(), request);
            let answer = timeout(patience, answer).await;
            if answer.is_err() {
                patience = MOST_PATIENCE.min(patience * 2);
            }
            if let Ok(Ok(answer)) = answer {
                // An error in place of a sequence promises nothing: it is sent again as well.
                let ack: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
                if let Some(sequence) = ack["seq"].as_u64().filter(|_| ack.get("error").is_none()) {
                    return Some(sequence);
                }
            }
            sleep(PAUSE).await;
        }
        None
    }
}
