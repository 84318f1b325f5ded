//! Finding what is damaged in segments before somebody asks for it, and putting a peer's copy in its place.

use bytes::Bytes;
use flotilla_raft::GroupId;

use super::format::{HEADER, Slot, content_hash};
use super::job::{SegmentJob, Step, with_file};
use super::load::{Loaded, indexed, load};
use super::record::{Parsed, parse};
use super::staging::{Staging, StagingError};
use super::transfer::SegmentSummary;
use super::{SegmentError, SegmentStore, segment_path, stream_dir};
use crate::disk::{Disk, DiskError, FileId, read_exact};

/// A segment that is to be fetched from a peer, as far as this replica has flushed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedSegment {
    /// Its first sequence.
    pub first_seq: u64,
    /// The last sequence that the copy must have.
    pub through: u64,
}

/// How the check of a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrubbed {
    /// The segment's first sequence.
    pub first_seq: u64,
    /// Its last one; 0 if it was removed meanwhile.
    pub last_seq: u64,
    /// How many bytes of records it has.
    pub bytes: u64,
    /// Whether something of it is damaged.
    pub damaged: bool,
}

impl SegmentStore {
    /// The first segment that is known to be damaged: an index or records that did not open, a record that could not be
    /// read, or what a [check](Self::take_scrub) found.
    #[must_use]
    pub fn damaged(&self) -> Option<DamagedSegment> {
        let hurt = self.segments.iter().find(|(_, s)| s.is_hurt() && s.flushed > 0);
        hurt.map(|(&first_seq, segment)| DamagedSegment {
            first_seq,
            through: segment.last_seq.min(self.flushed_through),
        })
    }

    /// Whether this segment is known to be damaged.
    #[must_use]
    pub fn is_damaged(&self, first_seq: u64) -> bool {
        self.segments.get(&first_seq).is_some_and(super::Segment::is_hurt)
    }

    /// The segment that holds `seq`, as far as `through`, for a peer whose copy is damaged; `None` if this replica does
    /// not have it, has not flushed so far, or cannot read it either.
    pub fn spare(&mut self, disk: &dyn Disk, seq: u64, through: u64) -> Option<SegmentSummary> {
        let (&first_seq, segment) = self.segments.range(..=seq).next_back()?;
        let has = seq <= segment.last_seq && through.min(segment.last_seq) <= self.flushed_through;
        let fit = has && self.verify(disk, first_seq);
        fit.then(|| self.summary(disk, first_seq, through, &|_| true).ok()).flatten()
    }

    /// Reads everything that a segment has on disk, before it is handed on: rot must not travel. What is found is remembered
    /// ([`damaged`](Self::damaged)). While records of it are dropped or erased it is not to be handed on.
    pub fn verify(&mut self, disk: &dyn Disk, first_seq: u64) -> bool {
        let busy = self.is_rewritten(first_seq);
        let Some(segment) = self.segments.get(&first_seq).filter(|s| !s.is_hurt() && !busy) else {
            return false;
        };
        let (flushed, path) = (segment.flushed, segment_path(self.group, first_seq));
        let Ok(slots) = self.index(disk, first_seq) else { return false };
        let written = slots.partition_point(|slot| slot.end() <= flushed);
        let slots = slots.get(..written).unwrap_or_default();
        let good = with_file_at(disk, &path, |file| check(disk, file, self.group, slots, flushed));
        if good.is_err() {
            self.note_rot(first_seq);
        }
        good.is_ok()
    }

    /// Puts a staged segment in the place of a damaged one, and forgets the damage. No job may be at work on the stream's
    /// files.
    ///
    /// # Errors
    /// [`StagingError::Mismatch`] when it is not what was lost, as when more was flushed meanwhile: to be fetched again.
    pub fn repair(
        &mut self,
        disk: &dyn Disk,
        staging: &Staging,
        summary: &SegmentSummary,
    ) -> Result<(), StagingError> {
        let first_seq = summary.first_seq;
        let mismatch = |reason| StagingError::Mismatch { first_seq, reason };
        let flushed_through = self.flushed_through;
        let segment = self.segments.get_mut(&first_seq).ok_or(mismatch("no such segment"))?;
        if summary.last_seq != segment.last_seq.min(flushed_through) {
            return Err(mismatch("its last sequence"));
        }
        let grows = summary.last_seq < segment.last_seq || !segment.full;
        if grows && summary.bytes != segment.flushed {
            return Err(mismatch("its length"));
        }
        staging.place(disk, summary)?;
        self.reader.forget(first_seq);
        let loaded = load(disk, self.group, first_seq, summary.last_seq).map_err(staged_error)?;
        segment.rotten = false;
        segment.damage = loaded.damage;
        if grows {
            // The slots of what is not flushed yet are behind these; all of them are in memory and right.
            return Ok(());
        }
        segment.end = loaded.end;
        segment.flushed = loaded.end;
        segment.sealed = loaded.sealed;
        segment.slots = if loaded.sealed { Vec::new() } else { loaded.slots };
        Ok(())
    }

