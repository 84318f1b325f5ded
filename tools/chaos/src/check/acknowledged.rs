//! I1 and I2: what was acknowledged is there, and what is there was sent, byte for byte.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Invariant};
use crate::event::{Answer, Call, Micros};
use crate::history::{Dump, History, Outcome};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    let empty = Dump::default();
    for (stream, told) in told(history) {
        let dump = history.dumps.get(stream).unwrap_or(&empty);
        if dump.end.is_none() {
            let what = format!("{stream} was not read to its end");
            findings.push(Finding::new(Invariant::Liveness, 0, what));
        }
        findings.extend(told.compare(stream, dump));
        if let Some(damaged) = history.damaged.get(stream) {
            findings.extend(told.denied(stream, damaged));
        }
    }
    for delivery in history.deliveries.iter().filter(|delivery| !delivery.intact) {
        let what = format!("sequence {} was delivered altered", delivery.sequence);
        findings.push(Finding::new(Invariant::Unaltered, delivery.at, what));
    }
    findings
}

/// What clients were told of one stream.
#[derive(Default)]
struct Told<'a> {
    sent: BTreeSet<&'a str>,
    acknowledged: Vec<(Micros, &'a str, u64)>,
    deletion_begun: BTreeSet<u64>,
    deleted: BTreeMap<u64, Micros>,
}

fn told(history: &History) -> BTreeMap<&str, Told<'_>> {
    let mut streams: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    for op in &history.operations {
        match &op.call {
            Call::Publish { stream, name, .. } => {
                let told = streams.entry(stream).or_default();
                told.sent.insert(name);
                if let (Outcome::Ok(Answer::Stored { sequence, .. }), Some(at)) =
                    (&op.outcome, op.ended)
                {
                    told.acknowledged.push((at, name, *sequence));
                }
            }
            Call::Delete { stream, sequence } => {
                let told = streams.entry(stream).or_default();
                told.deletion_begun.insert(*sequence);
                if let (Outcome::Ok(Answer::Deleted), Some(at)) = (&op.outcome, op.ended) {
                    told.deleted.insert(*sequence, at);
                }
            }
            Call::Last { .. } | Call::Ack { .. } | Call::Floor { .. } => {}
        }
    }
    streams
}

impl Told<'_> {
    /// What a server whose files were damaged, while it led, gave wrongly or not at all.
    fn denied(&self, stream: &str, dump: &Dump) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (at, name, sequence) in &self.acknowledged {
            let unknown = self.deletion_begun.contains(sequence)
                || dump.end.is_none_or(|(last, _)| last < *sequence);
            let what = match (dump.held.get(sequence), dump.unreadable.get(sequence)) {
                (Some(held), _) if held.name == *name && held.intact => continue,
                (Some(held), _) => {
                    format!("{} was given for {name}, at {stream} {sequence}", held.name)
                }
                (None, Some(error)) => {
                    format!("{name}, at {stream} {sequence}, cannot be read: {error}")
                }
                (None, None) if unknown => continue,
                (None, None) => format!("{name}, at {stream} {sequence}, was said not to be there"),
            };
            findings.push(Finding::new(Invariant::Damage, *at, what));
        }
        findings
    }

    fn compare(&self, stream: &str, dump: &Dump) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (at, name, sequence) in &self.acknowledged {
            let place = format!("{name}, acknowledged at {stream} {sequence}");
            let wrong = match (dump.held.get(sequence), dump.unreadable.get(sequence)) {
                (Some(held), _) if held.name == *name => continue,
                (Some(held), _) => format!("{place}: {} is there", held.name),
                (None, Some(error)) => format!("{place}: cannot be read: {error}"),
                (None, None) if self.deletion_begun.contains(sequence) => continue,
                (None, None) => format!("{place}: is not there"),
            };
            findings.push(Finding::new(Invariant::Acknowledged, *at, wrong));
        }
        for (sequence, held) in &dump.held {
            if !held.intact {
                let what = format!("{stream} {sequence} is altered ({})", held.name);
                findings.push(Finding::new(Invariant::Unaltered, 0, what));
            } else if !self.sent.contains(held.name.as_str()) {
                let what = format!("{stream} {sequence} was never sent ({})", held.name);
                findings.push(Finding::new(Invariant::Unaltered, 0, what));
            }
            if let Some(at) = self.deleted.get(sequence) {
                let what = format!("{stream} {sequence} was deleted and is there");
                findings.push(Finding::new(Invariant::Unaltered, *at, what));
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{STREAM, Story};
    use super::*;

    fn broken(history: &History) -> Vec<Invariant> {
        check(history).into_iter().map(|finding| finding.invariant).collect()
    }

    fn story() -> Story {
        Story::default().stored((1, 2), "a", 1).stored((3, 4), "b", 2).unanswered(5, "u", None)
    }

    #[test]
    fn what_was_promised_is_enough() {
        assert_eq!(broken(&story().held(&[(1, "a"), (2, "b")])), []);
        assert_eq!(broken(&story().held(&[(1, "a"), (2, "b"), (3, "u")])), []);
        let deleted = story().deleted((6, 7), 1).held(&[(2, "b")]);
        assert_eq!(broken(&deleted), []);
    }

    #[test]
    fn a_loss_is_seen_and_dated() {
        let findings = check(&story().held(&[(1, "a")]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].invariant, findings[0].at), (Invariant::Acknowledged, 4));
        let moved = story().held(&[(1, "b"), (2, "a")]);
        assert_eq!(broken(&moved), [Invariant::Acknowledged; 2]);
    }

    #[test]
    fn a_deletion_explains_its_own_sequence_only_and_is_for_ever() {
        let other = story().deleted((6, 7), 1).held(&[(1, "a")]);
        assert_eq!(broken(&other), [Invariant::Acknowledged, Invariant::Unaltered]);
    }

    #[test]
    fn what_was_never_sent_or_is_altered_is_seen() {
        assert_eq!(broken(&story().held(&[(1, "a"), (2, "b"), (3, "x")])), [Invariant::Unaltered]);
        assert_eq!(broken(&story().held(&[(1, "a!"), (2, "b")])), [Invariant::Unaltered]);
    }

    #[test]
    fn a_server_that_was_damaged_gives_everything_again() {
        let read = |messages: &[(u64, &str)]| {
            let mut history = story().held(&[(1, "a"), (2, "b")]);
            let dump = story().held_up_to(messages, 2).dumps.remove(STREAM);
            history.damaged.extend(dump.map(|dump| (STREAM.to_owned(), dump)));
            history
        };
        assert_eq!(broken(&read(&[(1, "a"), (2, "b")])), []);
        assert_eq!(broken(&read(&[(1, "a")])), [Invariant::Damage]);
        assert_eq!(broken(&read(&[(1, "a"), (2, "b!")])), [Invariant::Damage]);
        let mut unread = read(&[(1, "a")]);
        let dump = unread.damaged.get_mut(STREAM).unwrap();
        dump.unreadable.insert(2, "damaged".to_owned());
        assert_eq!(broken(&unread), [Invariant::Damage]);
    }

    #[test]
    fn an_unfinished_reading_proves_nothing() {
        let broken = broken(&story().unread());
        assert!(broken.contains(&Invariant::Liveness) && broken.contains(&Invariant::Acknowledged));
    }
}
