//! The committed messages of one stream, in files (docs/storage-format.md §3).
//!
//! Appending touches no disk: records wait in the *tail*, readable at once, until a [`SegmentJob`] has
//! written them. Jobs run on whatever thread the shell likes; the store is told how they ended.

mod format;
mod job;
mod load;
mod read;
mod record;
mod repair;
mod staging;
#[cfg(test)]
mod tests;
mod transfer;
mod trim;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use flotilla_raft::GroupId;
use thiserror::Error;

pub use job::SegmentJob;
pub use load::{DamagedRange, OpenedSegments};
pub use read::ReadError;
pub use record::{SegmentRecord, SegmentRecordMeta};
pub use repair::{DamagedSegment, Scrubbed};
pub use staging::{Staging, StagingError};
pub use transfer::SegmentSummary;

use crate::disk::DiskError;
use format::{HEADER, Slot, encode_index, header};
use job::{Part, Step};
use read::Reader;
use record::RECORD_HEADER;

/// Sizes of a stream's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentOptions {
    /// A segment ends with the record that brings it to this many bytes. Must be equal on all replicas.
    pub segment_size: u64,
    /// A flush takes at least one record and not many more bytes than this.
    pub flush_size: usize,
    /// So many bytes are read at once for sequential readers.
    pub block_size: usize,
}

impl Default for SegmentOptions {
    /// 8 MiB segments, flushes of 4 MiB, blocks of 128 KiB.
    fn default() -> Self {
        Self { segment_size: 8 << 20, flush_size: 4 << 20, block_size: 128 << 10 }
    }
}

/// Why segments cannot be opened, or a record cannot be appended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SegmentError {
    /// A disk call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Written by a later version of this server.
    #[error(
        "{path} has segment format version {found}, which this server does not know: upgrade it"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u16,
    },
    /// Sequences only grow.
    #[error("record {seq} of group {group} does not come behind the last one, {last}")]
    OutOfOrder {
        /// The stream's group.
        group: GroupId,
        /// The record.
        seq: u64,
        /// The last one.
        last: u64,
    },
    /// A part of the record is longer than the format can say.
    #[error("record {seq} of group {group} is too long to be stored")]
    TooLong {
        /// The stream's group.
        group: GroupId,
        /// The record.
        seq: u64,
    },
}

/// One file, or what will be one.
#[derive(Debug)]
struct Segment {
    /// The last sequence appended.
    last_seq: u64,
    /// Where its records end, once all are written.
    end: u64,
    /// Up to here it is durable.
    flushed: u64,
    /// No record is appended to it any more.
    full: bool,
    /// Its index is durable; the slots can be read from there.
    sealed: bool,
    /// Its records, unless it is sealed.
    slots: Vec<Slot>,
    /// What of it is known to be lost.
    damage: Vec<DamagedRange>,
    /// Something of it could not be read, or was not as it was written.
    rotten: bool,
}

/// A record that is not known to be durable in its file.
#[derive(Debug)]
struct TailRecord {
    /// The first sequence of its segment.
    segment: u64,
    offset: u64,
    header: [u8; RECORD_HEADER],
    record: SegmentRecord,
    erased: bool,
}

/// A job that is being carried out.
#[derive(Debug)]
struct InFlight {
    id: u64,
    through: u64,
    /// (segment, flushed up to, sealed).
    reached: Vec<(u64, u64, bool)>,
}

/// The segments of one stream.
#[derive(Debug)]
pub struct SegmentStore {
    group: GroupId,
    options: SegmentOptions,
    segments: BTreeMap<u64, Segment>,
    tail: VecDeque<TailRecord>,
    tail_bytes: usize,
    last_seq: u64,
    flushed_through: u64,
    removed_through: u64,
    /// Removed segments whose files still stand, by first sequence, with their last one.
    doomed: BTreeMap<u64, u64>,
    /// Erased while they, or the segment they are in, were being written.
    erase_later: Vec<u64>,
    in_flight: Option<InFlight>,
    /// Segments of which flushed records are being dropped or erased, by job: one job for each.
    rewriting: BTreeMap<u64, u64>,
    /// Segments that are being checked, by job: first sequence, and bytes of records.
    scrubbing: BTreeMap<u64, (u64, u64)>,
    next_job: u64,
    reader: Reader,
    /// No slots, but the memory of a sealed segment's, for those of the next one.
    spare: Vec<Slot>,
}

