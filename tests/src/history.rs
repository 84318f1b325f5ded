//! What publishers were told, and whether the stream keeps to it.
//!
//! An acknowledged message must be there, once, at the sequence its acknowledgment named. A message without an
//! acknowledgment may be there or not: nobody was promised anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_nats::Client;
use async_nats::jetstream::{self, consumer};
use futures::StreamExt;
use serde_json::Value;
use tokio::time::timeout;

use crate::cluster::request;
use crate::condition::eventually;

/// How long a stream may be silent while it is read.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most violations of one kind that a verdict spells out.
const SPELLED: usize = 10;

/// What publishers were told.
#[derive(Debug, Default, Clone)]
pub struct History {
    /// Payload of every message whose acknowledgment arrived, with the sequence it named.
    pub acknowledged: BTreeMap<String, u64>,
    /// Payload of every message that was sent and never acknowledged.
    pub unknown: BTreeSet<String>,
}

impl History {
    /// Adds another publisher's history.
    pub fn merge(&mut self, other: Self) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
    }

    /// Compares the history with what a stream holds.
    #[must_use]
    pub fn verify(&self, held: &BTreeMap<u64, String>) -> Verdict {
        let mut verdict = Verdict {
            acknowledged: self.acknowledged.len(),
            held: held.len(),
            ..Verdict::default()
        };
        for (payload, sequence) in &self.acknowledged {
            match held.get(sequence) {
                Some(there) if there == payload => {}
                Some(there) => {
                    verdict.lost.push(format!("{payload}: sequence {sequence} holds {there}"));
                }
                None => verdict.lost.push(format!("{payload}: sequence {sequence} is not there")),
            }
        }
        let mut places: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (sequence, payload) in held {
            places.entry(payload).or_default().push(*sequence);
        }
        for (payload, sequences) in places {
            if sequences.len() > 1 {
                verdict.repeated.push(format!("{payload}: sequences {sequences:?}"));
            }
            if !self.acknowledged.contains_key(payload) && !self.unknown.contains(payload) {
                verdict.invented.push(format!("{payload}: sequences {sequences:?}"));
            }
        }
        if let Some((last, _)) = held.last_key_value() {
            verdict.missing_sequences = (1..=*last).filter(|seq| !held.contains_key(seq)).collect();
        }
        verdict
    }
}

/// What a stream owes its publishers.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How many messages were acknowledged.
    pub acknowledged: usize,
    /// How many the stream holds.
    pub held: usize,
    /// Acknowledged messages that are not where their acknowledgments said.
    pub lost: Vec<String>,
    /// Messages that are there more than once.
    pub repeated: Vec<String>,
    /// Messages nobody sent.
    pub invented: Vec<String>,
    /// Sequences that hold nothing although later ones do.
    pub missing_sequences: Vec<u64>,
}

impl Verdict {
    /// # Errors
    /// An acknowledged message is lost, one is there twice, or one was invented.
    pub fn keeps_the_promise(&self) -> Result<()> {
        if self.lost.is_empty() && self.repeated.is_empty() && self.invented.is_empty() {
            return Ok(());
        }
        bail!("{self}")
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} acknowledged, {} held", self.acknowledged, self.held)?;
        let kinds = [
            ("acknowledged and lost", &self.lost),
            ("there more than once", &self.repeated),
            ("never sent", &self.invented),
        ];
        for (kind, messages) in kinds {
            write!(formatter, ", {} {kind}", messages.len())?;
            for message in messages.iter().take(SPELLED) {
                write!(formatter, "\n  {message}")?;
            }
        }
        write!(formatter, ", {} empty sequences", self.missing_sequences.len())
    }
}

/// Everything a stream holds: sequence and payload. Read with an ordered consumer, which notices a message that got
/// lost between server and client, and begins again behind the last one it has.
///
/// # Errors
/// The stream cannot be read to its end.
pub async fn read_stream(client: &Client, stream: &str) -> Result<BTreeMap<u64, String>> {
    let info = eventually(PATIENCE, "the stream's information", async || {
        Ok(Some(request(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await?))
    });
    let count = info.await?["state"]["messages"].as_u64().context("no message count")?;
    let context = jetstream::new(client.clone());
    let consumer = eventually(PATIENCE, "a consumer to read with", async || {
        let config = consumer::pull::OrderedConfig::default();
        Ok(Some(context.create_consumer_on_stream(config, stream).await?))
    });
    let mut messages = consumer.await?.messages().await?;
    let mut held = BTreeMap::new();
    while (held.len() as u64) < count {
        let next = timeout(PATIENCE, messages.next()).await;
        let Ok(Some(message)) = next else {
            bail!("{stream} says it holds {count} messages, but delivers {}", held.len());
        };
        let message = message.with_context(|| format!("reading {stream}"))?;
        let sequence = message.info().map_err(anyhow::Error::from_boxed)?.stream_sequence;
        held.insert(sequence, String::from_utf8_lossy(&message.payload).into_owned());
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let acknowledged = [("a", 1), ("b", 2), ("c", 3)].map(|(text, seq)| (text.to_owned(), seq));
        History { acknowledged: acknowledged.into(), unknown: ["u".to_owned()].into() }
    }

    fn held(messages: &[(u64, &str)]) -> BTreeMap<u64, String> {
        messages.iter().map(|(sequence, text)| (*sequence, (*text).to_owned())).collect()
    }

    #[test]
    fn what_was_promised_is_enough() {
        let verdict = history().verify(&held(&[(1, "a"), (2, "b"), (3, "c"), (5, "u")]));
        verdict.keeps_the_promise().unwrap();
        assert_eq!(verdict.missing_sequences, [4]);
        history().verify(&held(&[(1, "a"), (2, "b"), (3, "c")])).keeps_the_promise().unwrap();
    }

    #[test]
    fn every_way_to_break_the_promise_is_seen() {
        let lost = history().verify(&held(&[(1, "a"), (3, "c")]));
        assert_eq!(lost.lost, ["b: sequence 2 is not there"]);
        let moved = history().verify(&held(&[(1, "b"), (2, "a"), (3, "c")]));
        assert_eq!(moved.lost.len(), 2);
        let repeated = history().verify(&held(&[(1, "a"), (2, "b"), (3, "c"), (4, "b")]));
        assert_eq!(repeated.repeated.len(), 1);
        let invented = history().verify(&held(&[(1, "a"), (2, "b"), (3, "c"), (4, "x")]));
        assert_eq!(invented.invented.len(), 1);
        for verdict in [lost, moved, repeated, invented] {
            assert!(verdict.keeps_the_promise().is_err());
        }
    }
}
