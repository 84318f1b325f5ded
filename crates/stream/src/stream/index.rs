//! Which messages a stream holds, in memory: time, subject and size by sequence.
//!
//! Sequences are mostly dense, so they are kept in chunks of slots without their sequence. But a
//! stream that keeps one message per subject (a key-value bucket) removes nearly every message again
//! while its oldest key may stay for ever; so chunks that have become thin are packed and joined, and
//! memory follows the messages there are, not the span of their sequences.

use std::collections::VecDeque;

use super::{
    chunk::{Chunk, Slot},
    subjects::SubjectId,
};
use crate::{SequenceRange, Timestamp, sequence::push_range};

/// The live messages of a stream, by sequence.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// In the order of their sequences, none of them without a live message.
    chunks: VecDeque<Chunk>,
    live: u64,
}

impl Index {
    pub(super) fn len(&self) -> u64 {
        self.live
    }

    /// Adds a message behind all others, not older than any of them.
    pub(super) fn push(&mut self, seq: u64, slot: Slot) {
        match self.chunks.back_mut().filter(|last| last.accepts(seq)) {
            Some(last) => last.push(seq, slot),
            None => {
                let mut chunk = Chunk::new(seq, self.chunks.back());
                chunk.push(seq, slot);
                self.chunks.push_back(chunk);
                // Nothing will be added to the one that was last until now.
                if let Some(place) = self.chunks.len().checked_sub(2) {
                    self.tidy(place);
                }
            }
        }
        self.live += 1;
    }

    /// The place of the last chunk that starts at or before `seq`.
    fn chunk_of(&self, seq: u64) -> Option<usize> {
        self.chunks.partition_point(|chunk| chunk.start() <= seq).checked_sub(1)
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Slot> {
        self.chunks[self.chunk_of(seq)?].get(seq)
    }

    /// Takes out the message `seq`.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Slot> {
        let place = self.chunk_of(seq)?;
        let removed = self.chunks[place].remove(seq)?;
        self.live -= 1;
        self.tidy(place);
        Some(removed)
    }

    /// Keeps the chunks around `place` as few and as small as the module says. The first chunk is
    /// left alone: what is removed there is mostly removed in order, until it is empty. The last
    /// chunk stays dense to be added to.
    fn tidy(&mut self, place: usize) {
        if self.chunks[place].live() == 0 {
            self.chunks.remove(place);
            return;
        }
        if place == 0 || place + 1 == self.chunks.len() {
            return;
        }
        if self.chunks[place].is_thin() {
            self.chunks[place] = self.chunks[place].joined(None);
        }
        for left in [place, place - 1] {
            if left + 1 < self.chunks.len() && self.chunks[left].joins(&self.chunks[left + 1]) {
                self.chunks[left] = self.chunks[left].joined(self.chunks.get(left + 1));
                self.chunks.remove(left + 1);
            }
        }
    }

    /// Takes out all messages, and says which there were.
    pub(super) fn clear(&mut self) -> Vec<SequenceRange> {
        let ranges = self.ranges();
        *self = Self::default();
        ranges
    }

    /// The sequences of all messages, as runs.
    pub(super) fn ranges(&self) -> Vec<SequenceRange> {
        let mut ranges = Vec::new();
        for chunk in &self.chunks {
            // Of nearly all chunks: a stream has millions of messages, and is asked for this with each of its bases.
            if let Some(whole) = chunk.whole() {
                push_range(&mut ranges, whole);
            } else {
                let messages = chunk.iter_from(0).map(|(seq, _)| SequenceRange::single(seq));
                messages.for_each(|message| push_range(&mut ranges, message));
            }
        }
        ranges
    }

