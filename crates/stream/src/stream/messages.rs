//! The messages a stream holds: the index, the subjects, and the sums over both.

use flotilla_mutation::{Mutation, is_on};

use super::{chunk::Slot, index::Index, subjects::Subjects};
use crate::{SequenceRange, Timestamp};

/// What is known of a stream's messages without their bodies. Its parts always agree.
#[derive(Debug)]
pub(super) struct Messages {
    pub(super) index: Index,
    pub(super) subjects: Subjects,
    /// 0 until anything was stored or purged; then never falling, and above `last_seq` when empty.
    pub(super) first_seq: u64,
    /// Never falling.
    pub(super) last_seq: u64,
    /// When the message `last_seq` was stored, also once it is gone.
    pub(super) last_time: Option<Timestamp>,
    pub(super) bytes: u64,
}

impl Messages {
    /// No messages; the first will have sequence `first`.
    pub(super) fn new(first: Option<u64>, tracking: bool) -> Self {
        let first = first.filter(|first| *first > 0);
        Self {
            index: Index::default(),
            subjects: Subjects::new(tracking),
            first_seq: first.unwrap_or(0),
            last_seq: first.map_or(0, |first| first - 1),
            last_time: None,
            bytes: 0,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.index.len()
    }

    /// Adds a message behind `last_seq`.
    pub(super) fn store(&mut self, seq: u64, time: Timestamp, subject: &str, size: u32) {
        if self.len() == 0 {
            self.first_seq = seq;
        }
        self.last_seq = seq;
        self.last_time = Some(time);
        self.insert(seq, time, subject, size);
    }

    /// Gives the sequence behind `last_seq` to a message that is not kept.
    pub(super) fn skip(&mut self, seq: u64, time: Timestamp) {
        self.last_seq = seq;
        self.last_time = Some(time);
        if self.len() == 0 {
            self.first_seq = seq + 1;
        }
    }

    /// Adds what a segment holds, in the order of sequences; the sequences' ends are known already.
    pub(super) fn insert(&mut self, seq: u64, time: Timestamp, subject: &str, size: u32) {
        let subject = self.subjects.add(subject, seq);
        self.index.push(seq, Slot { time, subject, size });
        self.bytes += u64::from(size);
    }

    /// Takes out the message `seq`; `false` when there is none.
    pub(super) fn remove(&mut self, seq: u64) -> bool {
        let Some(slot) = self.index.remove(seq) else { return false };
        self.bytes -= u64::from(slot.size);
        let index = &self.index;
        self.subjects.remove(slot.subject, seq, || index.previous_of(slot.subject, seq));
        if seq == self.first_seq {
            self.first_seq = self.first_after(seq);
        }
        true
    }

    /// The first message behind `seq`, or the sequence that the next one stored will have.
    fn first_after(&self, seq: u64) -> u64 {
        self.index.iter_from(seq).next().map_or(self.last_seq + 1, |(first, _)| first)
    }

    /// Takes out all messages. The next one will have sequence `next`, or a later one.
    pub(super) fn clear(&mut self, next: u64) -> Vec<SequenceRange> {
        self.last_seq = self.last_seq.max(next.saturating_sub(1));
        if is_on(Mutation::SequencesBeginAgain) {
            self.last_seq = 0;
        }
        self.first_seq = self.last_seq + 1;
        self.bytes = 0;
        self.subjects.clear();
        self.index.clear()
    }

    /// When the first message was stored.
    pub(super) fn first_time(&self) -> Option<Timestamp> {
        self.index.get(self.first_seq).map(|slot| slot.time)
    }

    /// The sequences between the first and the last that hold no message.
    pub(super) fn gaps(&self) -> Vec<SequenceRange> {
        let mut gaps = Vec::new();
        let mut next = self.first_seq.max(1);
        for range in self.index.ranges() {
            gaps.extend(SequenceRange::new(next, range.first - 1));
            next = range.last + 1;
        }
        gaps.extend(SequenceRange::new(next, self.last_seq));
        gaps
    }

    /// How many sequences between the first and the last hold no message.
    pub(super) fn gap_count(&self) -> u64 {
        if self.len() == 0 { 0 } else { self.last_seq - self.first_seq + 1 - self.len() }
    }

    /// Begins or stops to know all sequences of each subject.
    pub(super) fn track(&mut self, tracking: bool) {
        let messages = self.index.iter_from(0).map(|(seq, slot)| (seq, slot.subject));
        self.subjects.track(tracking, messages);
    }
}
