//! A consumer's state at one applied index; the whole of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::machine::Consumer;
use super::pending::Pending;
use crate::{
    ConsumerConfig, DamagedCommand, Timestamp, codec, hash::RunningHash, sequence::UNREACHED,
};

/// The kind byte of a consumer's base.
const KIND_CONSUMER_BASE: u8 = 17;

#[derive(Serialize, Deserialize)]
struct Base {
    config: ConsumerConfig,
    created: Timestamp,
    applied_time: Timestamp,
    started: bool,
    cursor: u64,
    resume: Option<u64>,
    consumer_seq: u64,
    last_delivered: Option<Timestamp>,
    last_acked: Option<Timestamp>,
    pending: Vec<(u64, PendingRow)>,
    given_up: Vec<(u64, u64)>,
    hash: u64,
}

/// A [`Pending`], without field names: there may be many.
#[derive(Serialize, Deserialize)]
struct PendingRow(u64, Timestamp, u64, Option<Timestamp>);

impl Base {
    fn check(&self) -> Result<(), DamagedCommand> {
        let reach = [self.cursor, self.consumer_seq, self.resume.unwrap_or(0)];
        if self.cursor == 0 || reach.into_iter().any(|seq| seq > UNREACHED) {
            return Err(DamagedCommand::Contradiction("its sequences are out of reach"));
        }
        let has_moved = self.cursor != 1 || self.consumer_seq != 0 || self.resume.is_some();
        let has_delivered = !self.pending.is_empty() || !self.given_up.is_empty();
        if !self.started && (has_moved || has_delivered) {
            return Err(DamagedCommand::Contradiction("it delivered before it began"));
        }
        let mut previous = (0, 0);
        for (stream_seq, PendingRow(consumer_seq, ..)) in &self.pending {
            let next = (*stream_seq, *consumer_seq);
            if next.0 <= previous.0 || next.1 <= previous.1 {
                return Err(DamagedCommand::Contradiction("its pending messages are out of order"));
            }
            previous = next;
        }
        if previous.0 >= self.cursor || previous.1 > self.consumer_seq {
            return Err(DamagedCommand::Contradiction("a message is pending and not delivered"));
        }
        Ok(())
    }
}

impl Consumer {
    /// All of the state, to be kept with the applied index.
    #[must_use]
    pub fn base(&self) -> Bytes {
        let pending = self.pending.iter().map(|(seq, pending)| {
            let Pending { consumer_seq, delivered_at, deliveries, redeliver_at } = *pending;
            (seq, PendingRow(consumer_seq, delivered_at, deliveries, redeliver_at))
        });
        let base = Base {
            config: self.config.clone(),
            created: self.created,
            applied_time: self.applied_time,
            started: self.started,
            cursor: self.cursor,
            resume: self.resume,
            consumer_seq: self.consumer_seq,
            last_delivered: self.last_delivered,
            last_acked: self.last_acked,
            pending: pending.collect(),
            given_up: self.given_up().collect(),
            hash: self.hash.value(),
        };
        codec::encode(KIND_CONSUMER_BASE, &base)
    }

    /// The consumer that gave `base`. The host applies the log strictly after the base's index then.
    ///
    /// # Errors
    /// When the base does not decode or contradicts itself.
    pub fn restore(base: &[u8]) -> Result<Self, DamagedCommand> {
        let (kind, body) = codec::split(base)?;
        if kind != KIND_CONSUMER_BASE {
            return Err(DamagedCommand::UnknownKind(kind));
        }
        let base: Base = codec::decode_body(kind, body)?;
        base.check()?;
        let pending = base.pending.into_iter().map(|(seq, row)| {
            let PendingRow(consumer_seq, delivered_at, deliveries, redeliver_at) = row;
            (seq, Pending { consumer_seq, delivered_at, deliveries, redeliver_at })
        });
        Ok(Self {
            config: base.config,
            created: base.created,
            applied_time: base.applied_time,
            started: base.started,
            cursor: base.cursor,
            resume: base.resume,
            consumer_seq: base.consumer_seq,
            last_delivered: base.last_delivered,
            last_acked: base.last_acked,
            pending: pending.collect(),
            given_up: base.given_up.into_iter().collect(),
            hash: RunningHash::from_value(base.hash),
        })
    }
}
