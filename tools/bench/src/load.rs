//! Publishing with a fixed number of messages in flight.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::wire::Connection;

/// What one publisher does.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) subject: String,
    /// Bytes of payload.
    pub(crate) size: usize,
    /// How many messages are unacknowledged at any time.
    pub(crate) in_flight: usize,
}

/// What it saw between the end of warming up and the end.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) stored: u64,
    pub(crate) refused: u64,
    /// From handing a message to the socket until its acknowledgment was read, in nanoseconds. The publisher sends the
    /// next message when one is acknowledged, so a server that stands still is not asked meanwhile: with many in flight
    /// this is queueing time, not service time.
    pub(crate) latencies: Histogram<u64>,
}

impl Load {
    /// Publishes to the server at `address` until `until`; counts from `from` on.
    pub(crate) async fn run(&self, address: &str, from: Instant, until: Instant) -> Result<Seen> {
        let inbox = format!("_INBOX.{}", self.subject.replace('.', "-"));
        let mut connection = Connection::open(address, &inbox).await?;
        // Every slot's message is rendered once: the client must not be what is measured.
        let payload = "x".repeat(self.size);
        let message = |slot| {
            let Self { subject, size, .. } = self;
            format!("PUB {subject} {inbox}.{slot} {size}\r\n{payload}\r\n").into_bytes()
        };
        let messages: Vec<Vec<u8>> = (0..self.in_flight).map(message).collect();
        let mut started = vec![Instant::now(); self.in_flight];
        let mut ready: Vec<usize> = (0..self.in_flight).collect();
        let mut seen = Seen {
            stored: 0,
            refused: 0,
            latencies: Histogram::new_with_bounds(1, 60_000_000_000, 3)?,
        };
        let mut batch = Vec::new();
        let mut now = Instant::now();
        while now < until || ready.len() < self.in_flight {
            if now < until {
                batch.clear();
                for slot in ready.drain(..) {
                    started[slot] = now;
                    batch.extend_from_slice(&messages[slot]);
                }
                connection.write(&batch).await?;
            }
            let mut acks = Vec::new();
            connection.acks(|ack| acks.push(ack)).await?;
            now = Instant::now();
            for ack in acks {
                ready.push(ack.slot);
                if now < from || now >= until {
                    continue;
                }
                if ack.is_stored {
                    seen.stored += 1;
                    seen.latencies.saturating_record(nanoseconds(now - started[ack.slot]));
                } else {
                    seen.refused += 1;
                }
            }
        }
        Ok(seen)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
