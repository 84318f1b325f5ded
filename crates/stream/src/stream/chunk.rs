//! A run of neighbouring messages in the index.

use super::subjects::SubjectId;
use crate::{SequenceRange, Timestamp};

/// How many sequences one chunk spans while all of them are in it.
pub(super) const SPAN: usize = 256;
/// Neighbours that together hold no more than this are joined.
const JOINED: usize = SPAN / 4;

/// What is kept of one message: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) time: Timestamp,
    pub(super) subject: SubjectId,
    pub(super) size: u32,
}

/// Slots in the order of their sequences. A *dense* chunk has a slot for every sequence from its
/// start, where a removed message leaves its slot behind; a *sparse* one has the live slots only, each
/// with its distance from the start. Either way times never fall from slot to slot.
#[derive(Debug)]
pub(super) struct Chunk {
    start: u64,
    live: usize,
    /// The bits of all subjects that are, or were, in here; lets a scan pass over the whole chunk.
    mask: u64,
    slots: Vec<Slot>,
    distances: Option<Vec<u32>>,
}

impl Chunk {
    /// A dense chunk of no message yet; the first will have sequence `start`. It grows as it fills, and most do not: most
    /// streams hold few messages. One behind a chunk that is full has room for all that it may hold.
    pub(super) fn new(start: u64, before: Option<&Self>) -> Self {
        let is_full = before.is_some_and(|before| before.slots.len() == SPAN);
        let slots = Vec::with_capacity(if is_full { SPAN } else { 0 });
        Self { start, live: 0, mask: 0, slots, distances: None }
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn live(&self) -> usize {
        self.live
    }

    pub(super) fn mask(&self) -> u64 {
        self.mask
    }

    /// The time of the last slot, live or not; nothing in here is younger.
    pub(super) fn last_time(&self) -> Option<Timestamp> {
        self.slots.last().map(|slot| slot.time)
    }

    /// Whether `seq`, greater than all in here, still belongs in here.
    pub(super) fn accepts(&self, seq: u64) -> bool {
        self.distances.is_none() && seq - self.start < SPAN as u64
    }

    /// Adds `slot` under `seq`, which this chunk accepts.
    pub(super) fn push(&mut self, seq: u64, slot: Slot) {
        // Sequences that were never stored (a purge jumped over them) look like removed ones.
        let filler = Slot { subject: SubjectId::NONE, size: 0, ..slot };
        self.slots.resize((seq - self.start) as usize, filler);
        self.slots.push(slot);
        self.live += 1;
        self.mask |= slot.subject.bit();
    }

    /// The position of the first slot at or after `seq`.
    pub(super) fn position(&self, seq: u64) -> usize {
        let distance = seq.saturating_sub(self.start);
        match &self.distances {
            None => usize::try_from(distance).unwrap_or(usize::MAX).min(self.slots.len()),
            Some(distances) => distances.partition_point(|have| u64::from(*have) < distance),
        }
    }

    fn sequence(&self, position: usize) -> u64 {
        self.start
            + match &self.distances {
                None => position as u64,
                Some(distances) => u64::from(distances[position]),
            }
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Slot> {
        let position = self.position(seq);
        let slot = self.slots.get(position)?;
        (self.sequence(position) == seq && slot.subject != SubjectId::NONE).then_some(slot)
    }

    /// The sequences in here, if none of them is missing.
    pub(super) fn whole(&self) -> Option<SequenceRange> {
        let is_whole = self.distances.is_none() && self.live == self.slots.len();
        let after = self.start + self.slots.len() as u64;
        if is_whole { SequenceRange::new(self.start, after.saturating_sub(1)) } else { None }
    }

    /// The live messages from `seq` on.
    pub(super) fn iter_from(&self, seq: u64) -> impl DoubleEndedIterator<Item = (u64, &Slot)> {
        self.between(self.position(seq), self.slots.len())
    }

    /// The live messages below `seq`.
    pub(super) fn iter_below(&self, seq: u64) -> impl DoubleEndedIterator<Item = (u64, &Slot)> {
        self.between(0, self.position(seq))
    }

    fn between(
        &self,
        from: usize,
        to: usize,
    ) -> impl DoubleEndedIterator<Item = (u64, &Slot)> + use<'_> {
        (from..to)
            .map(|position| (self.sequence(position), &self.slots[position]))
            .filter(|(_, slot)| slot.subject != SubjectId::NONE)
    }

    /// Takes out the message `seq`.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Slot> {
        let removed = *self.get(seq)?;
        let position = self.position(seq);
        match &mut self.distances {
            None => self.slots[position].subject = SubjectId::NONE,
            Some(distances) => {
                distances.remove(position);
                self.slots.remove(position);
            }
        }
        self.live -= 1;
        Some(removed)
    }

    /// Whether it would be smaller as a sparse chunk, or could be joined as one.
    pub(super) fn is_thin(&self) -> bool {
        self.distances.is_none() && self.live * 4 < SPAN
    }

    /// Whether it and its successor are small enough to be one chunk.
    pub(super) fn joins(&self, next: &Self) -> bool {
        let Some(last) = next.distances.as_ref().and_then(|distances| distances.last()) else {
            return false;
        };
        let span = next.start - self.start + u64::from(*last);
        self.distances.is_some() && self.live + next.live <= JOINED && u32::try_from(span).is_ok()
    }

    /// The same messages as a sparse chunk, followed by those of `next`.
    pub(super) fn joined(&self, next: Option<&Self>) -> Self {
        let live: Vec<(u64, Slot)> = std::iter::once(self)
            .chain(next)
            .flat_map(|chunk| chunk.between(0, chunk.slots.len()))
            .map(|(seq, slot)| (seq, *slot))
            .collect();
        Self {
            start: self.start,
            live: live.len(),
            mask: live.iter().fold(0, |mask, (_, slot)| mask | slot.subject.bit()),
            slots: live.iter().map(|(_, slot)| *slot).collect(),
            distances: Some(live.iter().map(|(seq, _)| (seq - self.start) as u32).collect()),
        }
    }
}
