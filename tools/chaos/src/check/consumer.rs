//! I6: what was confirmed as acknowledged does not come again, the floor never goes back and covers nothing that
//! nobody acknowledged, and whatever the stream holds has come.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Invariant};
use crate::event::{Answer, Call, Micros};
use crate::history::{History, Operation, Outcome};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut consumers: BTreeMap<&str, Told> = BTreeMap::new();
    for op in &history.operations {
        if let Call::Ack { consumer, .. } | Call::Floor { consumer } = &op.call {
            consumers.entry(consumer).or_default().take(op);
        }
    }
    for delivery in &history.deliveries {
        let told = consumers.entry(&delivery.consumer).or_default();
        told.delivered.insert(delivery.sequence);
    }
    let mut findings = Vec::new();
    for (consumer, told) in &consumers {
        findings.extend(again(history, consumer, told));
        findings.extend(floors(consumer, told, &deleted(history, consumer)));
        findings.extend(missing(history, consumer, told));
    }
    findings
}

/// What clients told one consumer, and were told by it.
#[derive(Default)]
struct Told {
    /// When an acknowledgment of a sequence was first sent.
    sent: BTreeMap<u64, Micros>,
    /// When one was first confirmed.
    confirmed: BTreeMap<u64, Micros>,
    /// Reads of the floor: begin, end, sequence.
    floors: Vec<(Micros, Micros, u64)>,
    delivered: BTreeSet<u64>,
}

impl Told {
    fn take(&mut self, op: &Operation) {
        match (&op.call, &op.outcome, op.ended) {
            (Call::Ack { sequence, .. }, outcome, ended) => {
                let sent = self.sent.entry(*sequence).or_insert(op.begun);
                *sent = op.begun.min(*sent);
                if let (Outcome::Ok(Answer::Confirmed), Some(ended)) = (outcome, ended) {
                    let confirmed = self.confirmed.entry(*sequence).or_insert(ended);
                    *confirmed = ended.min(*confirmed);
                }
            }
            (Call::Floor { .. }, Outcome::Ok(Answer::Floor { sequence }), Some(ended)) => {
                self.floors.push((op.begun, ended, *sequence));
            }
            _ => {}
        }
    }
}

/// A delivery answers a pull request; one that was sent after the confirmation must not bring the message. (What was
/// asked for before may have been on its way.)
fn again(history: &History, consumer: &str, told: &Told) -> Vec<Finding> {
    let mut findings = Vec::new();
    for delivery in history.deliveries.iter().filter(|delivery| delivery.consumer == consumer) {
        let confirmed = told.confirmed.get(&delivery.sequence);
        if let Some(confirmed) = confirmed.filter(|confirmed| **confirmed < delivery.pulled) {
            let what = format!(
                "{consumer}: {} was confirmed at {confirmed} us and came again",
                delivery.sequence
            );
            findings.push(Finding::new(Invariant::Consumer, delivery.at, what));
        }
    }
    findings
}

/// A consumer's name begins with its stream's: `<stream>.<consumer>`.
pub(super) fn stream_of(consumer: &str) -> &str {
    consumer.split('.').next().unwrap_or(consumer)
}

/// The floor passes what was deleted, acknowledged or not.
fn deleted(history: &History, consumer: &str) -> BTreeSet<u64> {
    let deletions = history.operations.iter().filter_map(|op| match &op.call {
        Call::Delete { stream, sequence } if stream == stream_of(consumer) => Some(*sequence),
        _ => None,
    });
    deletions.collect()
}

