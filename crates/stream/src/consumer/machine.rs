//! Applying the entries of a consumer's log.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    applied::{ConsumerApplied, Delivery, Settled, Settlement},
    command::{Deliver, Entry, Turn},
    pending::{Pending, PendingMessages},
};
use crate::{
    AckPolicy, ConsumerConfig, DamagedCommand, SequenceRange, Timestamp, codec,
    hash::{Fold, RunningHash},
    sequence::push_sequence,
};

/// A place in both sequences, and when it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The consumer's sequence.
    pub consumer_seq: u64,
    /// The stream's sequence.
    pub stream_seq: u64,
    /// When it last moved; `None` before it ever did.
    pub last_active: Option<Timestamp>,
}

/// One consumer. Its state is a function of its configuration, its creation time and the entries
/// applied, in their order, and of nothing else; it never looks at a stream.
///
/// Messages are first delivered in the order of the stream, so pending messages have the same order by
/// stream sequence and by the sequence of their first delivery. The ack floor follows from that.
#[derive(Debug)]
pub struct Consumer {
    pub(super) config: ConsumerConfig,
    pub(super) created: Timestamp,
    pub(super) applied_time: Timestamp,
    /// Whether a leader has resolved the deliver policy.
    pub(super) started: bool,
    /// The next stream sequence to consider; never falls.
    pub(super) cursor: u64,
    /// Up to here only the last message of each subject counts.
    pub(super) resume: Option<u64>,
    /// The sequence of the last delivery.
    pub(super) consumer_seq: u64,
    pub(super) last_delivered: Option<Timestamp>,
    pub(super) last_acked: Option<Timestamp>,
    pub(super) pending: PendingMessages,
    /// Messages delivered as often as they may be, and how often that was.
    pub(super) given_up: BTreeMap<u64, u64>,
    pub(super) hash: RunningHash,
}

impl Consumer {
    /// A consumer that has not started, created at `created`.
    #[must_use]
    pub fn new(config: ConsumerConfig, created: Timestamp) -> Self {
        Self {
            config,
            created,
            applied_time: created,
            started: false,
            cursor: 1,
            resume: None,
            consumer_seq: 0,
            last_delivered: None,
            last_acked: None,
            pending: PendingMessages::default(),
            given_up: BTreeMap::new(),
            hash: RunningHash::default(),
        }
    }

    /// Applies one committed entry, and fills `out` (emptied first) with what it did.
    ///
    /// # Errors
    /// When the entry does not decode. Nothing is applied then, and nothing after it may be.
    pub fn apply(
        &mut self,
        command: &Bytes,
        out: &mut ConsumerApplied,
    ) -> Result<(), DamagedCommand> {
        out.clear();
        match Entry::decode(command)? {
            Entry::Turn(turn) => {
                self.advance(turn.time);
                out.ticket = Some(turn.ticket);
                self.apply_turn(&turn, out);
            }
            Entry::Update(update) => {
                self.advance(update.time);
                self.hash.fold_bytes(Fold::Config, &codec::encode(0, &update.config));
                self.config = update.config;
                out.updated = true;
            }
        }
        Ok(())
    }

    fn advance(&mut self, stamped: Timestamp) {
        self.applied_time = self.applied_time.max(stamped);
        self.hash.fold_time(self.applied_time);
    }

    fn apply_turn(&mut self, turn: &Turn, out: &mut ConsumerApplied) {
        if let Some(start) = turn.start.filter(|_| !self.started) {
            self.started = true;
            self.cursor = start.cursor.max(1);
            self.resume = start.resume;
            out.done.extend(SequenceRange::new(1, self.cursor - 1));
            self.hash.fold(Fold::Cursor, [self.cursor, start.resume.unwrap_or(0), 0]);
        }
        self.acknowledge(turn, out);
        for seq in turn.removed.iter(0) {
            self.settle(seq, Settlement::Removed, out);
        }
        let now = self.applied_time;
        for seq in turn.progress.iter(0) {
            self.postpone(seq, |pending| {
                pending.delivered_at = now;
                pending.redeliver_at = None;
            });
        }
        for (seq, delay) in &turn.naks {
            let known = self.postpone(*seq, |pending| {
                pending.redeliver_at = Some(now.after(*delay));
            });
            out.naked.extend(known.then_some(*seq));
        }
        out.naked.sort_unstable();
        for seq in turn.give_up.iter(0) {
            self.settle(seq, Settlement::GivenUp, out);
        }
        for seq in &turn.redeliver {
            self.redeliver(*seq, out);
        }
        if let Some(deliver) = &turn.deliver {
            self.deliver(deliver, out);
        }
    }