/// Where a stream's segments are.
pub(crate) fn stream_dir(group: GroupId) -> String {
    format!("streams/{:016x}", group.0)
}

fn segment_path(group: GroupId, first_seq: u64) -> String {
    format!("{}/{first_seq:016x}.seg", stream_dir(group))
}

impl SegmentStore {
    /// Takes a record behind the last one. It can be read at once; it is durable here once a flush that
    /// covers it has ended (until then, the log has it).
    pub fn append(&mut self, record: SegmentRecord) -> Result<(), SegmentError> {
        let (group, seq) = (self.group, record.seq);
        if seq <= self.last_seq {
            return Err(SegmentError::OutOfOrder { group, seq, last: self.last_seq });
        }
        let too_long = SegmentError::TooLong { group, seq };
        let header = record.header(group).ok_or(too_long.clone())?;
        let active = self.segments.last_entry().filter(|last| !last.get().full);
        let first_seq = active.as_ref().map_or(seq, |active| *active.key());
        let start = active.map_or(HEADER as u64, |active| active.get().end);
        let offset = u32::try_from(start).map_err(|_| too_long.clone())?;
        let end = start + record.stored_len();
        if u32::try_from(end).is_err() {
            return Err(too_long);
        }
        let spare = &mut self.spare;
        let begin = || Segment { slots: std::mem::take(spare), ..Segment::new() };
        let segment = self.segments.entry(first_seq).or_insert_with(begin);
        let slot = Slot {
            seq,
            time: record.time,
            offset,
            length: u32::try_from(record.stored_len()).unwrap_or(u32::MAX),
            headers_len: record.headers_len,
            checksum: u32::from_le_bytes([header[4], header[5], header[6], header[7]]),
            subject: segment.subject(record.subject()),
        };
        segment.slots.push(slot);
        segment.last_seq = seq;
        segment.end = end;
        segment.full = end - HEADER as u64 >= self.options.segment_size;
        self.last_seq = seq;
        self.tail_bytes += usize::try_from(record.stored_len()).unwrap_or(usize::MAX);
        let segment = first_seq;
        self.tail.push_back(TailRecord { segment, offset: start, header, record, erased: false });
        Ok(())
    }

    /// Nothing is appended for now: what is only kept for its memory goes.
    pub fn rest(&mut self) {
        self.spare = Vec::new();
    }

    /// Bytes that wait for a flush or for its end.
    #[must_use]
    pub fn tail_bytes(&self) -> usize {
        self.tail_bytes
    }

    /// The last sequence appended; 0 without one.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Every record up to here is durable in its file: the flush point that a base may name.
    #[must_use]
    pub fn flushed_through(&self) -> u64 {
        self.flushed_through
    }

    /// Work that makes the oldest records of the tail durable; `None` if there are none or a flush is
    /// under way. Its end is told by [`finished`](Self::finished).
    pub fn take_flush(&mut self) -> Option<SegmentJob> {
        if self.in_flight.is_some() {
            return None;
        }
        let through = self.flush_end();
        let mut reached = Vec::new();
        let mut parts = Vec::new();
        for (&first_seq, segment) in self.segments.iter().filter(|(_, s)| !s.sealed) {
            let part = self.part(first_seq, segment, through);
            if let Some((part, seals)) = part {
                reached.push((first_seq, part.records_end, seals));
                parts.push(Step::Write(part));
            }
        }
        if parts.is_empty() {
            return None;
        }
        let id = self.job_id();
        self.in_flight = Some(InFlight { id, through, reached });
        Some(SegmentJob { group: self.group, id, steps: parts })
    }

