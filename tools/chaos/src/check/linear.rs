//! I9: the last sequence of a stream is a register. A write makes it one more, a read tells it, a refused write tells
//! it, too. The sequences are a total order of all of them; what is left to check is that this order is one in which
//! clients could have seen it happen: what had ended before another began stands before it.
//!
//! An operation without an answer has a begin and no end. If the final reading holds what it wrote, it stands in the
//! order; if not, it never happened.

use std::collections::BTreeMap;

use super::{Finding, Invariant};
use crate::event::{Answer, Call, Micros};
use crate::history::{Dump, History, Operation, Outcome};

/// An operation that took place.
struct Step {
    begun: Micros,
    ended: Option<Micros>,
    /// A write of sequence s stands at 2s, a read of s at 2s + 1.
    position: u64,
    what: String,
}

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut streams: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for op in &history.operations {
        if let Call::Publish { stream, .. } | Call::Last { stream } = &op.call {
            streams.entry(stream).or_default().push(op);
        }
    }
    let empty = Dump::default();
    for (stream, operations) in streams {
        let dump = history.dumps.get(stream).unwrap_or(&empty);
        let (mut steps, mut wrong) = (Vec::new(), Vec::new());
        steps.extend(writes(&operations, dump));
        steps.extend(operations.iter().filter_map(|op| read(op)));
        for op in operations {
            wrong.extend(expectation(op, dump));
        }
        wrong.extend(real_time(steps));
        findings.extend(wrong.into_iter().map(|(at, what)| {
            Finding::new(Invariant::Linearizable, at, format!("{stream}: {what}"))
        }));
    }
    findings
}

/// What was written, once each: a message sent several times under one id was written by one of the attempts, so it
/// was written after the first began and before the first answer.
fn writes(operations: &[&Operation], dump: &Dump) -> Vec<Step> {
    let held: BTreeMap<&str, u64> =
        dump.held.iter().map(|(sequence, held)| (held.name.as_str(), *sequence)).collect();
    let mut writes: BTreeMap<&str, (Micros, Option<Micros>, Option<u64>)> = BTreeMap::new();
    for op in operations {
        let Call::Publish { name, .. } = &op.call else { continue };
        let first = (op.begun, None, held.get(name.as_str()).copied());
        let write = writes.entry(name).or_insert(first);
        write.0 = write.0.min(op.begun);
        if let (Outcome::Ok(Answer::Stored { sequence, .. }), Some(ended)) = (&op.outcome, op.ended)
        {
            write.1 = Some(write.1.map_or(ended, |earlier| earlier.min(ended)));
            write.2 = Some(*sequence);
        }
    }
    let steps = writes.into_iter().filter_map(|(name, (begun, ended, sequence))| {
        let sequence = sequence?;
        Some(Step {
            begun,
            ended,
            position: 2 * sequence,
            what: format!("{name} written at {sequence}"),
        })
    });
    steps.collect()
}

fn read(op: &Operation) -> Option<Step> {
    let (sequence, how) = match (&op.call, &op.outcome) {
        (Call::Last { .. }, Outcome::Ok(Answer::Last { sequence, .. })) => (*sequence, "read"),
        (Call::Publish { .. }, Outcome::Refused(Some(last))) => (*last, "named by a refusal"),
        _ => return None,
    };
    let what = format!("{sequence} {how}");
    Some(Step { begun: op.begun, ended: op.ended, position: 2 * sequence + 1, what })
}

/// What an expected sequence promises of one write alone.
fn expectation(op: &Operation, dump: &Dump) -> Option<(Micros, String)> {
    let Call::Publish { name, expect: Some(expect), .. } = &op.call else { return None };
    let at = op.ended.unwrap_or(op.begun);
    let held =
        || dump.held.iter().find(|(_, held)| held.name == *name).map(|(sequence, _)| *sequence);
    match &op.outcome {
        Outcome::Ok(Answer::Stored { sequence, .. }) if *sequence != expect + 1 => {
            Some((at, format!("{name} expected {expect} and was written at {sequence}")))
        }
        Outcome::Refused(last) if *last == Some(*expect) => Some((
            at,
            format!("{name} expected {expect} and was refused although that was the last"),
        )),
        Outcome::Refused(_) => {
            held().map(|sequence| (at, format!("{name} was refused and is at {sequence}")))
        }
        Outcome::Unknown => held()
            .filter(|sequence| *sequence != expect + 1)
            .map(|sequence| (at, format!("{name} expected {expect} and is at {sequence}"))),
        Outcome::Ok(_) => None,
    }
}