    fn acknowledge(&mut self, turn: &Turn, out: &mut ConsumerApplied) {
        // The single ones first: with policy "all" a terminated message is also covered by what follows.
        for seq in turn.terms.iter(0) {
            self.settle(seq, Settlement::Terminated, out);
        }
        for seq in turn.acks.iter(0) {
            self.settle(seq, Settlement::Acknowledged, out);
        }
        if let Some(last) = turn.ack_up_to {
            let pending = self.pending.range(0..=last).map(|(seq, _)| seq);
            let given_up = self.given_up.range(..=last).map(|(seq, _)| *seq);
            let mut covered: Vec<u64> = pending.chain(given_up).collect();
            covered.sort_unstable();
            for seq in covered {
                self.settle(seq, Settlement::Acknowledged, out);
            }
        }
        if !out.settled.is_empty() {
            self.last_acked = Some(self.applied_time);
        }
    }

    /// Takes `seq` off the messages that wait for something; nothing when it is not one of them.
    fn settle(&mut self, seq: u64, settlement: Settlement, out: &mut ConsumerApplied) {
        let settled = match self.pending.remove(seq) {
            Some(pending) => Settled {
                stream_seq: seq,
                consumer_seq: pending.consumer_seq,
                deliveries: pending.deliveries,
                delivered_at: pending.delivered_at,
                settlement,
            },
            None if settlement == Settlement::GivenUp => return,
            None => {
                let Some(deliveries) = self.given_up.remove(&seq) else { return };
                let delivered_at = self.applied_time;
                Settled { stream_seq: seq, consumer_seq: 0, deliveries, delivered_at, settlement }
            }
        };
        if settlement == Settlement::GivenUp {
            self.given_up.insert(seq, settled.deliveries);
        } else {
            push_sequence(&mut out.done, seq);
        }
        self.hash.fold(Fold::Settled, [seq, settlement as u64, settled.deliveries]);
        out.settled.push(settled);
    }

    /// Changes when a pending message is delivered again; `false` when it is not pending.
    fn postpone(&mut self, seq: u64, change: impl FnOnce(&mut Pending)) -> bool {
        let Some(pending) = self.pending.get_mut(seq) else { return false };
        change(pending);
        let wanted = pending.redeliver_at.unwrap_or_default().0.cast_unsigned();
        let since = pending.delivered_at.0.cast_unsigned();
        self.hash.fold(Fold::Postponed, [seq, since, wanted]);
        true
    }

    fn redeliver(&mut self, seq: u64, out: &mut ConsumerApplied) {
        let max = self.config.max_deliver.unwrap_or(u64::MAX);
        let Some(pending) = self.pending.get_mut(seq).filter(|have| have.deliveries < max) else {
            return;
        };
        pending.deliveries = pending.deliveries.saturating_add(1);
        pending.delivered_at = self.applied_time;
        pending.redeliver_at = None;
        let deliveries = pending.deliveries;
        self.record(seq, deliveries, out);
    }

    fn deliver(&mut self, deliver: &Deliver, out: &mut ConsumerApplied) {
        if !self.started || deliver.after != self.cursor {
            out.stale = true;
            return;
        }
        let mut next = deliver.after;
        for seq in deliver.sequences.iter(deliver.after) {
            let delivery = self.record(seq, 1, out);
            if self.config.ack != AckPolicy::None {
                out.done.extend(SequenceRange::new(next, seq - 1));
                next = seq + 1;
                let pending = Pending {
                    consumer_seq: delivery.consumer_seq,
                    delivered_at: self.applied_time,
                    deliveries: 1,
                    redeliver_at: None,
                };
                self.pending.push(seq, pending);
            }
        }
        out.done.extend(SequenceRange::new(next, deliver.cursor - 1));
        self.cursor = deliver.cursor;
        self.resume = self.resume.filter(|resume| self.cursor <= *resume);
        self.hash.fold(Fold::Cursor, [self.cursor, self.resume.unwrap_or(0), 0]);
    }

    /// Gives a delivery its sequence.
    fn record(&mut self, stream_seq: u64, deliveries: u64, out: &mut ConsumerApplied) -> Delivery {
        self.consumer_seq += 1;
        self.last_delivered = Some(self.applied_time);
        let delivery = Delivery { stream_seq, consumer_seq: self.consumer_seq, deliveries };
        self.hash.fold(Fold::Delivery, [stream_seq, delivery.consumer_seq, deliveries]);
        out.delivered.push(delivery);
        delivery
    }
}