    /// The messages from `seq` on.
    pub(super) fn iter_from(&self, seq: u64) -> impl Iterator<Item = (u64, &Slot)> + use<'_> {
        self.chunks
            .range(self.chunk_of(seq).unwrap_or(0)..)
            .flat_map(move |chunk| chunk.iter_from(seq))
    }

    /// The messages from `seq` on in chunks that may hold a subject of `mask`.
    pub(super) fn iter_masked_from(
        &self,
        seq: u64,
        mask: u64,
    ) -> impl Iterator<Item = (u64, &Slot)> + use<'_> {
        self.chunks
            .range(self.chunk_of(seq).unwrap_or(0)..)
            .filter(move |chunk| chunk.mask() & mask != 0)
            .flat_map(move |chunk| chunk.iter_from(seq))
    }

    /// The messages below `seq` in chunks that may hold a subject of `mask`, from the greatest down.
    pub(super) fn iter_masked_below(
        &self,
        seq: u64,
        mask: u64,
    ) -> impl Iterator<Item = (u64, &Slot)> + use<'_> {
        self.chunks
            .range(..self.chunk_of(seq).map_or(0, |place| place + 1))
            .rev()
            .filter(move |chunk| chunk.mask() & mask != 0)
            .flat_map(move |chunk| chunk.iter_below(seq).rev())
    }

    /// The last message of `subject` below `seq`.
    pub(super) fn previous_of(&self, subject: SubjectId, seq: u64) -> Option<u64> {
        self.iter_masked_below(seq, subject.bit())
            .find(|(_, slot)| slot.subject == subject)
            .map(|(seq, _)| seq)
    }

    /// How many messages there are from `seq` on.
    pub(super) fn count_from(&self, seq: u64) -> u64 {
        let Some(place) = self.chunk_of(seq) else { return self.live };
        let partly = self.chunks[place].iter_from(seq).count();
        let wholly: usize = self.chunks.range(place + 1..).map(Chunk::live).sum();
        (partly + wholly) as u64
    }

    /// The first message that is not older than `time`.
    pub(super) fn at_time(&self, time: Timestamp) -> Option<u64> {
        let place = self.chunks.partition_point(|chunk| chunk.last_time() < Some(time));
        self.chunks
            .range(place..)
            .flat_map(|chunk| chunk.iter_from(0))
            .find(|(_, slot)| slot.time >= time)
            .map(|(seq, _)| seq)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn slot(number: u64) -> Slot {
        Slot {
            time: Timestamp(number as i64 / 3),
            subject: SubjectId::at(number as usize % 70),
            size: 1,
        }
    }

    /// Removals that thin out, empty and join chunks, checked against a map at every step.
    fn compare(index: &Index, model: &BTreeMap<u64, Slot>, probe: u64) {
        assert_eq!(index.len(), model.len() as u64);
        let from: Vec<_> = index.iter_from(probe).map(|(seq, slot)| (seq, *slot)).collect();
        let expected: Vec<_> = model.range(probe..).map(|(seq, slot)| (*seq, *slot)).collect();
        assert_eq!(from, expected);
        assert_eq!(index.count_from(probe), expected.len() as u64);
        assert_eq!(index.get(probe), model.get(&probe));

        let subject = slot(probe).subject;
        let previous = model.range(..probe).rev().find(|(_, slot)| slot.subject == subject);
        assert_eq!(index.previous_of(subject, probe), previous.map(|(seq, _)| *seq));
        let time = slot(probe).time;
        let at_time = model.iter().find(|(_, slot)| slot.time >= time);
        assert_eq!(index.at_time(time), at_time.map(|(seq, _)| *seq));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn it_answers_like_a_map(
            gaps in proptest::collection::vec((1u64..5, 0u64..3000), 1..6),
            removals in proptest::collection::vec(any::<proptest::sample::Index>(), 0..2500),
        ) {
            let (mut index, mut model) = (Index::default(), BTreeMap::new());
            let mut seq = 0;
            for (jump, run) in gaps {
                seq += jump * jump * 40;
                for _ in 0..run / 3 {
                    seq += 1;
                    index.push(seq, slot(seq));
                    model.insert(seq, slot(seq));
                }
            }
            for (step, removal) in removals.into_iter().enumerate() {
                let probe = removal.index(seq as usize + 1) as u64;
                // The nearest message there is, so that most steps remove one.
                let target = model.range(probe..).next().map_or(probe, |(seq, _)| *seq);
                prop_assert_eq!(index.remove(target), model.remove(&target));
                if step % 100 == 0 {
                    compare(&index, &model, probe);
                }
            }
            compare(&index, &model, 0);
        }
    }

    #[test]
    fn memory_follows_the_messages_and_not_their_span() {
        let mut index = Index::default();
        for seq in 1..=100_000 {
            index.push(seq, slot(seq));
            if seq > 10 {
                index.remove(seq - 5);
            }
        }
        assert_eq!(index.len(), 10);
        assert!(index.chunks.len() <= 3, "{} chunks", index.chunks.len());

        for seq in 100_001..=200_000 {
            index.push(seq, slot(seq));
        }
        for seq in (100_001..=200_000).filter(|seq| seq % 1000 != 0) {
            index.remove(seq);
        }
        assert_eq!(index.len(), 110);
        assert!(index.chunks.len() <= 8, "{} chunks", index.chunks.len());
    }
}