fn floors(consumer: &str, told: &Told, deleted: &BTreeSet<u64>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut by_end = told.floors.clone();
    by_end.sort_by_key(|(_, ended, _)| *ended);
    let mut by_begin = told.floors.clone();
    by_begin.sort_by_key(|(begun, ..)| *begun);
    let (mut ended, mut highest) = (by_end.into_iter().peekable(), 0);
    for (begun, at, floor) in by_begin {
        while let Some((.., before)) = ended.next_if(|(_, ended, _)| *ended < begun) {
            highest = highest.max(before);
        }
        if floor < highest {
            let what = format!("{consumer}: the floor went from {highest} back to {floor}");
            findings.push(Finding::new(Invariant::Consumer, at, what));
        }
        // What was given and never acknowledged must hold the floor.
        let unacknowledged = told.delivered.range(..=floor).find(|sequence| {
            !deleted.contains(sequence) && told.sent.get(sequence).is_none_or(|sent| *sent > at)
        });
        if let Some(sequence) = unacknowledged {
            let what =
                format!("{consumer}: the floor is {floor}, and nobody acknowledged {sequence}");
            findings.push(Finding::new(Invariant::Consumer, at, what));
        }
    }
    findings
}

fn missing(history: &History, consumer: &str, told: &Told) -> Vec<Finding> {
    let Some((complete, text)) = history.drained.get(consumer) else { return Vec::new() };
    if !complete {
        let what = format!("{consumer} does not hand out the rest: {text}");
        return vec![Finding::new(Invariant::Liveness, 0, what)];
    }
    let held = history.dumps.get(stream_of(consumer)).map(|dump| &dump.held);
    let never = held.into_iter().flatten().filter(|(seq, _)| !told.delivered.contains(seq));
    let never = never.map(|(sequence, _)| {
        let what = format!("{consumer}: {sequence} was never delivered");
        Finding::new(Invariant::Consumer, 0, what)
    });
    never.collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Story;
    use super::*;

    fn broken(history: &History) -> Vec<Invariant> {
        check(history).into_iter().map(|finding| finding.invariant).collect()
    }

    const HELD: &[(u64, &str)] = &[(1, "a"), (2, "b")];

    fn story() -> Story {
        Story::default()
            .delivered((1, 2), 1, 1, "a")
            .acked((3, 4), 1)
            .delivered((1, 2), 2, 2, "b")
            .acked_in_vain(5, 2)
    }

    #[test]
    fn what_was_not_confirmed_may_come_again() {
        let story = story().delivered((20, 21), 2, 3, "b").acked((22, 23), 2).drained(true);
        assert_eq!(broken(&story.held(HELD)), []);
    }

    #[test]
    fn what_was_confirmed_may_not_come_again() {
        let late = story().delivered((1, 9), 1, 3, "a");
        assert_eq!(broken(&late.held(HELD)), [], "it may have been on its way");
        let again = story().delivered((5, 9), 1, 3, "a");
        assert_eq!(broken(&again.held(HELD)), [Invariant::Consumer]);
    }

    #[test]
    fn the_floor_goes_forth_only() {
        let forth = story().floor((5, 6), 0).floor((7, 8), 1);
        assert_eq!(broken(&forth.held(HELD)), []);
        let together = story().floor((5, 8), 1).floor((5, 7), 0);
        assert_eq!(broken(&together.held(HELD)), []);
        let back = story().floor((5, 6), 1).floor((7, 8), 0);
        assert_eq!(broken(&back.held(HELD)), [Invariant::Consumer]);
    }

    #[test]
    fn the_floor_covers_nothing_that_nobody_acknowledged() {
        let sent = story().floor((6, 7), 2);
        assert_eq!(broken(&sent.held(HELD)), [], "an unconfirmed one may have arrived");
        let never = story().delivered((8, 9), 3, 3, "c").floor((10, 11), 3);
        assert_eq!(broken(&never.held(HELD)), [Invariant::Consumer]);
    }

    #[test]
    fn everything_held_must_have_come() {
        let story = || Story::default().delivered((1, 2), 1, 1, "a").acked((3, 4), 1);
        assert_eq!(broken(&story().drained(true).held(HELD)), [Invariant::Consumer]);
        assert_eq!(broken(&story().drained(false).held(HELD)), [Invariant::Liveness]);
    }
}
