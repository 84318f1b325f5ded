//! Getting rid of records: whole segments from the front, dropped ones within, erased ones.

use bytes::Bytes;
use flotilla_raft::GroupId;

use super::format::Slot;
use super::job::{Compaction, Erasure, SegmentJob, Step};
use super::read::ReadError;
use super::record::{RECORD_HEADER, SegmentRecord, parse};
use super::{Segment, SegmentStore, segment_path};
use crate::disk::Disk;

impl SegmentStore {
    /// Everything up to `seq` is removed: it is not read any more. Files go by [`take_removals`](Self::take_removals).
    pub fn remove_through(&mut self, seq: u64) {
        self.removed_through = self.removed_through.max(seq);
        // A damaged one is never sealed any more.
        let done = |segment: &Segment| segment.sealed || segment.full && segment.is_hurt();
        let gone = |segment: &Segment| done(segment) && segment.last_seq <= seq;
        while let Some(first) = self.segments.first_entry().filter(|first| gone(first.get())) {
            let (first_seq, segment) = first.remove_entry();
            self.reader.forget(first_seq);
            self.doomed.insert(first_seq, segment.last_seq);
        }
    }

    /// Work that removes the files of removed segments. `durable_through`: what a base that is synced in the log
    /// says is removed; only so much may go, or a crash would miss what it still names.
    pub fn take_removals(&mut self, durable_through: u64) -> Option<SegmentJob> {
        let free = self.doomed.iter().filter(|(_, last)| **last <= durable_through);
        let free: Vec<u64> = free.map(|(first_seq, _)| *first_seq).collect();
        if free.is_empty() {
            return None;
        }
        self.doomed.retain(|first_seq, _| !free.contains(first_seq));
        let path = |first_seq| segment_path(self.group, first_seq);
        let steps = free.into_iter().map(|first_seq| Step::Remove { path: path(first_seq) });
        let steps = steps.collect();
        Some(SegmentJob { group: self.group, id: self.job_id(), steps })
    }

    /// Work that drops from a sealed segment what `is_live` does not name; `None` if it is not sealed, nothing is to
    /// drop, or it is being compacted. Its last sequence must be covered by a synced base.
    pub fn compact(
        &mut self,
        disk: &dyn Disk,
        first_seq: u64,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Result<Option<SegmentJob>, ReadError> {
        let busy = self.is_rewritten(first_seq);
        let sealed = self.segments.get(&first_seq).filter(|segment| segment.sealed && !busy);
        let Some(last_seq) = sealed.map(|segment| segment.last_seq) else { return Ok(None) };
        let slots = self.index(disk, first_seq)?;
        let live: Vec<_> = slots.iter().filter(|slot| is_live(slot.seq)).cloned().collect();
        if live.len() == slots.len() {
            return Ok(None);
        }
        let id = self.job_id();
        self.rewriting.insert(id, first_seq);
        let path = segment_path(self.group, first_seq);
        let steps = vec![Step::Compact(Compaction { first_seq, last_seq, path, live })];
        Ok(Some(SegmentJob { group: self.group, id, steps }))
    }

    /// The sealed segments: first sequence, last sequence and bytes of records on disk.
    pub fn sealed(&self) -> impl Iterator<Item = (u64, u64, u64)> {
        let sealed = self.segments.iter().filter(|(_, segment)| segment.sealed);
        sealed.map(|(first_seq, segment)| (*first_seq, segment.last_seq, segment.end))
    }

    /// Overwrites headers and payload of a record with zeros: at once in memory, by the returned job on disk; `None` if
    /// nothing of it is on disk. A record in the middle of a flush, or in a segment that another job is at work on, is
    /// overwritten behind it ([`take_late_erasures`](Self::take_late_erasures)). To be called when a base that does not name
    /// the record is synced: a crash would miss it otherwise. The log keeps its copy until that part
    /// is reclaimed.
    pub fn erase(&mut self, disk: &dyn Disk, seq: u64) -> Result<Option<SegmentJob>, ReadError> {
        if let Ok(at) = self.tail.binary_search_by_key(&seq, |tail| tail.record.seq) {
            if self.in_flight.as_ref().is_some_and(|flight| seq <= flight.through) {
                self.erase_later.push(seq);
                return Ok(None);
            }
            self.erase_in_tail(at);
            return Ok(None);
        }
        let Some((&first_seq, _)) = self.segments.range(..=seq).next_back() else {
            return Ok(None);
        };
        if self.is_rewritten(first_seq) {
            self.erase_later.push(seq);
            return Ok(None);
        }
        let Some(slot) = self.slot(disk, first_seq, seq)? else { return Ok(None) };
        let Some(bytes) = blank(&slot).erased(self.group).map(Bytes::from) else { return Ok(None) };
        let Some(checksum) = parse(&bytes, self.group).map(|erased| erased.checksum) else {
            return Ok(None);
        };
        self.reader.forget(first_seq);
        if let Some(segment) = self.segments.get_mut(&first_seq) {
            segment.set_checksum(seq, checksum);
        }
        let id = self.job_id();
        self.rewriting.insert(id, first_seq);
        let (path, offset) = (segment_path(self.group, first_seq), u64::from(slot.offset));
        let steps = vec![Step::Erase(Erasure { path, first_seq, seq, offset, bytes, checksum })];
        Ok(Some(SegmentJob { group: self.group, id, steps }))
    }

    /// Whether a job is at work within it: what is read there meanwhile may be of before and of after.
    pub(super) fn is_rewritten(&self, first_seq: u64) -> bool {
        self.rewriting.values().any(|segment| *segment == first_seq)
    }

    /// The erasures that waited for the end of another job.
    pub fn take_late_erasures(&mut self, disk: &dyn Disk) -> Result<Vec<SegmentJob>, ReadError> {
        let mut jobs = Vec::new();
        for seq in std::mem::take(&mut self.erase_later) {
            jobs.extend(self.erase(disk, seq)?);
        }
        Ok(jobs)
    }

    fn erase_in_tail(&mut self, at: usize) {
        let group: GroupId = self.group;
        let Some(tail) = self.tail.get_mut(at) else { return };
        let Some(erased) = tail.record.erased(group).map(Bytes::from) else { return };
        let Some((header, _)) = erased.split_first_chunk() else { return };
        let Some(parsed) = parse(&erased, group) else { return };
        tail.header = *header;
        tail.record = parsed.record;
        tail.erased = true;
        if let Some(segment) = self.segments.get_mut(&tail.segment) {
            segment.set_checksum(tail.record.seq, parsed.checksum);
        }
    }
}

impl Segment {
    /// A record of it has become another one. A sealed segment's slots are not here; its index is on disk.
    fn set_checksum(&mut self, seq: u64, checksum: u32) {
        if let Ok(at) = self.slots.binary_search_by_key(&seq, |slot| slot.seq)
            && let Some(slot) = self.slots.get_mut(at)
        {
            slot.checksum = checksum;
        }
    }
}

/// A record of the right shape, without the right contents.
fn blank(slot: &Slot) -> SegmentRecord {
    let mut body = slot.subject.to_vec();
    let subject_len = u16::try_from(body.len()).unwrap_or(u16::MAX);
    body.resize((slot.length as usize).saturating_sub(RECORD_HEADER), 0);
    let Slot { seq, time, headers_len, .. } = *slot;
    SegmentRecord { seq, time, body: body.into(), subject_len, headers_len }
}
