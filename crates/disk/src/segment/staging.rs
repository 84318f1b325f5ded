//! The receiving side of a catch-up: parts, checked segments, and the switch (docs/storage-format.md §3, staging).

use bytes::Bytes;
use flotilla_raft::GroupId;
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use super::format::{HEADER, Slot, content_hash, encode_index};
use super::job::{make_dir, open_or_create, with_file};
use super::record::parse;
use super::transfer::SegmentSummary;
use super::{segment_path, stream_dir};
use crate::disk::{Disk, DiskError, read_whole, write_at};
use crate::fields::Fields;

const READY: &str = "ready";
const READY_MAGIC: &[u8; 4] = b"FRDY";
const READY_VERSION: u16 = 1;
const READY_LIMIT: u64 = 16 << 20;

/// Why a segment was not taken in.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StagingError {
    /// A disk call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A chunk does not go where the part ends.
    #[error("segment {first_seq}: a chunk for offset {offset}, but the part has {len} bytes")]
    Offset {
        /// The segment.
        first_seq: u64,
        /// Where the chunk was to go.
        offset: u64,
        /// Where the part ends.
        len: u64,
    },
    /// The part is whole and is not what the manifest says; it was thrown away.
    #[error("segment {first_seq}: what came is not what the manifest says: {reason}")]
    Mismatch {
        /// The segment.
        first_seq: u64,
        /// What is wrong.
        reason: &'static str,
    },
    /// A segment that the switch needs is neither staged nor here.
    #[error("segment {first_seq} is neither staged nor here")]
    Missing {
        /// The segment.
        first_seq: u64,
    },
}

/// What a staged segment is named by: its first sequence, and its content hash, so that what was staged for another
/// state is not taken for what this one needs.
type Named = (u64, u64);

/// Segments of one stream on their way in. It keeps nothing in memory: after a crash a transfer goes on
/// where its parts end.
#[derive(Clone, Copy, Debug)]
pub struct Staging {
    group: GroupId,
}

impl Staging {
    /// The stream's staging area.
    #[must_use]
    pub fn new(group: GroupId) -> Self {
        Self { group }
    }

