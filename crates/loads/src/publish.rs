//! Publishing with a fixed number of messages in flight, at the streams' leaders.

use memchr::memmem;
use tokio::time::Instant;

use crate::api::fit;
use crate::error::LoadError;
use crate::figures::{Figures, Latencies};
use crate::load::{Moment, Window, tell};
use crate::servers::{Address, Servers};
use crate::wire::{Connection, Message, random};

/// Messages into one or several streams; each has a publisher of its own.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) streams: usize,
    pub(crate) replicas: usize,
    /// Bytes of payload.
    pub(crate) size: usize,
    /// How many messages are unacknowledged at any time, of each publisher.
    pub(crate) in_flight: usize,
}

/// What one publisher saw.
pub(crate) struct Seen {
    stored: u64,
    refused: u64,
    /// Neither the one nor the other, in the end.
    unanswered: u64,
    /// With many in flight this is queueing time, not service time: the next message is sent when one is acknowledged.
    latencies: Latencies,
}

impl Publish {
    pub(crate) async fn run(
        &self,
        servers: &Servers,
        window: Window,
        at: &mut dyn FnMut(Moment),
    ) -> Result<Figures, LoadError> {
        fit(servers, self.replicas)?;
        let mut client = Connection::open(servers.first()).await?;
        let run = random();
        let mut streams = Vec::new();
        for number in 0..self.streams {
            let (stream, subject) =
                (format!("BENCH_{run:x}_{number}"), format!("bench.{run:x}.{number}"));
            client.create_stream(&stream, &subject, self.replicas).await?;
            let leader = client.stream_leader(&stream, servers).await?;
            streams.push((stream, subject, leader));
        }
        let from = Instant::now() + window.warm;
        let until = from + window.length;
        let publishers =
            streams.iter().map(|(_, subject, leader)| self.publish(subject, leader, from, until));
        let publishers = futures::future::try_join_all(publishers);
        let (seen, ()) = tokio::join!(publishers, tell(from, until, at));
        // On the first one nobody has answered the server's PINGs meanwhile: it may be closed.
        let mut client = Connection::open(servers.first()).await?;
        for (stream, ..) in &streams {
            client.delete_stream(stream).await?;
        }
        Ok(self.figures(&seen?, window))
    }

    pub(crate) fn figures(&self, seen: &[Seen], window: Window) -> Figures {
        let mut all = Latencies::new();
        seen.iter().for_each(|seen| all.merge(&seen.latencies));
        let mut figures = Figures::default();
        let stored: u64 = seen.iter().map(|seen| seen.stored).sum();
        let refused: u64 = seen.iter().map(|seen| seen.refused).sum();
        figures.add("messages", stored as f64);
        figures.add("messages/s", stored as f64 / window.length.as_secs_f64());
        figures.add("refused", refused as f64);
        let unanswered: u64 = seen.iter().map(|seen| seen.unanswered).sum();
        figures.add("unanswered", unanswered as f64);
        figures.add_latencies(&if self.in_flight == 1 { all.corrected() } else { all });
        figures
    }

    /// Publishes from now on until then, and counts from `from` on.
    pub(crate) async fn publish(
        &self,
        subject: &str,
        leader: &Address,
        from: Instant,
        until: Instant,
    ) -> Result<Seen, LoadError> {
        let mut connection = Connection::open(leader).await?;
        let inbox = format!("_INBOX.{:x}", random());
        connection.subscribe(&format!("{inbox}.*"), "1").await?;
        // Every slot's message is rendered once: the client must not be what is measured.
        let payload = "x".repeat(self.size);
        let message = |slot: usize| {
            format!("PUB {subject} {inbox}.{slot} {}\r\n{payload}\r\n", self.size).into_bytes()
        };
        let messages: Vec<Vec<u8>> = (0..self.in_flight).map(message).collect();
        let mut started = vec![Instant::now(); self.in_flight];
        let mut ready: Vec<usize> = (0..self.in_flight).collect();
        let mut seen = Seen { stored: 0, refused: 0, unanswered: 0, latencies: Latencies::new() };
        let mut batch = Vec::new();
        let mut acks = Vec::new();
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
            let answered = connection.messages(|message| acks.extend(Ack::read(&message))).await;
            now = Instant::now();
            match answered {
                // A leader that ends says nothing of what it had not proposed yet.
                Err(LoadError::Silent { .. }) if now >= until => {
                    seen.unanswered = (self.in_flight - ready.len()) as u64;
                    break;
                }
                answered => answered?,
            }
            for Ack { slot, is_stored } in acks.drain(..) {
                ready.push(slot);
                let counts = now >= from && now < until;
                if counts && is_stored {
                    seen.stored += 1;
                    seen.latencies.record(now - started[slot]);
                } else if counts {
                    seen.refused += 1;
                }
            }
        }
        Ok(seen)
    }
}

/// The acknowledgment of a slot's message, or its refusal.
struct Ack {
    slot: usize,
    is_stored: bool,
}

impl Ack {
    fn read(message: &Message<'_>) -> Option<Self> {
        let slot = message.subject.rsplit(|byte| *byte == b'.').next()?;
        let slot = str::from_utf8(slot).ok()?.parse().ok()?;
        let has = |text| memmem::find(message.payload, text).is_some();
        Some(Self { slot, is_stored: has(b"\"seq\":") && !has(b"\"error\"") })
    }
}
