//! The sending side of a catch-up: what there is, and pieces of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::format::{HEADER, Slot, content_hash};
use super::read::ReadError;
use super::{SegmentStore, segment_path};
use crate::disk::Disk;

/// One segment in a manifest. Two replicas whose summaries of it agree in all but `bytes` hold the same live
/// records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentSummary {
    /// Its first sequence: its name.
    pub first_seq: u64,
    /// Its last sequence.
    pub last_seq: u64,
    /// How many bytes to transfer.
    pub bytes: u64,
    /// The content hash over its live records.
    pub hash: u64,
    /// Whether it is complete; else it is the one that is appended to.
    pub sealed: bool,
}

impl SegmentSummary {
    /// Whether the other replica's segment holds the same live records.
    #[must_use]
    pub fn same_content(&self, other: &Self) -> bool {
        let key = |s: &Self| (s.first_seq, s.last_seq, s.hash, s.sealed);
        key(self) == key(other)
    }
}

impl SegmentStore {
    /// All segments through `upto`, which must be flushed, ascending. `is_live` says which records count; it must
    /// be the same on both sides of a comparison. Reads indexes only.
    pub fn manifest(
        &mut self,
        disk: &dyn Disk,
        upto: u64,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<SegmentSummary>, ReadError> {
        let firsts: Vec<u64> = self.segments.range(..=upto).map(|(first, _)| *first).collect();
        firsts.into_iter().map(|first_seq| self.summary(disk, first_seq, upto, is_live)).collect()
    }

    /// The content hash over the records from `first_seq` to `last_seq` that are live: equal on all replicas that have
    /// applied the same, in whatever segments they keep them. Reads indexes only.
    ///
    /// # Errors
    /// Something of it is damaged, or cannot be read.
    pub fn content(
        &mut self,
        disk: &dyn Disk,
        first_seq: u64,
        last_seq: u64,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Result<u64, ReadError> {
        let begin = self.segments.range(..=first_seq).next_back();
        let begin = begin.map_or(first_seq, |(first, _)| *first);
        let firsts = self.segments.range(begin..=last_seq.max(begin));
        let firsts: Vec<u64> = firsts.map(|(first, _)| *first).collect();
        let mut indexes = Vec::with_capacity(firsts.len());
        for first in firsts {
            indexes.push(self.index(disk, first)?);
            if self.is_damaged(first) {
                return Err(ReadError::Damaged { seq: first });
            }
        }
        let slots = indexes.iter().flat_map(|slots| slots.iter());
        let counts = |slot: &&Slot| (first_seq..=last_seq).contains(&slot.seq) && is_live(slot.seq);
        Ok(content_hash(slots.filter(counts)))
    }

    pub(super) fn summary(
        &mut self,
        disk: &dyn Disk,
        first_seq: u64,
        upto: u64,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Result<SegmentSummary, ReadError> {
        let slots = self.index(disk, first_seq)?;
        let Some(segment) = self.segments.get(&first_seq) else {
            return Err(ReadError::Damaged { seq: first_seq });
        };
        if segment.is_hurt() {
            let seq = segment.damage.first().map_or(first_seq, |lost| lost.first);
            return Err(ReadError::Damaged { seq });
        }
        let within = slots.partition_point(|slot| slot.seq <= upto);
        let slots = slots.get(..within).unwrap_or_default();
        let hash = content_hash(slots.iter().filter(|slot| is_live(slot.seq)));
        let bytes = slots.last().map_or(HEADER as u64, Slot::end);
        let last_seq = segment.last_seq.min(upto);
        let sealed = segment.full && segment.last_seq <= upto;
        Ok(SegmentSummary { first_seq, last_seq, bytes, hash, sealed })
    }

    /// Bytes of a segment from `offset` on, at most `max`, and only what is flushed; empty at its end.
    pub fn read_chunk(
        &self,
        disk: &dyn Disk,
        first_seq: u64,
        offset: u64,
        max: usize,
    ) -> Result<Bytes, ReadError> {
        let end = self.segments.get(&first_seq).map_or(0, |segment| segment.flushed);
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut chunk = vec![0; left.min(max)];
        let file = disk.open(&segment_path(self.group, first_seq))?;
        let read = disk.read_at(file, offset, &mut chunk);
        disk.close(file);
        chunk.truncate(read?);
        Ok(chunk.into())
    }
}
