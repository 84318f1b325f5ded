//! I8: one id, one message. A run is shorter than the window in which the stream knows ids.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Invariant};
use crate::event::{Answer, Call, Micros};
use crate::history::{History, Outcome};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    // All sequences that one name was seen at: named by acknowledgments, or there in the end. Messages without an
    // id were sent once, so for them the same holds.
    let mut places: BTreeMap<(&str, &str), (BTreeSet<u64>, Micros)> = BTreeMap::new();
    for op in &history.operations {
        let (
            Call::Publish { stream, name, .. },
            Outcome::Ok(Answer::Stored { sequence, duplicate }),
        ) = (&op.call, &op.outcome)
        else {
            continue;
        };
        let at = op.ended.unwrap_or_default();
        let place = places.entry((stream, name)).or_default();
        place.0.insert(*sequence);
        place.1 = place.1.max(at);
        let dump = history.dumps.get(stream.as_str());
        let is_deleted = is_deleted(history, stream, *sequence);
        let holds_it = |dump: &crate::history::Dump| {
            dump.held.get(sequence).is_some_and(|held| held.name == *name)
        };
        if *duplicate && !is_deleted && !dump.is_some_and(holds_it) {
            let what = format!("{name} was called a duplicate of {stream} {sequence}: not there");
            findings.push(Finding::new(Invariant::Duplicates, at, what));
        }
    }
    for (stream, dump) in &history.dumps {
        for (sequence, held) in &dump.held {
            places.entry((stream, &held.name)).or_default().0.insert(*sequence);
        }
    }
    for ((stream, name), (sequences, at)) in places {
        if sequences.len() > 1 {
            let what = format!("{name} is in {stream} at {sequences:?}");
            findings.push(Finding::new(Invariant::Duplicates, at, what));
        }
    }
    findings
}

fn is_deleted(history: &History, of: &str, at: u64) -> bool {
    let is_it = |call: &Call| matches!(call, Call::Delete { stream, sequence } if stream == of && *sequence == at);
    history.operations.iter().any(|op| is_it(&op.call))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Story;
    use super::*;

    fn findings(history: &History) -> usize {
        let findings = check(history);
        assert!(findings.iter().all(|finding| finding.invariant == Invariant::Duplicates));
        findings.len()
    }

    #[test]
    fn the_same_sequence_again_is_right() {
        let story = Story::default().unanswered(1, "a", None).stored_again((2, 3), "a", 1);
        assert_eq!(findings(&story.held(&[(1, "a")])), 0);
    }

    #[test]
    fn two_copies_are_seen_acknowledged_or_not() {
        let acknowledged = Story::default().stored((1, 2), "a", 1).stored((3, 4), "a", 2);
        assert_eq!(findings(&acknowledged.held(&[(1, "a"), (2, "a")])), 1);
        let silent = Story::default().unanswered(1, "a", None).stored((3, 4), "a", 2);
        assert_eq!(findings(&silent.held(&[(1, "a"), (2, "a")])), 1);
        let without_id = Story::default().wrote((1, 2), "a", 1);
        assert_eq!(findings(&without_id.held(&[(1, "a"), (2, "a")])), 1);
    }

    #[test]
    fn a_duplicate_of_nothing_is_seen() {
        let story = Story::default().stored_again((1, 2), "a", 1);
        assert_eq!(findings(&story.held_up_to(&[], 1)), 1);
        let story = Story::default().stored_again((1, 2), "a", 1).deleted((3, 4), 1);
        assert_eq!(findings(&story.held_up_to(&[], 1)), 0, "it was deleted since");
    }
}
