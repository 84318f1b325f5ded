//! I3: whoever looked at a sequence, by whatever way, saw the same message there; and the stream ends where the last
//! one is.

use std::collections::BTreeMap;

use super::consumer::stream_of;
use super::{Finding, Invariant};
use crate::event::{Answer, Call, Micros};
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut seen = Seen::default();
    for op in &history.operations {
        let (Outcome::Ok(answer), Some(at)) = (&op.outcome, op.ended) else { continue };
        match (&op.call, answer) {
            (Call::Publish { stream, name, .. }, Answer::Stored { sequence, .. }) => {
                seen.look(stream, *sequence, name, at, "an acknowledgment");
            }
            (Call::Last { stream }, Answer::Last { sequence, name }) => {
                seen.reach(stream, *sequence, at);
                if let Some(name) = name {
                    seen.look(stream, *sequence, name, at, "a read");
                }
            }
            _ => {}
        }
    }
    for delivery in &history.deliveries {
        let stream = stream_of(&delivery.consumer);
        seen.look(stream, delivery.sequence, &delivery.name, delivery.at, "a delivery");
    }
    for (stream, dump) in &history.dumps {
        for (sequence, held) in &dump.held {
            seen.look(stream, *sequence, &held.name, 0, "the final reading");
        }
        if let Some((last, messages)) = dump.end {
            seen.end(stream, last, messages, dump.held.len() + dump.unreadable.len());
        }
    }
    seen.findings
}

#[derive(Default)]
struct Seen<'a> {
    messages: BTreeMap<(&'a str, u64), (&'a str, &'static str)>,
    /// The highest sequence anybody was told of, and when.
    highest: BTreeMap<&'a str, (u64, Micros)>,
    findings: Vec<Finding>,
}

impl<'a> Seen<'a> {
    fn look(
        &mut self,
        stream: &'a str,
        sequence: u64,
        name: &'a str,
        at: Micros,
        way: &'static str,
    ) {
        let first = *self.messages.entry((stream, sequence)).or_insert((name, way));
        if first.0 != name {
            let what =
                format!("{stream} {sequence} is {} in {}, and {name} in {way}", first.0, first.1);
            self.findings.push(Finding::new(Invariant::Sequences, at, what));
        }
        self.reach(stream, sequence, at);
    }

    fn reach(&mut self, stream: &'a str, sequence: u64, at: Micros) {
        let highest = self.highest.entry(stream).or_default();
        if sequence > highest.0 {
            *highest = (sequence, at);
        }
    }

    fn end(&mut self, stream: &str, last: u64, messages: u64, read: usize) {
        let (highest, at) = self.highest.get(stream).copied().unwrap_or_default();
        if highest > last {
            let what = format!("{stream} reached {highest}, and ends at {last}");
            self.findings.push(Finding::new(Invariant::Sequences, at, what));
        }
        if read as u64 != messages {
            let what = format!("{stream} says it holds {messages} messages, and gives {read}");
            self.findings.push(Finding::new(Invariant::Sequences, 0, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Story;
    use super::*;

    fn findings(history: &History) -> usize {
        let findings = check(history);
        assert!(findings.iter().all(|finding| finding.invariant == Invariant::Sequences));
        findings.len()
    }

    #[test]
    fn one_message_at_one_sequence_is_right() {
        let story = Story::default().stored((1, 2), "a", 1).stored((1, 3), "b", 2);
        let story = story.stored_again((4, 5), "a", 1).read((6, 7), 2, Some("b"));
        assert_eq!(findings(&story.held(&[(1, "a"), (2, "b")])), 0);
    }

    #[test]
    fn two_messages_at_one_sequence_are_seen_whoever_saw_them() {
        let acknowledged = Story::default().stored((1, 2), "a", 1).stored((1, 3), "b", 1);
        assert_eq!(findings(&acknowledged.held(&[(1, "a")])), 1);
        let read = Story::default().stored((1, 2), "a", 1).read((3, 4), 1, Some("x"));
        assert_eq!(findings(&read.held(&[(1, "a")])), 1);
        let dumped = Story::default().stored((1, 2), "a", 1);
        assert_eq!(findings(&dumped.held(&[(1, "x")])), 1);
    }

    #[test]
    fn a_delivery_counts_for_the_stream_its_consumer_names() {
        assert_eq!(stream_of("LOG.reader"), "LOG");
    }

    #[test]
    fn an_end_before_what_was_reached_is_seen() {
        let back = Story::default().stored((1, 2), "a", 1).read((3, 4), 2, None);
        assert_eq!(findings(&back.held(&[(1, "a")])), 1);
        let deleted = Story::default().stored((1, 2), "a", 1).deleted((3, 4), 1);
        assert_eq!(findings(&deleted.held_up_to(&[], 1)), 0, "the last one may be deleted");
    }
}