    /// The end of a job. A flush or a compaction that failed leaves everything as it was; what it should have
    /// written is written anew, from memory, by the next one. After a failed sync the host should rather
    /// stop: the disk cannot be trusted.
    pub fn finished(&mut self, job: u64, result: &Result<(), DiskError>) {
        if let Some(first_seq) = self.rewriting.remove(&job) {
            self.reader.forget(first_seq);
            return;
        }
        let Some(flight) = self.in_flight.take_if(|flight| flight.id == job) else { return };
        if result.is_err() {
            return;
        }
        for (first_seq, flushed, sealed) in flight.reached {
            if let Some(segment) = self.segments.get_mut(&first_seq) {
                segment.flushed = flushed;
                segment.sealed = sealed;
                if sealed {
                    self.spare = std::mem::take(&mut segment.slots);
                    self.spare.clear();
                }
            }
        }
        self.flushed_through = self.flushed_through.max(flight.through);
        while let Some(done) = self.tail.pop_front_if(|tail| tail.record.seq <= flight.through) {
            let len = usize::try_from(done.record.stored_len()).unwrap_or(usize::MAX);
            self.tail_bytes = self.tail_bytes.saturating_sub(len);
        }
    }

    fn job_id(&mut self) -> u64 {
        self.next_job += 1;
        self.next_job
    }

    /// The last sequence of the next flush.
    fn flush_end(&self) -> u64 {
        let mut bytes = 0_usize;
        let mut through = self.flushed_through;
        for tail in &self.tail {
            if bytes >= self.options.flush_size {
                break;
            }
            bytes += usize::try_from(tail.record.stored_len()).unwrap_or(usize::MAX);
            through = tail.record.seq;
        }
        through
    }

    /// What of one segment a flush through `through` writes, and whether that seals it.
    fn part(&self, first_seq: u64, segment: &Segment, through: u64) -> Option<(Part, bool)> {
        let from = self.tail.partition_point(|tail| tail.record.seq < first_seq);
        let last = through.min(segment.last_seq);
        let to = self.tail.partition_point(|tail| tail.record.seq <= last).max(from);
        let tail = self.tail.range(from..to);
        let end = segment.flushed.max(HEADER as u64);
        let end = tail.clone().next_back().map_or(end, |t| t.offset + t.record.stored_len());
        let seals = segment.full && end == segment.end && segment.damage.is_empty();
        if tail.len() == 0 && !seals {
            return None;
        }
        let create = segment.flushed == 0;
        let head = if create { header(self.group, first_seq) } else { Vec::new() };
        let records = tail.map(|tail| (tail.header, tail.record.body.clone())).collect();
        let (last, slots) = (segment.last_seq, &segment.slots);
        let index = seals.then(|| encode_index(self.group, first_seq, last, end, slots));
        let index = index.unwrap_or_default();
        let path = segment_path(self.group, first_seq);
        let offset = segment.flushed;
        Some((Part { path, create, offset, head, records, index, records_end: end }, seals))
    }
}

impl Segment {
    fn new() -> Self {
        Self {
            last_seq: 0,
            end: HEADER as u64,
            flushed: 0,
            full: false,
            sealed: false,
            slots: Vec::new(),
            damage: Vec::new(),
            rotten: false,
        }
    }

    /// The subject for a slot. Neighbours often have the same one, and share it then. It is a copy: it stays for longer than
    /// the entry that brought it.
    fn subject(&self, subject: &[u8]) -> Bytes {
        let same = self.slots.last().filter(|last| last.subject == subject);
        same.map_or_else(|| Bytes::copy_from_slice(subject), |last| last.subject.clone())
    }

    /// Whether a peer's copy is needed.
    fn is_hurt(&self) -> bool {
        self.rotten || !self.damage.is_empty()
    }
}
