//! Reading one record, verified.

use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

use super::format::Slot;
use super::load::{DamagedRange, load};
use super::record::{SegmentRecord, parse};
use super::{SegmentError, SegmentStore, segment_path};
use crate::disk::{Disk, DiskError};

/// How many indexes of sealed segments are kept in memory.
const INDEXES: usize = 4;

/// Why a record is not answered.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// It, or what tells where it is, is damaged. A peer has it.
    #[error("record {seq} is damaged on this replica")]
    Damaged {
        /// The record.
        seq: u64,
    },
    /// A disk call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The segment cannot be read by this server.
    #[error(transparent)]
    Segment(SegmentError),
}

/// What was read lately.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Indexes of sealed segments by first sequence, the latest used last.
    indexes: Vec<(u64, Arc<Vec<Slot>>)>,
    /// A part of a file: segment, offset, bytes.
    block: Option<(u64, u64, Bytes)>,
}

impl Reader {
    /// What is known of this segment is no longer true.
    pub(super) fn forget(&mut self, first_seq: u64) {
        self.indexes.retain(|(segment, _)| *segment != first_seq);
        self.block.take_if(|(segment, ..)| *segment == first_seq);
    }

    fn cached(&self, first_seq: u64, slot: &Slot) -> Option<Bytes> {
        let (segment, start, block) = self.block.as_ref()?;
        let from = usize::try_from(u64::from(slot.offset).checked_sub(*start)?).ok()?;
        let to = from.checked_add(slot.length as usize)?;
        (*segment == first_seq && to <= block.len()).then(|| block.slice(from..to))
    }
}

impl ReadError {
    /// Whether a peer's copy can help.
    fn is_rot(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Disk(_))
    }
}

impl SegmentStore {
    /// The record with this sequence, verified; `None` if there is none (removed, compacted, never given).
    /// Its byte fields are slices of a block of [`block_size`](super::SegmentOptions::block_size) or of
    /// the entry that brought it: whoever keeps it for long should copy.
    pub fn read(&mut self, disk: &dyn Disk, seq: u64) -> Result<Option<SegmentRecord>, ReadError> {
        if seq <= self.removed_through || seq > self.last_seq {
            return Ok(None);
        }
        if let Ok(at) = self.tail.binary_search_by_key(&seq, |tail| tail.record.seq) {
            let tail = self.tail.get(at).filter(|tail| !tail.erased);
            return Ok(tail.map(|tail| tail.record.clone()));
        }
        let Some((&first_seq, segment)) = self.segments.range(..=seq).next_back() else {
            return Ok(None);
        };
        let lost = |range: &DamagedRange| (range.first..=range.last).contains(&seq);
        if segment.damage.iter().any(lost) {
            return Err(ReadError::Damaged { seq });
        }
        if seq > segment.last_seq {
            return Ok(None);
        }
        let read = match self.read_stored(disk, first_seq, seq) {
            Err(ReadError::Damaged { .. }) => {
                // A compaction may have moved the records since the index was read.
                self.reader.forget(first_seq);
                self.read_stored(disk, first_seq, seq)
            }
            read => read,
        };
        if read.as_ref().is_err_and(ReadError::is_rot) {
            self.note_rot(first_seq);
        }
        read
    }

    fn read_stored(
        &mut self,
        disk: &dyn Disk,
        first_seq: u64,
        seq: u64,
    ) -> Result<Option<SegmentRecord>, ReadError> {
        let Some(slot) = self.slot(disk, first_seq, seq)? else { return Ok(None) };
        let end = self.segments.get(&first_seq).map_or(0, |segment| segment.end);
        let block = match self.reader.cached(first_seq, &slot) {
            Some(block) => block,
            None => self.read_block(disk, first_seq, &slot, end)?,
        };
        match parse(&block, self.group).filter(|parsed| parsed.record.seq == seq) {
            Some(parsed) if parsed.erased => Ok(None),
            Some(parsed) => Ok(Some(parsed.record)),
            None => Err(ReadError::Damaged { seq }),
        }
    }

