//! Histories made by hand.

use crate::event::{Answer, Call, Delivery, Event, Micros};
use crate::history::History;

pub(crate) const STREAM: &str = "S";
pub(crate) const CONSUMER: &str = "S.C";

/// A history in the making. Times are begin and end.
#[derive(Default)]
pub(crate) struct Story {
    events: Vec<Event>,
    next: u64,
}

impl Story {
    fn begin(&mut self, at: Micros, call: Call) -> u64 {
        self.next += 1;
        self.events.push(Event::Invoke { op: self.next, at, call });
        self.next
    }

    fn answered(mut self, times: (Micros, Micros), call: Call, answer: Answer) -> Self {
        let op = self.begin(times.0, call);
        self.events.push(Event::Ok { op, at: times.1, answer });
        self
    }

    fn publish(name: &str, id: bool, expect: Option<u64>) -> Call {
        Call::Publish { stream: STREAM.into(), name: name.into(), id, expect }
    }

    pub(crate) fn stored(self, times: (Micros, Micros), name: &str, sequence: u64) -> Self {
        let answer = Answer::Stored { sequence, duplicate: false };
        self.answered(times, Self::publish(name, true, None), answer)
    }

    pub(crate) fn stored_again(self, times: (Micros, Micros), name: &str, sequence: u64) -> Self {
        let answer = Answer::Stored { sequence, duplicate: true };
        self.answered(times, Self::publish(name, true, None), answer)
    }

    /// A write that expects the sequence before its own.
    pub(crate) fn wrote(self, times: (Micros, Micros), name: &str, sequence: u64) -> Self {
        let answer = Answer::Stored { sequence, duplicate: false };
        self.answered(times, Self::publish(name, false, Some(sequence - 1)), answer)
    }

    pub(crate) fn refused(
        mut self,
        times: (Micros, Micros),
        name: &str,
        expect: u64,
        last: u64,
    ) -> Self {
        let op = self.begin(times.0, Self::publish(name, false, Some(expect)));
        let error = "wrong last sequence".to_owned();
        self.events.push(Event::Fail { op, at: times.1, error, last: Some(last) });
        self
    }

    pub(crate) fn unanswered(mut self, begun: Micros, name: &str, expect: Option<u64>) -> Self {
        self.begin(begun, Self::publish(name, expect.is_none(), expect));
        self
    }

    pub(crate) fn read(self, times: (Micros, Micros), sequence: u64, name: Option<&str>) -> Self {
        let answer = Answer::Last { sequence, name: name.map(str::to_owned) };
        self.answered(times, Call::Last { stream: STREAM.into() }, answer)
    }

    pub(crate) fn deleted(self, times: (Micros, Micros), sequence: u64) -> Self {
        let call = Call::Delete { stream: STREAM.into(), sequence };
        self.answered(times, call, Answer::Deleted)
    }

    pub(crate) fn acked(self, times: (Micros, Micros), sequence: u64) -> Self {
        let call = Call::Ack { consumer: CONSUMER.into(), sequence };
        self.answered(times, call, Answer::Confirmed)
    }

    pub(crate) fn acked_in_vain(mut self, begun: Micros, sequence: u64) -> Self {
        self.begin(begun, Call::Ack { consumer: CONSUMER.into(), sequence });
        self
    }

    pub(crate) fn floor(self, times: (Micros, Micros), sequence: u64) -> Self {
        let call = Call::Floor { consumer: CONSUMER.into() };
        self.answered(times, call, Answer::Floor { sequence })
    }

    /// A delivery: times of pull and arrival, the stream's sequence, the consumer's number.
    pub(crate) fn delivered(
        mut self,
        times: (Micros, Micros),
        sequence: u64,
        number: u64,
        name: &str,
    ) -> Self {
        self.events.push(Event::Delivery(Delivery {
            consumer: CONSUMER.into(),
            pulled: times.0,
            at: times.1,
            sequence,
            number,
            name: name.into(),
            intact: true,
        }));
        self
    }

    pub(crate) fn drained(mut self, complete: bool) -> Self {
        let (consumer, text) = (CONSUMER.into(), "some left".into());
        self.events.push(Event::Drained { consumer, complete, text });
        self
    }

    pub(crate) fn held(self, messages: &[(u64, &str)]) -> History {
        let last = messages.iter().map(|(sequence, _)| *sequence).max().unwrap_or(0);
        self.held_up_to(messages, last)
    }

    pub(crate) fn held_up_to(mut self, messages: &[(u64, &str)], last: u64) -> History {
        for (sequence, name) in messages {
            self.events.push(Event::Held {
                stream: STREAM.into(),
                sequence: *sequence,
                name: name.trim_end_matches('!').into(),
                intact: !name.ends_with('!'),
            });
        }
        let (stream, messages) = (STREAM.into(), messages.len() as u64);
        self.events.push(Event::Dumped { stream, last, messages });
        History::from_events(self.events).expect("a story makes sense")
    }

    pub(crate) fn unread(self) -> History {
        History::from_events(self.events).expect("a story makes sense")
    }
}
