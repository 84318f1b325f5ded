//! Planning deliveries: which message goes to which request.

use super::{
    AckSubject,
    command::{Deliver, Turn},
    effect::ConsumerEffect,
    leader::{Flight, Leader, Planned},
    machine::Consumer,
    runs::Runs,
};
use crate::{AckPolicy, MessageInfo, StorageKind, Stream, Timestamp};

/// The most deliveries in one proposal.
const MAX_PLANNED: usize = 4096;
/// The most deliveries, and the most proposals, on their way through the log. Enough to keep busy over a
/// commit's round trip; a bound on what is planned in vain when leadership is lost.
const MAX_IN_FLIGHT: usize = 4 * MAX_PLANNED;
const MAX_FLIGHTS: usize = 64;
/// How far the cursor may run over messages that do not match before that alone is worth an entry. A
/// new leader looks at no more than these again.
const MAX_UNRECORDED: u64 = 16_384;
/// What the headers of a message without payload are taken for, against a request's bytes: the index
/// does not know their length.
const HEADERS_ONLY: u64 = 64;

/// Why planning stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Nothing is left to deliver.
    End,
    /// Nobody asks.
    NoRequest,
    /// A limit is reached; an acknowledgement, a commit or time lifts it.
    Limit,
}

/// Keeps the pace of publication for what was in the stream when delivery began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Later messages come as they are stored.
    until: u64,
    /// The last message's time, and when it was delivered.
    last: Option<(Timestamp, Timestamp)>,
}

impl Pace {
    pub(super) fn new(stream: &Stream) -> Self {
        Self { until: stream.last_seq(), last: None }
    }

    /// When a message stored at `time` is to be delivered.
    fn due(&self, time: Timestamp) -> Timestamp {
        self.last.map_or(Timestamp(i64::MIN), |(before, sent)| sent.after(time.since(before)))
    }
}

impl Leader {
    /// Plans as many deliveries as may be, into `turn` and `flight`.
    pub(super) fn plan(
        &mut self,
        now: Timestamp,
        (stream, state): (&Stream, &Consumer),
        (turn, flight): (&mut Turn, &mut Flight),
        effects: &mut Vec<ConsumerEffect>,
    ) -> Stop {
        let mut new = Vec::new();
        let stop = loop {
            let in_flight: usize = self.in_flight + flight.sends.len();
            if self.waiting.is_empty() {
                break Stop::NoRequest;
            }
            if flight.sends.len() >= MAX_PLANNED
                || in_flight >= MAX_IN_FLIGHT
                || self.flights.len() >= MAX_FLIGHTS
            {
                break Stop::Limit;
            }
            if let Some(seq) = self.next_redelivery(stream, state) {
                match self.assign(now, (stream, state), seq, flight, effects) {
                    true => turn.redeliver.push(seq),
                    false => {
                        self.redeliveries.put_back(seq);
                        break Stop::NoRequest;
                    }
                }
                continue;
            }
            if self.at_max_ack_pending(state, new.len()) {
                break Stop::Limit;
            }
            let Some(seq) = self.upcoming.peek(stream) else { break Stop::End };
            if self.is_early(now, stream, seq) {
                break Stop::Limit;
            }
            if !self.assign(now, (stream, state), seq, flight, effects) {
                break Stop::NoRequest;
            }
            new.push(seq);
        };
        self.record_new(&new, turn, flight);
        stop
    }

    /// The next message to deliver again that may be, and is in the stream.
    fn next_redelivery(&mut self, stream: &Stream, state: &Consumer) -> Option<u64> {
        while let Some(seq) = self.redeliveries.next(state) {
            let deliveries = state.pending_message(seq).map_or(0, |pending| pending.deliveries);
            if state.is_spent(deliveries) {
                self.acks.give_up(seq);
            } else if stream.contains(seq) {
                return Some(seq);
            } else if seq <= stream.last_seq() {
                self.acks.remove(seq);
            } else {
                // This replica of the stream is behind; the message comes.
                self.redeliveries.put_back(seq);
                return None;
            }
        }
        None
    }

    fn at_max_ack_pending(&self, state: &Consumer, planned: usize) -> bool {
        let pending = state.num_ack_pending() + self.new_in_flight + planned;
        state.config().ack != AckPolicy::None
            && state.config().max_ack_pending.is_some_and(|max| pending as u64 >= max)
    }

    /// Whether `seq` must wait to keep the pace of publication.
    fn is_early(&mut self, now: Timestamp, stream: &Stream, seq: u64) -> bool {
        self.paced_until = None;
        let (Some(pace), Some(message)) = (&mut self.pace, stream.message(seq)) else {
            return false;
        };
        if seq > pace.until {
            self.pace = None;
            return false;
        }
        let due = pace.due(message.time);
        if due > now {
            self.paced_until = Some(due);
            return true;
        }
        pace.last = Some((message.time, now));
        false
    }

    /// Gives `seq` to a request; `false` if none takes it.
    fn assign(
        &mut self,
        now: Timestamp,
        (stream, state): (&Stream, &Consumer),
        seq: u64,
        flight: &mut Flight,
        effects: &mut Vec<ConsumerEffect>,
    ) -> bool {
        let Some(message) = stream.message(seq) else { return false };
        let repeated = state.pending_message(seq).map(|pending| pending.deliveries);
        let pending = match repeated {
            Some(_) => self.upcoming.count(stream),
            None => self.upcoming.count(stream).saturating_sub(1),
        };
        let subject = AckSubject {
            stream: &stream.config().name,
            consumer: &state.config().name,
            deliveries: repeated.unwrap_or(0).saturating_add(1),
            stream_seq: seq,
            consumer_seq: state.delivered().consumer_seq
                + (self.in_flight + flight.sends.len()) as u64
                + 1,
            time: message.time,
            pending,
        };
        let size = client_size(stream, state, &message) + subject.text_len() as u64;
        let Some(waiter) = self.waiting.take(size, now, effects) else { return false };
        if repeated.is_none() {
            self.upcoming.take(seq);
        }
        flight.sends.push(Planned { seq, waiter, size, pending });
        true
    }

    /// Writes the new deliveries into `turn`, or only how far the cursor got.
    fn record_new(&mut self, new: &[u64], turn: &mut Turn, flight: &mut Flight) {
        let (after, cursor) = (self.planned_cursor, self.upcoming.cursor());
        let far = cursor - after >= MAX_UNRECORDED;
        let riding = cursor > after && !turn.is_empty();
        if new.is_empty() && !far && !riding {
            return;
        }
        flight.new = new.len();
        self.planned_cursor = cursor;
        let sequences = Runs::new(after, new.iter().copied());
        turn.deliver = Some(Deliver { after, sequences, cursor });
    }
}

/// The bytes that a message counts for against a request's limit, but for its ack subject: what the
/// client will see of it.
fn client_size(stream: &Stream, state: &Consumer, message: &MessageInfo<'_>) -> u64 {
    if state.config().headers_only {
        return message.subject.len() as u64 + HEADERS_ONLY;
    }
    let framing = match stream.config().storage {
        StorageKind::File => 30,
        StorageKind::Memory => 16,
    };
    u64::from(message.size).saturating_sub(framing)
}