    /// Where a record is.
    pub(super) fn slot(
        &mut self,
        disk: &dyn Disk,
        first_seq: u64,
        seq: u64,
    ) -> Result<Option<Slot>, ReadError> {
        let find = |slots: &[Slot]| {
            // Where it is if none is missing between the first one and it.
            let guess = usize::try_from(seq.saturating_sub(slots.first()?.seq)).ok();
            let guessed = guess.and_then(|at| slots.get(at)).filter(|slot| slot.seq == seq);
            guessed.cloned().or_else(|| {
                let at = slots.binary_search_by_key(&seq, |slot| slot.seq).ok()?;
                slots.get(at).cloned()
            })
        };
        match self.segments.get(&first_seq) {
            Some(segment) if !segment.sealed => Ok(find(&segment.slots)),
            Some(_) => {
                let slots = self.index(disk, first_seq)?;
                let slot = find(&slots);
                self.damaged_index(first_seq, seq, slot.is_none())?;
                Ok(slot)
            }
            None => Ok(None),
        }
    }

    /// The index of a segment.
    pub(super) fn index(
        &mut self,
        disk: &dyn Disk,
        first_seq: u64,
    ) -> Result<Arc<Vec<Slot>>, ReadError> {
        let busy = self.is_rewritten(first_seq);
        let Some(segment) = self.segments.get_mut(&first_seq) else { return Ok(Arc::default()) };
        if !segment.sealed {
            return Ok(Arc::new(segment.slots.clone()));
        }
        let indexes = &mut self.reader.indexes;
        if let Some((_, slots)) = indexes.last().filter(|(segment, _)| *segment == first_seq) {
            return Ok(Arc::clone(slots));
        }
        let slots = match indexes.iter().position(|(segment, _)| *segment == first_seq) {
            Some(at) => indexes.remove(at).1,
            None => {
                let loaded = load(disk, self.group, first_seq, segment.last_seq);
                let loaded = loaded.map_err(|error| match error {
                    SegmentError::Disk(error) => ReadError::Disk(error),
                    error => ReadError::Segment(error),
                })?;
                if busy {
                    return Ok(Arc::new(loaded.slots));
                }
                // The index has rotted since it was opened: what the records do not say is lost.
                segment.damage = loaded.damage;
                segment.end = loaded.end;
                self.read_ahead(disk, first_seq);
                Arc::new(loaded.slots)
            }
        };
        if self.reader.indexes.len() >= INDEXES {
            self.reader.indexes.remove(0);
        }
        self.reader.indexes.push((first_seq, Arc::clone(&slots)));
        Ok(slots)
    }

    /// Whoever comes to a segment from the one before it goes on to the next one: its index, and where its records begin,
    /// should be in memory by then.
    fn read_ahead(&self, disk: &dyn Disk, first_seq: u64) {
        let is_known = |seq: u64| self.reader.indexes.iter().any(|(segment, _)| *segment == seq);
        let before = self.segments.range(..first_seq).next_back();
        let mut later = self.segments.range(first_seq.saturating_add(1)..);
        if let Some((&next, segment)) = later.next()
            && segment.sealed
            && !is_known(next)
            && before.is_none_or(|(&before, _)| is_known(before))
        {
            let path = segment_path(self.group, next);
            disk.will_read(&path, &[0..self.options.block_size as u64, segment.end..u64::MAX]);
        }
    }

    /// An index that was found damaged just now must not make a record look removed.
    fn damaged_index(&self, first_seq: u64, seq: u64, absent: bool) -> Result<(), ReadError> {
        let damage = self.segments.get(&first_seq).map(|segment| &segment.damage);
        let lost = |range: &DamagedRange| (range.first..=range.last).contains(&seq);
        if absent && damage.is_some_and(|damage| damage.iter().any(lost)) {
            return Err(ReadError::Damaged { seq });
        }
        Ok(())
    }

    fn read_block(
        &mut self,
        disk: &dyn Disk,
        first_seq: u64,
        slot: &Slot,
        end: u64,
    ) -> Result<Bytes, ReadError> {
        let start = u64::from(slot.offset);
        let left = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        let len = self.options.block_size.min(left).max(slot.length as usize);
        let file = disk.open(&segment_path(self.group, first_seq))?;
        let mut block = vec![0; len];
        let read = disk.read_at(file, start, &mut block);
        disk.close(file);
        block.truncate(read?);
        let block = Bytes::from(block);
        self.reader.block = Some((first_seq, start, block.clone()));
        Ok(block.slice(..block.len().min(slot.length as usize)))
    }
}
