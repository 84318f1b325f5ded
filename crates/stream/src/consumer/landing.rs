//! What happens at a consumer's leader when its proposals commit, or do not.

use super::{
    ConsumerApplied, Delivery, Settlement,
    command::Ticket,
    effect::{ConsumerAdvisory, ConsumerEffect, PlannedSend},
    leader::{Flight, Leader, Planned, Planning},
    machine::Consumer,
    redelivery::Redeliveries,
    upcoming::Upcoming,
};
use crate::{Stream, Timestamp};

impl Leader {
    /// Sends and answers what `applied` recorded.
    pub(super) fn committed(
        &mut self,
        now: Timestamp,
        applied: &ConsumerApplied,
        (stream, state): (&Stream, &Consumer),
        effects: &mut Vec<ConsumerEffect>,
    ) {
        if applied.updated {
            self.upcoming.refilter(state);
            self.redeliveries.rearm(state);
        }
        let Some(ticket) = applied.ticket else { return };
        match self.land(ticket, effects) {
            Some(flight) => {
                let begins = flight.start;
                self.send(now, flight, applied, (stream, state), effects);
                if applied.stale && self.planning == Planning::Open {
                    self.give_up_flights(state, effects);
                } else if begins {
                    self.open(stream, state);
                }
            }
            None => {
                // Given up for lost, or a former leader's: recorded, and never sent.
                if self.planning == Planning::Open {
                    self.give_up_flights(state, effects);
                }
                for delivery in &applied.delivered {
                    self.redeliveries.queue(delivery.stream_seq);
                }
            }
        }
        if let Planning::Until(number) = self.planning
            && ticket >= (Ticket { number, ..self.ticket })
        {
            self.open(stream, state);
        }
        self.report(now, applied, state, effects);
    }

    /// Takes the flight of `ticket`, and takes back those before it: they will not land.
    fn land(&mut self, ticket: Ticket, effects: &mut Vec<ConsumerEffect>) -> Option<Flight> {
        if ticket.term != self.ticket.term {
            return None;
        }
        while self.flights.front().is_some_and(|flight| flight.number <= ticket.number) {
            let flight = self.flights.pop_front()?;
            self.in_flight -= flight.sends.len();
            self.new_in_flight -= flight.new;
            if flight.number == ticket.number {
                return Some(flight);
            }
            self.take_back(flight, effects);
        }
        None
    }

    /// Sends what `applied` recorded of the flight's deliveries, and answers its acknowledgements.
    fn send(
        &mut self,
        now: Timestamp,
        flight: Flight,
        applied: &ConsumerApplied,
        (stream, state): (&Stream, &Consumer),
        effects: &mut Vec<ConsumerEffect>,
    ) {
        let mut recorded = applied.delivered.iter().peekable();
        for planned in flight.sends {
            let delivery = recorded.next_if(|delivery| delivery.stream_seq == planned.seq);
            let sent = delivery.is_some_and(|delivery| {
                self.send_one(now, &planned, *delivery, (stream, state), effects)
            });
            if !sent {
                self.redeliveries.arm(planned.seq, state);
                self.waiting.give_back(planned.waiter, planned.size, effects);
            }
        }
        for (seq, refusal) in flight.acks.refused.iter().filter(|(seq, _)| applied.has_naked(**seq))
        {
            effects.push(ConsumerEffect::Advisory(ConsumerAdvisory::Naked {
                stream_seq: *seq,
                consumer_seq: refusal.consumer_seq,
                deliveries: refusal.deliveries,
            }));
        }
        for settled in &applied.settled {
            if settled.settlement == Settlement::Terminated {
                let reason = flight.acks.terminated.get(&settled.stream_seq).cloned();
                effects.push(ConsumerEffect::Advisory(ConsumerAdvisory::Terminated {
                    stream_seq: settled.stream_seq,
                    consumer_seq: settled.consumer_seq,
                    deliveries: settled.deliveries,
                    reason: reason.unwrap_or_default(),
                }));
            }
        }
        effects.extend(flight.acks.answers.into_iter().map(ConsumerEffect::AnswerAck));
    }

    /// Sends one recorded delivery; `false` if its request gets nothing.
    fn send_one(
        &mut self,
        now: Timestamp,
        planned: &Planned,
        delivery: Delivery,
        (stream, state): (&Stream, &Consumer),
        effects: &mut Vec<ConsumerEffect>,
    ) -> bool {
        let Some(message) = stream.message(planned.seq) else {
            // Removed since it was planned.
            self.acks.remove(planned.seq);
            return false;
        };
        self.redeliveries.arm(planned.seq, state);
        match self.waiting.committed(planned.waiter) {
            Some(reply) => {
                self.last_activity = now;
                effects.push(ConsumerEffect::Send(PlannedSend {
                    reply,
                    delivery,
                    time: message.time,
                    pending: planned.pending,
                    headers_only: state.config().headers_only,
                }));
            }
            // Nobody listens: the next request gets it, at once.
            None => self.redeliveries.queue(planned.seq),
        }
        self.waiting.finish(planned.waiter, effects);
        true
    }

    /// Advisories about what is settled, and new deadlines.
    fn report(
        &mut self,
        now: Timestamp,
        applied: &ConsumerApplied,
        state: &Consumer,
        effects: &mut Vec<ConsumerEffect>,
    ) {
        applied.naked.iter().for_each(|seq| self.redeliveries.hasten(*seq, state));
        for settled in &applied.settled {
            let (stream_seq, consumer_seq) = (settled.stream_seq, settled.consumer_seq);
            let deliveries = settled.deliveries;
            let advisory = match settled.settlement {
                Settlement::GivenUp => {
                    self.redeliveries.arm(stream_seq, state);
                    ConsumerAdvisory::MaxDeliveries { stream_seq, deliveries }
                }
                Settlement::Removed if consumer_seq > 0 => {
                    self.redeliveries.arm(stream_seq, state);
                    let reason = "Unacknowledged message was deleted".to_owned();
                    ConsumerAdvisory::Terminated { stream_seq, consumer_seq, deliveries, reason }
                }
                Settlement::Acknowledged if state.config().sample_percent.is_some() => {
                    let delay = now.since(settled.delivered_at);
                    ConsumerAdvisory::Acknowledged { stream_seq, consumer_seq, deliveries, delay }
                }
                _ => continue,
            };
            effects.push(ConsumerEffect::Advisory(advisory));
        }
    }

    /// Takes back what is in flight. It may commit all the same.
    pub(super) fn give_up_flights(&mut self, state: &Consumer, effects: &mut Vec<ConsumerEffect>) {
        for flight in std::mem::take(&mut self.flights) {
            self.take_back(flight, effects);
        }
        (self.in_flight, self.new_in_flight) = (0, 0);
        self.redeliveries = Redeliveries::new(state);
        self.planning = Planning::Closed;
    }

    /// Plans from the replicated state from here on; no delivery is in flight.
    fn open(&mut self, stream: &Stream, state: &Consumer) {
        self.upcoming = Upcoming::new(state, stream);
        self.planned_cursor = state.cursor();
        self.planning = Planning::Open;
    }

    fn take_back(&mut self, flight: Flight, effects: &mut Vec<ConsumerEffect>) {
        for planned in flight.sends {
            self.waiting.give_back(planned.waiter, planned.size, effects);
        }
        self.acks.take_back(flight.acks);
    }
}