/// Every step must stand behind all that had ended before it began.
fn real_time(mut steps: Vec<Step>) -> Vec<(Micros, String)> {
    let mut wrong = Vec::new();
    steps.sort_by_key(|step| step.begun);
    let mut by_end: Vec<(Micros, usize)> =
        steps.iter().enumerate().filter_map(|(index, step)| Some((step.ended?, index))).collect();
    by_end.sort_unstable();
    let mut ended = by_end.into_iter().peekable();
    let mut furthest: Option<&Step> = None;
    for step in &steps {
        while let Some((_, index)) = ended.next_if(|(at, _)| *at < step.begun) {
            let before = &steps[index];
            if furthest.is_none_or(|furthest| before.position > furthest.position) {
                furthest = Some(before);
            }
        }
        if let Some(before) = furthest.filter(|before| before.position > step.position) {
            let at = step.ended.unwrap_or(step.begun);
            let (begun, ended) = (step.begun, before.ended.unwrap_or_default());
            let what = format!(
                "{}, begun at {begun} us, after {} had ended at {ended} us",
                step.what, before.what
            );
            wrong.push((at, what));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::super::fixture::Story;
    use super::*;

    fn findings(history: &History) -> usize {
        let findings = check(history);
        assert!(findings.iter().all(|finding| finding.invariant == Invariant::Linearizable));
        findings.len()
    }

    fn story() -> Story {
        Story::default().wrote((1, 10), "a", 1).wrote((11, 20), "b", 2)
    }

    const HELD: &[(u64, &str)] = &[(1, "a"), (2, "b")];

    #[test]
    fn reads_between_two_writes_may_see_either() {
        let story = story().read((5, 8), 0, None).read((5, 8), 1, Some("a"));
        let story = story.read((12, 18), 1, Some("a")).read((13, 14), 2, Some("b"));
        assert_eq!(findings(&story.read((21, 22), 2, Some("b")).held(HELD)), 0);
    }

    #[test]
    fn a_stale_read_is_seen() {
        assert_eq!(findings(&story().read((21, 22), 1, Some("a")).held(HELD)), 1);
        assert_eq!(findings(&story().read((11, 12), 0, None).held(HELD)), 1);
    }

    #[test]
    fn a_read_of_what_was_not_yet_written_is_seen() {
        assert_eq!(findings(&story().read((5, 8), 2, Some("b")).held(HELD)), 1);
    }

    #[test]
    fn two_reads_may_not_go_back_though_both_overlap_the_write() {
        let forth = story().read((12, 13), 1, None).read((14, 15), 2, None);
        assert_eq!(findings(&forth.held(HELD)), 0);
        let back = story().read((12, 13), 2, None).read((14, 15), 1, None);
        assert_eq!(findings(&back.held(HELD)), 1);
    }

    #[test]
    fn a_write_that_stands_before_an_earlier_one_is_seen() {
        let story = Story::default().wrote((1, 10), "b", 2).wrote((11, 20), "a", 1);
        assert_eq!(findings(&story.held(HELD)), 1);
    }

    #[test]
    fn a_write_without_an_answer_may_happen_late_and_may_not_happen() {
        let late = Story::default().unanswered(1, "a", Some(0)).read((50, 60), 0, None);
        assert_eq!(findings(&late.held(&[(1, "a")])), 0);
        let never = Story::default().unanswered(1, "a", Some(0)).read((50, 60), 0, None);
        assert_eq!(findings(&never.held_up_to(&[], 0)), 0);
        let too_early = Story::default().wrote((1, 2), "b", 2).unanswered(50, "a", Some(0));
        assert_eq!(findings(&too_early.held(HELD)), 1, "it stands before what had ended");
    }

    #[test]
    fn attempts_under_one_id_are_one_write() {
        let story = Story::default().unanswered(1, "a", None).stored((3, 4), "b", 2);
        assert_eq!(findings(&story.stored_again((5, 6), "a", 1).held(HELD)), 0);
        let story = Story::default().stored((3, 4), "b", 2).stored((5, 6), "a", 1);
        assert_eq!(findings(&story.held(HELD)), 1);
    }

    #[test]
    fn a_refusal_is_a_read() {
        let story = || Story::default().wrote((1, 10), "a", 1);
        assert_eq!(findings(&story().refused((11, 12), "x", 0, 1).held(&[(1, "a")])), 0);
        assert_eq!(findings(&story().refused((11, 12), "x", 5, 0).held(&[(1, "a")])), 1, "stale");
        assert_eq!(findings(&story().refused((11, 12), "x", 1, 1).held(&[(1, "a")])), 1, "wrong");
    }

    #[test]
    fn expectations_are_kept() {
        let refused = Story::default().wrote((1, 10), "a", 1).refused((11, 12), "x", 0, 1);
        assert_eq!(findings(&refused.held(&[(1, "a"), (2, "x")])), 1, "refused and there");
        let unanswered = Story::default().wrote((1, 10), "a", 1).unanswered(11, "x", Some(7));
        assert_eq!(findings(&unanswered.held(&[(1, "a"), (2, "x")])), 1, "expected another");
    }
}