    /// Where the transfer of this segment goes on; `None` if it is done.
    pub fn next_offset(
        &self,
        disk: &dyn Disk,
        summary: &SegmentSummary,
    ) -> Result<Option<u64>, StagingError> {
        if exists(disk, &self.done(summary))? {
            return Ok(None);
        }
        match disk.open(&self.part(summary)) {
            Ok(file) => Ok(Some(with_file(disk, file, |file| disk.len(file))?)),
            Err(DiskError::NotFound { .. }) => Ok(Some(0)),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a chunk where the part ends. Not synced: [`finish`](Self::finish) checks and syncs the whole.
    pub fn write(
        &self,
        disk: &dyn Disk,
        summary: &SegmentSummary,
        offset: u64,
        chunk: &[u8],
    ) -> Result<(), StagingError> {
        let first_seq = summary.first_seq;
        if offset == 0 {
            make_dir(disk, &self.dir())?;
        }
        with_file(disk, open_or_create(disk, &self.part(summary))?, |file| {
            let len = disk.len(file)?;
            if len != offset {
                return Err(StagingError::Offset { first_seq, offset, len });
            }
            Ok(write_at(disk, file, offset, chunk)?)
        })
    }

    /// Checks a whole part, every record of it, against the manifest, and makes it durable. `is_live` is the
    /// manifest's. A part that fails is thrown away.
    pub fn finish(
        &self,
        disk: &dyn Disk,
        summary: &SegmentSummary,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Result<(), StagingError> {
        let first_seq = summary.first_seq;
        if exists(disk, &self.done(summary))? {
            return Ok(());
        }
        let path = self.part(summary);
        with_file(disk, disk.open(&path)?, |file| {
            let bytes = Bytes::from(read_whole(disk, file, summary.bytes.saturating_add(1))?);
            let slots = match self.check(&bytes, summary, is_live) {
                Ok(slots) => slots,
                Err(reason) => {
                    disk.remove(&path)?;
                    return Err(StagingError::Mismatch { first_seq, reason });
                }
            };
            if summary.sealed {
                let SegmentSummary { last_seq, bytes: end, .. } = *summary;
                let index = encode_index(self.group, first_seq, last_seq, end, &slots);
                write_at(disk, file, end, &index)?;
            }
            let synced = disk.sync_data(file);
            if synced.is_err() {
                // Its pages count as clean now, whatever of them is on the disk: the next sync would find nothing to do.
                disk.remove(&path)?;
            }
            Ok(synced?)
        })?;
        disk.rename(&path, &self.done(summary))?;
        Ok(disk.sync_dir(&self.dir())?)
    }

    /// Says that all of `segments`, the whole manifest, are done or here already. The next
    /// thing to be synced is the base at `base_index` in the log; then [`switch`](Self::switch).
    pub fn ready(
        &self,
        disk: &dyn Disk,
        base_index: u64,
        segments: &[SegmentSummary],
    ) -> Result<(), StagingError> {
        for summary in segments {
            let first_seq = summary.first_seq;
            if !exists(disk, &self.done(summary))? && !self.is_here(disk, first_seq)? {
                return Err(StagingError::Missing { first_seq });
            }
        }
        make_dir(disk, &self.dir())?;
        let path = self.ready_path();
        let bytes = encode_ready(base_index, segments);
        with_file(disk, open_or_create(disk, &path)?, |file| {
            disk.truncate(file, 0)?;
            write_at(disk, file, 0, &bytes)?;
            disk.sync_data(file)
        })?;
        Ok(disk.sync_dir(&self.dir())?)
    }

    /// Moves the staged segments in and removes those that are not in the list, if [`ready`](Self::ready) was
    /// said for the base in force, `base_index`; returns whether so. To be called before the segments are opened, at
    /// every start and after the base is synced; may be repeated.
    pub fn switch(&self, disk: &dyn Disk, base_index: u64) -> Result<bool, StagingError> {
        let file = match disk.open(&self.ready_path()) {
            Err(DiskError::NotFound { .. }) => return Ok(false),
            file => file?,
        };
        let bytes = with_file(disk, file, |file| read_whole(disk, file, READY_LIMIT))?;
        let ready = decode_ready(&bytes).filter(|(index, _)| *index == base_index);
        let switched = match ready {
            Some((_, segments)) => {
                self.move_in(disk, &segments)?;
                true
            }
            None => false,
        };
        disk.remove(&self.ready_path())?;
        disk.sync_dir(&self.dir())?;
        Ok(switched)
    }

    /// Throws away everything that is staged.
    pub fn discard(&self, disk: &dyn Disk) -> Result<(), StagingError> {
        let dir = self.dir();
        for name in disk.list(&dir)? {
            disk.remove(&format!("{dir}/{name}"))?;
        }
        match disk.remove_dir(&dir) {
            Err(DiskError::NotFound { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }

    fn move_in(&self, disk: &dyn Disk, segments: &[Named]) -> Result<(), StagingError> {
        for &(first_seq, hash) in segments {
            let done = self.file((first_seq, hash), "done");
            if exists(disk, &done)? {
                disk.rename(&done, &segment_path(self.group, first_seq))?;
            } else if !self.is_here(disk, first_seq)? {
                return Err(StagingError::Missing { first_seq });
            }
        }
        let dir = stream_dir(self.group);
        for name in disk.list(&dir)?.into_iter().filter(|name| name.ends_with(".seg")) {
            let path = format!("{dir}/{name}");
            if !segments.iter().any(|(first_seq, _)| segment_path(self.group, *first_seq) == path) {
                disk.remove(&path)?;
            }
        }
        disk.sync_dir(&dir)?;
        // What is left was staged for states that were not taken over.
        let staging = self.dir();
        for name in disk.list(&staging)?.into_iter().filter(|name| name != READY) {
            disk.remove(&format!("{staging}/{name}"))?;
        }
        Ok(disk.sync_dir(&staging)?)
    }

    /// The slots of a whole part, or what is wrong with it.
    fn check(
        &self,
        bytes: &Bytes,
        summary: &SegmentSummary,
        is_live: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<Slot>, &'static str> {
        if bytes.len() as u64 != summary.bytes {
            return Err("its length");
        }
        let mut slots: Vec<Slot> = Vec::new();
        let mut at = HEADER;
        while at < bytes.len() {
            let parsed = parse(&bytes.slice(at..), self.group).ok_or("a record is damaged")?;
            let after = slots.last().map_or(summary.first_seq, |slot| slot.seq.saturating_add(1));
            if !(after..=summary.last_seq).contains(&parsed.record.seq) {
                return Err("a sequence is out of order");
            }
            let slot = Slot::of(&parsed, u32::try_from(at).map_err(|_| "its length")?);
            at += slot.length as usize;
            slots.push(slot);
        }
        if content_hash(slots.iter().filter(|slot| is_live(slot.seq))) != summary.hash {
            return Err("its content hash");
        }
        Ok(slots)
    }

    pub(super) fn group(&self) -> GroupId {
        self.group
    }

    fn dir(&self) -> String {
        format!("{}/staging", stream_dir(self.group))
    }

    fn part(&self, summary: &SegmentSummary) -> String {
        self.file((summary.first_seq, summary.hash), "part")
    }

    pub(super) fn done(&self, summary: &SegmentSummary) -> String {
        self.file((summary.first_seq, summary.hash), "done")
    }

    fn file(&self, (first_seq, hash): Named, kind: &str) -> String {
        format!("{}/{first_seq:016x}-{hash:016x}.{kind}", self.dir())
    }

    fn ready_path(&self) -> String {
        format!("{}/{READY}", self.dir())
    }

    fn is_here(&self, disk: &dyn Disk, first_seq: u64) -> Result<bool, DiskError> {
        exists(disk, &segment_path(self.group, first_seq))
    }
}

fn exists(disk: &dyn Disk, path: &str) -> Result<bool, DiskError> {
    match disk.open(path) {
        Ok(file) => {
            disk.close(file);
            Ok(true)
        }
        Err(DiskError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn encode_ready(base_index: u64, segments: &[SegmentSummary]) -> Vec<u8> {
    let mut bytes = READY_MAGIC.to_vec();
    bytes.extend_from_slice(&READY_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&base_index.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(segments.len()).unwrap_or(u32::MAX).to_le_bytes());
    for SegmentSummary { first_seq, hash, .. } in segments {
        bytes.extend_from_slice(&first_seq.to_le_bytes());
        bytes.extend_from_slice(&hash.to_le_bytes());
    }
    let check = xxh3_64(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

fn decode_ready(bytes: &[u8]) -> Option<(u64, Vec<Named>)> {
    let (covered, check) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    if xxh3_64(covered) != Fields(check).u64()? {
        return None;
    }
    let mut fields = Fields(covered);
    if fields.take(4)? != READY_MAGIC || fields.u16()? != READY_VERSION {
        return None;
    }
    fields.take(2)?;
    let base_index = fields.u64()?;
    let count = fields.u32()?;
    let segments =
        (0..count).map(|_| Some((fields.u64()?, fields.u64()?))).collect::<Option<_>>()?;
    Some((base_index, segments))
}
