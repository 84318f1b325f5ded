//! The part of a consumer that only its leader has: requests, timers, plans.
//!
//! The leader plans deliveries ahead of what is committed, so that a commit's round trip does not
//! stall it; but nothing is sent, and no acknowledgement is answered, before its entry is applied. All
//! of this may be lost: a new leader begins from the replicated state, and what an old one had in flight
//! is delivered again when its wait is over.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Ack, AckKind, PullRequest,
    acks::Acks,
    command::{Ticket, Turn},
    effect::{Closing, ConsumerEffect, ConsumerInput, Status},
    machine::Consumer,
    plan::{Pace, Stop},
    redelivery::Redeliveries,
    upcoming::{Upcoming, resolve_start},
    waiting::{WaiterId, Waiting},
};
use crate::{SequenceRange, Stream, Timestamp, duration::go_duration};

/// A planned delivery that is not committed.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) seq: u64,
    pub(super) waiter: WaiterId,
    /// What it took from the request's bytes.
    pub(super) size: u64,
    /// How many messages were to come after it.
    pub(super) pending: u64,
}

/// A proposal on its way through the log.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub(super) number: u64,
    pub(super) sends: Vec<Planned>,
    /// How many of `sends` are first deliveries.
    pub(super) new: usize,
    /// Whether it says where the consumer begins.
    pub(super) start: bool,
    pub(super) acks: Acks,
}

/// Whether deliveries are planned. After a proposal was lost, entries that were given up for lost may
/// still commit, and what is planned meanwhile would be stale in turn; so nothing is, until an entry
/// proposed after the loss has committed: what has not committed by then never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Planning {
    Open,
    /// That entry is to be proposed.
    Closed,
    /// That entry has this number.
    Until(u64),
}

/// The leader of one consumer, for one term. It is made once the consumer's leader has applied an entry
/// of its term, and dropped, after [`Leader::close`], when leadership ends.
#[derive(Debug)]
pub struct Leader {
    pub(super) ticket: Ticket,
    pub(super) waiting: Waiting,
    pub(super) redeliveries: Redeliveries,
    pub(super) upcoming: Upcoming,
    pub(super) acks: Acks,
    /// In the order they were proposed.
    pub(super) flights: VecDeque<Flight>,
    /// The sums over `flights`.
    pub(super) in_flight: usize,
    pub(super) new_in_flight: usize,
    /// The cursor once all of `flights` is applied.
    pub(super) planned_cursor: u64,
    pub(super) planning: Planning,
    pub(super) pace: Option<Pace>,
    /// When the next message may be delivered, if it must wait to keep the pace.
    pub(super) paced_until: Option<Timestamp>,
    /// When a client last asked for something, or waited for it.
    pub(super) last_activity: Timestamp,
}

impl Leader {
    /// The leader of `term`, from the replicated state and the local replica of the stream. That may be
    /// behind the stream's leader; but where the consumer begins is resolved from it, so before the
    /// first [`ConsumerInput::Tick`] of a consumer that is not
    /// [started](Consumer::is_started) it must have applied what was committed when the consumer was
    /// made.
    #[must_use]
    pub fn new(term: u64, now: Timestamp, stream: &Stream, state: &Consumer) -> Self {
        let mut leader = Self {
            ticket: Ticket { term, number: 0 },
            waiting: Waiting::default(),
            redeliveries: Redeliveries::new(state),
            upcoming: Upcoming::new(state, stream),
            acks: Acks::default(),
            flights: VecDeque::new(),
            in_flight: 0,
            new_in_flight: 0,
            planned_cursor: state.cursor(),
            planning: Planning::Open,
            pace: state.config().replay_original.then(|| Pace::new(stream)),
            paced_until: None,
            last_activity: now,
        };
        leader.drop_removed(stream, state);
        leader
    }

