//! Keeping messages until consumers have acknowledged them.
//!
//! Which consumers there are, and what each is done with, is state of the stream: it changes by
//! commands in the stream's log only, so every replica drops a message at the same command.

use std::collections::BTreeMap;

use super::{
    chunk::Slot,
    filter::FilterSet,
    machine::Stream,
    outcome::{Applied, ChangeOutcome},
    ranges::RangeSet,
    subjects::Subjects,
};
use crate::{Retention, SequenceRange, hash::Fold};

/// What one consumer asks for, and which sequences it needs no more.
#[derive(Debug)]
pub(super) struct Interest {
    pub(super) filter: FilterSet,
    pub(super) done: RangeSet,
}

/// The registered consumers, by their ids.
#[derive(Debug, Default)]
pub(super) struct Interests(pub(super) BTreeMap<u64, Interest>);

impl Interests {
    /// Whether any consumer asks for `subject`.
    fn wants(&self, subject: &str) -> bool {
        self.0.values().any(|interest| interest.filter.matches(subject))
    }

    fn refresh(&mut self, subjects: &Subjects) {
        self.0.values_mut().for_each(|interest| interest.filter.refresh(subjects));
    }

    /// Whether any consumer asks for the message and is not done with it. The filters must be fresh.
    fn needs(&self, seq: u64, slot: &Slot) -> bool {
        self.0.values().any(|interest| interest.filter.takes(slot) && !interest.done.contains(seq))
    }
}

impl Stream {
    /// Whether a message on `subject` is stored at all: an interest stream without a consumer for it
    /// only gives it a sequence.
    pub(super) fn is_wanted(&self, subject: &str) -> bool {
        self.config.retention != Retention::Interest || self.interests.wants(subject)
    }

    /// Registers `consumer`, or gives it other filters. What it is done with stays done.
    pub(super) fn set_interest(
        &mut self,
        consumer: u64,
        filters: Vec<String>,
        new_only: bool,
        out: &mut Applied,
    ) -> ChangeOutcome {
        self.hash.fold(Fold::Interest, [consumer, filters.len() as u64, u64::from(new_only)]);
        filters.iter().for_each(|f| self.hash.fold_bytes(Fold::Interest, f.as_bytes()));
        let floor = if new_only { self.messages.last_seq + 1 } else { self.messages.first_seq };
        let known = self.interests.0.remove(&consumer);
        let replaces = known.is_some();
        let done = known.map_or_else(|| RangeSet::below(floor), |interest| interest.done);
        let filter = FilterSet::new(filters);
        self.interests.0.insert(consumer, Interest { filter, done });
        if replaces {
            self.drop_unneeded(out);
        }
        ChangeOutcome::Updated
    }

    /// Forgets `consumer`.
    pub(super) fn drop_interest(&mut self, consumer: u64, out: &mut Applied) -> ChangeOutcome {
        self.hash.fold(Fold::Interest, [consumer, u64::MAX, 0]);
        if self.interests.0.remove(&consumer).is_some() {
            self.drop_unneeded(out);
        }
        ChangeOutcome::Updated
    }

    /// Records that `consumer` needs the sequences `done` no more. Applying it again changes nothing,
    /// and so does a consumer that is not registered (any more).
    pub(super) fn acknowledge(
        &mut self,
        consumer: u64,
        done: &[SequenceRange],
        out: &mut Applied,
    ) -> ChangeOutcome {
        let first_seq = self.messages.first_seq;
        for range in done.iter().filter_map(|range| SequenceRange::new(range.first, range.last)) {
            self.hash.fold(Fold::Interest, [consumer, range.first, range.last]);
            let Some(interest) = self.interests.0.get_mut(&consumer) else { continue };
            interest.done.insert(range);
            match self.config.retention {
                Retention::Limits => {}
                Retention::WorkQueue => self.drop_consumed(consumer, range, out),
                Retention::Interest => self.drop_unneeded_in(range, out),
            }
        }
        if let Some(interest) = self.interests.0.get_mut(&consumer) {
            interest.done.raise(first_seq);
        }
        ChangeOutcome::Updated
    }

    /// Drops the messages of a work queue that `consumer`, the only one to ask for them, is done with.
    fn drop_consumed(&mut self, consumer: u64, range: SequenceRange, out: &mut Applied) {
        let Some(interest) = self.interests.0.get_mut(&consumer) else { return };
        interest.filter.refresh(&self.messages.subjects);
        let messages = self.messages.index.iter_from(range.first);
        let consumed: Vec<u64> = messages
            .take_while(|(seq, _)| *seq <= range.last)
            .filter(|(_, slot)| interest.filter.takes(slot))
            .map(|(seq, _)| seq)
            .collect();
        for seq in consumed {
            self.remove(seq, out);
        }
    }

    /// Drops the messages of an interest stream that no consumer needs.
    pub(super) fn drop_unneeded(&mut self, out: &mut Applied) {
        if self.config.retention == Retention::Interest {
            self.drop_unneeded_in(SequenceRange { first: 0, last: u64::MAX }, out);
        }
    }

    fn drop_unneeded_in(&mut self, range: SequenceRange, out: &mut Applied) {
        self.interests.refresh(&self.messages.subjects);
        let messages = self.messages.index.iter_from(range.first);
        let unneeded: Vec<u64> = messages
            .take_while(|(seq, _)| *seq <= range.last)
            .filter(|(seq, slot)| !self.interests.needs(*seq, slot))
            .map(|(seq, _)| seq)
            .collect();
        for seq in unneeded {
            self.remove(seq, out);
        }
    }

    /// The registered consumers.
    pub fn interested(&self) -> impl Iterator<Item = u64> {
        self.interests.0.keys().copied()
    }
}