    /// Work that reads the first sealed segment behind `after` and checks every byte of it; `None` when there is none.
    /// What it finds is told by [`scrubbed`](Self::scrubbed).
    pub fn take_scrub(&mut self, after: u64) -> Option<SegmentJob> {
        let mut behind = self.segments.range(after.saturating_add(1)..);
        let (&first_seq, segment) = behind.find(|(_, s)| s.sealed && !s.is_hurt())?;
        let (bytes, last_seq) = (segment.end, segment.last_seq);
        let id = self.job_id();
        self.scrubbing.insert(id, (first_seq, bytes));
        let path = segment_path(self.group, first_seq);
        let steps = vec![Step::Verify(Verification { path, first_seq, last_seq, bytes })];
        Some(SegmentJob { group: self.group, id, steps })
    }

    /// The end of a job, if it was a check.
    pub fn scrubbed(&mut self, job: u64, result: &Result<(), DiskError>) -> Option<Scrubbed> {
        let (first_seq, bytes) = self.scrubbing.remove(&job)?;
        // One that was removed meanwhile has no file, and needs none.
        let Some(segment) = self.segments.get_mut(&first_seq) else {
            return Some(Scrubbed { first_seq, last_seq: 0, bytes, damaged: false });
        };
        let damaged = result.is_err();
        segment.rotten |= damaged;
        Some(Scrubbed { first_seq, last_seq: segment.last_seq, bytes, damaged })
    }

    /// A record of this segment, or its index, could not be read.
    pub(super) fn note_rot(&mut self, first_seq: u64) {
        if self.is_rewritten(first_seq) {
            // It will be read again when that is done.
            return;
        }
        if let Some(segment) = self.segments.get_mut(&first_seq) {
            segment.rotten = true;
        }
    }
}

fn staged_error(error: SegmentError) -> StagingError {
    match error {
        SegmentError::Disk(error) => StagingError::Disk(error),
        other => StagingError::Disk(DiskError::Io {
            operation: "repair",
            path: String::new(),
            reason: other.to_string(),
        }),
    }
}

impl Staging {
    /// Whether the stream's own file holds what `summary` names, so that it need not be fetched. Reads its index; a record
    /// that rotted under a good index is found when it is read.
    pub fn holds(&self, disk: &dyn Disk, summary: &SegmentSummary) -> Result<bool, StagingError> {
        let loaded = match load(disk, self.group(), summary.first_seq, summary.last_seq) {
            Ok(loaded) => loaded,
            Err(SegmentError::Disk(DiskError::NotFound { .. })) => return Ok(false),
            Err(SegmentError::Disk(error)) => return Err(error.into()),
            Err(_) => return Ok(false),
        };
        let slots = loaded.slots.iter().filter(|slot| slot.seq <= summary.last_seq);
        let whole = loaded.damage.is_empty() && loaded.last_seq >= summary.last_seq;
        Ok(whole && content_hash(slots) == summary.hash)
    }

    /// Moves a segment that is staged and checked into the stream, in place of whatever bears its name.
    pub fn place(&self, disk: &dyn Disk, summary: &SegmentSummary) -> Result<(), StagingError> {
        disk.rename(&self.done(summary), &segment_path(self.group(), summary.first_seq))?;
        Ok(disk.sync_dir(&stream_dir(self.group()))?)
    }
}

/// A segment to be read as a whole.
#[derive(Clone, Debug)]
pub(super) struct Verification {
    path: String,
    first_seq: u64,
    last_seq: u64,
    pub(super) bytes: u64,
}

impl Verification {
    /// Fails with the first thing that is not as it was written.
    pub(super) fn run(&self, disk: &dyn Disk, group: GroupId) -> Result<(), DiskError> {
        with_file_at(disk, &self.path, |file| {
            let Some(Loaded { slots, last_seq, end, .. }) =
                indexed(disk, file, group, self.first_seq)?
            else {
                return Err(damaged("its index is damaged".to_owned()));
            };
            if last_seq != self.last_seq {
                return Err(damaged(format!("it ends at {last_seq}, not at {}", self.last_seq)));
            }
            check(disk, file, group, &slots, end)
        })
    }
}

fn with_file_at<T>(
    disk: &dyn Disk,
    path: &str,
    work: impl FnOnce(FileId) -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    with_file(disk, disk.open(path)?, work).map_err(|error| match error {
        DiskError::Io { operation, reason, .. } => {
            DiskError::Io { operation, path: path.to_owned(), reason }
        }
        error => error,
    })
}

fn damaged(reason: String) -> DiskError {
    DiskError::Io { operation: "verify", path: String::new(), reason }
}

/// Reads a file up to `end`, and looks whether it has these records, and nothing between them.
fn check(
    disk: &dyn Disk,
    file: FileId,
    group: GroupId,
    slots: &[Slot],
    end: u64,
) -> Result<(), DiskError> {
    let len = usize::try_from(end).unwrap_or(usize::MAX);
    let Some(bytes) = read_exact(disk, file, 0, len)?.map(Bytes::from) else {
        return Err(damaged("it is cut short".to_owned()));
    };
    let mut at = HEADER;
    for slot in slots {
        let start = usize::try_from(slot.offset).unwrap_or(usize::MAX);
        let record = bytes.get(start..).map(|_| bytes.slice(start..));
        let parsed = record.and_then(|record| parse(&record, group));
        let right =
            |p: &Parsed| (p.record.seq, p.checksum) == (slot.seq, slot.checksum) && start == at;
        if !parsed.as_ref().is_some_and(right) {
            return Err(damaged(format!("record {} is damaged", slot.seq)));
        }
        at = start + slot.length as usize;
    }
    Ok(())
}