    /// Takes in `input` at `now`, and adds to `effects` what to do. After the other inputs of a turn
    /// comes one [`ConsumerInput::Tick`], which makes at most one proposal of all of them.
    pub fn step(
        &mut self,
        now: Timestamp,
        input: ConsumerInput<'_>,
        stream: &Stream,
        state: &Consumer,
        effects: &mut Vec<ConsumerEffect>,
    ) {
        match input {
            ConsumerInput::Pull(request) => self.pull(now, request, stream, state, effects),
            ConsumerInput::Ack(ack) => self.ack(now, ack, stream, state, effects),
            ConsumerInput::Gone(reply) => self.waiting.gone(reply),
            ConsumerInput::Shrank(ranges) => self.shrank(ranges, state),
            ConsumerInput::Committed(applied) => {
                self.committed(now, applied, (stream, state), effects);
            }
            ConsumerInput::Lost => self.give_up_flights(state, effects),
            ConsumerInput::Tick => self.tick(now, (stream, state), effects),
        }
    }

    /// When a [`ConsumerInput::Tick`] has something to do, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self, state: &Consumer) -> Option<Timestamp> {
        let idle = state.config().inactive_threshold.filter(|_| self.waiting.is_empty());
        [
            // What came up since the last proposal.
            (!self.acks.is_empty() || self.planning == Planning::Closed)
                .then(|| state.applied_time()),
            self.waiting.next_deadline(),
            self.redeliveries.next_deadline(),
            self.paced_until.filter(|_| !self.waiting.is_empty()),
            idle.map(|threshold| self.last_activity.after(threshold)),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// How many messages of the stream are to come, as `CONSUMER.INFO` reports it.
    pub fn num_pending(&mut self, stream: &Stream) -> u64 {
        self.upcoming.count(stream)
    }

    /// How many pull requests wait.
    #[must_use]
    pub fn num_waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Ends this leader: every request hears why. What is in flight is never sent from here.
    pub fn close(mut self, reason: Closing, effects: &mut Vec<ConsumerEffect>) {
        self.waiting.close(
            |reply, left, bytes| match reason {
                Closing::LeadershipChange => Status::new(reply, 409, "Leadership Change"),
                Closing::Deleted => Status::new(reply, 409, "Consumer Deleted"),
                Closing::ServerShutdown => {
                    Status::new(reply, 409, "Server Shutdown").with_pending(left, bytes)
                }
            },
            effects,
        );
    }

    fn pull(
        &mut self,
        now: Timestamp,
        request: PullRequest,
        stream: &Stream,
        state: &Consumer,
        effects: &mut Vec<ConsumerEffect>,
    ) {
        self.last_activity = now;
        if let Some(status) = refusal(&request, state) {
            effects.push(ConsumerEffect::Status(status));
            return;
        }
        if self.waiting.is_full(state.config().max_waiting) {
            self.waiting.expire(now, false, effects);
        }
        if request.no_wait && state.is_started() {
            let ready = self.upcoming.count(stream) + self.redeliveries.len() as u64;
            let status = if ready == 0 && request.expires.is_none() {
                Some((404, "No Messages"))
            } else if ready > 0 && ready < self.waiting.asked() {
                Some((408, "Requests Pending"))
            } else {
                None
            };
            if let Some((code, text)) = status {
                effects.push(ConsumerEffect::Status(Status::new(request.reply, code, text)));
                return;
            }
        }
        if !self.waiting.is_full(state.config().max_waiting) {
            self.waiting.add(request, now);
        } else if request.idle_heartbeat.is_none() {
            // With heartbeats the client notices by their absence, and does not ask again at once.
            let status = Status::new(request.reply, 409, "Exceeded MaxWaiting");
            effects.push(ConsumerEffect::Status(status));
        }
    }

    fn ack(
        &mut self,
        now: Timestamp,
        mut ack: Ack,
        stream: &Stream,
        state: &Consumer,
        effects: &mut Vec<ConsumerEffect>,
    ) {
        self.last_activity = now;
        // The reply of `+NXT` is where the next messages go; nothing else is answered there.
        let next = match &ack.kind {
            AckKind::Next(request) => {
                ack.reply = None;
                Some(request.clone())
            }
            _ => None,
        };
        let answered = self.acks.take_in(ack, state);
        effects.extend(answered.map(ConsumerEffect::AnswerAck));
        if let Some(request) = next {
            self.pull(now, request, stream, state, effects);
        }
    }

    /// Messages that the stream removed need no acknowledgement any more.
    fn shrank(&mut self, ranges: &[SequenceRange], state: &Consumer) {
        self.upcoming.shrank(ranges);
        for range in ranges {
            let removed = range.first..=range.last;
            state.pending.range(removed.clone()).for_each(|(seq, _)| self.acks.remove(seq));
            state.given_up.range(removed).for_each(|(seq, _)| self.acks.remove(*seq));
        }
    }

    /// The same for those that the stream removed when nobody watched.
    fn drop_removed(&mut self, stream: &Stream, state: &Consumer) {
        let given_up = state.given_up().map(|(seq, _)| seq);
        let unsettled = state.pending().map(|(seq, _)| seq).chain(given_up);
        for seq in unsettled.filter(|seq| is_removed(stream, *seq)) {
            self.acks.remove(seq);
        }
    }

    fn tick(
        &mut self,
        now: Timestamp,
        (stream, state): (&Stream, &Consumer),
        effects: &mut Vec<ConsumerEffect>,
    ) {
        if !self.waiting.is_empty() {
            self.last_activity = now;
        }
        self.waiting.expire(now, false, effects);
        let number = self.ticket.number + 1;
        let mut turn = Turn::new(now, Ticket { number, ..self.ticket });
        let mut flight = Flight { number, ..Flight::default() };
        if !state.is_started() {
            if self.flights.is_empty() {
                turn.start = Some(resolve_start(state, stream));
                flight.start = true;
                self.propose(&turn, flight, effects);
            }
            return;
        }
        for seq in self.redeliveries.expire(now, state) {
            self.acks.give_up(seq);
        }
        flight.acks = self.acks.record(&mut turn);
        let stop = match self.planning {
            Planning::Open => self.plan(now, (stream, state), (&mut turn, &mut flight), effects),
            Planning::Closed | Planning::Until(_) => Stop::Limit,
        };
        self.waiting.expire(now, stop == Stop::End, effects);
        let last = state.delivered();
        self.waiting.heartbeat(now, (last.consumer_seq, last.stream_seq), effects);
        let reopening = self.planning == Planning::Closed;
        if reopening {
            self.planning = Planning::Until(number);
        }
        if reopening || !turn.is_empty() {
            self.propose(&turn, flight, effects);
        }
        self.check_inactive(now, state, effects);
    }

    fn propose(&mut self, turn: &Turn, flight: Flight, effects: &mut Vec<ConsumerEffect>) {
        self.ticket = turn.ticket;
        self.in_flight += flight.sends.len();
        self.new_in_flight += flight.new;
        self.flights.push_back(flight);
        effects.push(ConsumerEffect::Propose(turn.encode()));
    }

    fn check_inactive(
        &mut self,
        now: Timestamp,
        state: &Consumer,
        effects: &mut Vec<ConsumerEffect>,
    ) {
        let threshold = state.config().inactive_threshold.filter(|_| self.waiting.is_empty());
        if threshold.is_some_and(|threshold| self.last_activity.after(threshold) <= now) {
            self.last_activity = now;
            effects.push(ConsumerEffect::Inactive);
        }
    }
}

/// Whether the stream removed `seq`, and not: the local replica has not got it yet.
fn is_removed(stream: &Stream, seq: u64) -> bool {
    seq <= stream.last_seq() && !stream.contains(seq)
}

/// What the consumer's limits say against `request`.
fn refusal(request: &PullRequest, state: &Consumer) -> Option<Status> {
    let config = state.config();
    let text = if let Some(max) = config.max_request_batch
        && request.batch > u64::from(max)
    {
        format!("Exceeded MaxRequestBatch of {max}")
    } else if let Some(max) = config.max_request_expires
        && request.expires.is_some_and(|expires| expires > max)
    {
        format!("Exceeded MaxRequestExpires of {}", go_duration(max))
    } else if let Some(max) = config.max_request_max_bytes
        && request.max_bytes.is_some_and(|bytes| bytes > max)
    {
        format!("Exceeded MaxRequestMaxBytes of {max}")
    } else {
        return None;
    };
    Some(Status::new(Arc::clone(&request.reply), 409, text))
}
