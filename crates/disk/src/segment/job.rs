//! Work on segment files that any thread may do.

use std::io::IoSlice;

use bytes::Bytes;
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::GroupId;

use super::format::{HEADER, Slot, encode_index, header};
use super::load::{Loaded, indexed};
use super::record::{RECORD_HEADER, parse};
use super::repair::Verification;
use super::stream_dir;
use crate::disk::{Disk, DiskError, FileId, parent, read_exact};

/// What is written to one file.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) path: String,
    pub(super) create: bool,
    pub(super) offset: u64,
    /// The segment's header, if it begins here.
    pub(super) head: Vec<u8>,
    /// Headers and bodies.
    pub(super) records: Vec<([u8; RECORD_HEADER], Bytes)>,
    /// Its index and trailer, if it ends here.
    pub(super) index: Vec<u8>,
    /// Where the records end, without an index.
    pub(super) records_end: u64,
}

/// The records of a sealed segment that stay.
#[derive(Clone, Debug)]
pub(super) struct Compaction {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    pub(super) path: String,
    pub(super) live: Vec<Slot>,
}

/// A record that is put in the place of one of the same length.
#[derive(Clone, Debug)]
pub(super) struct Erasure {
    pub(super) path: String,
    pub(super) first_seq: u64,
    pub(super) seq: u64,
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
    pub(super) checksum: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Part),
    Erase(Erasure),
    Compact(Compaction),
    Remove { path: String },
    RemoveAll,
    Verify(Verification),
}

/// A piece of work on one stream's files. Whoever has run it tells the store how it ended
/// ([`SegmentStore::finished`](super::SegmentStore::finished)). Jobs of one stream run in the order in which they
/// were taken.
#[derive(Clone, Debug)]
pub struct SegmentJob {
    pub(super) group: GroupId,
    pub(super) id: u64,
    pub(super) steps: Vec<Step>,
}

impl SegmentJob {
    /// The removal of everything a stream has on disk, once the end of its replica is on stable storage. Its store is gone
    /// by then, so it has the number 0, which no store gives.
    #[must_use]
    pub fn remove_all(group: GroupId) -> Self {
        Self { group, id: 0, steps: vec![Step::RemoveAll] }
    }

    /// Whose.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Its number, for [`SegmentStore::finished`](super::SegmentStore::finished).
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// How many bytes it writes, or reads to check them.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let steps = self.steps.iter().map(|step| match step {
            Step::Write(part) => part.byte_len(),
            Step::Erase(erasure) => erasure.bytes.len(),
            Step::Compact(job) => job.live.iter().map(|slot| slot.length as usize).sum(),
            Step::Verify(check) => usize::try_from(check.bytes).unwrap_or(usize::MAX),
            Step::Remove { .. } | Step::RemoveAll => 0,
        });
        steps.sum()
    }

    /// Does it. When this returns `Ok`, all of it is durable.
    pub fn run(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        let dir = stream_dir(self.group);
        let mut names_changed = false;
        for step in &self.steps {
            match step {
                Step::Write(part) => {
                    if part.create {
                        make_dir(disk, &dir)?;
                        names_changed = true;
                    }
                    names_changed |= part.write(disk)?;
                }
                Step::Erase(erasure) => erasure.run(disk, self.group)?,
                Step::Compact(job) => {
                    job.run(disk, self.group)?;
                    names_changed = true;
                }
                Step::Verify(check) => check.run(disk, self.group)?,
                Step::RemoveAll => remove_tree(disk, &dir)?,
                Step::Remove { path } => {
                    match disk.remove(path) {
                        Ok(()) | Err(DiskError::NotFound { .. }) => {}
                        Err(error) => return Err(error),
                    }
                    names_changed = true;
                }
            }
        }
        if names_changed { disk.sync_dir(&dir) } else { Ok(()) }
    }
}

/// Removes a stream's directory with all that is in it. Not synced: what a crash leaves is read by nobody, and the next
/// start removes it.
fn remove_tree(disk: &dyn Disk, dir: &str) -> Result<(), DiskError> {
    let staging = format!("{dir}/staging");
    for dir in [staging.as_str(), dir] {
        for name in disk.list(dir)?.iter().filter(|name| *name != "staging") {
            disk.remove(&format!("{dir}/{name}"))?;
        }
        match disk.remove_dir(dir) {
            Ok(()) | Err(DiskError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Makes a directory below the store, durably.
pub(super) fn make_dir(disk: &dyn Disk, dir: &str) -> Result<(), DiskError> {
    disk.create_dir(dir)?;
    let mut above = parent(dir);
    loop {
        disk.sync_dir(above)?;
        if above.is_empty() {
            return Ok(());
        }
        above = parent(above);
    }
}

pub(super) fn open_or_create(disk: &dyn Disk, path: &str) -> Result<FileId, DiskError> {
    match disk.create(path) {
        Err(DiskError::Exists { .. }) => disk.open(path),
        made => made,
    }
}

/// Closes the file whatever happens.
pub(super) fn with_file<T, E>(
    disk: &dyn Disk,
    file: FileId,
    work: impl FnOnce(FileId) -> Result<T, E>,
) -> Result<T, E> {
    let done = work(file);
    disk.close(file);
    done
}

impl Part {
    fn byte_len(&self) -> usize {
        let records = usize::try_from(self.records_end.saturating_sub(self.offset));
        records.unwrap_or(usize::MAX).saturating_add(self.index.len())
    }

    /// Returns whether it made the file. An earlier attempt may have left one; what it holds from here on is written anew. One
    /// that is gone, although it should be there, must not hold up what comes: that what it held is lost is found when it
    /// is read, as any damage.
    fn write(&self, disk: &dyn Disk) -> Result<bool, DiskError> {
        let (file, made) = match disk.open(&self.path) {
            Err(DiskError::NotFound { .. }) => (open_or_create(disk, &self.path)?, true),
            file => (file?, false),
        };
        with_file(disk, file, |file| {
            let records = self.records.iter().flat_map(|(header, body)| [&header[..], body]);
            let parts = [&self.head[..]].into_iter().chain(records).chain([&self.index[..]]);
            // Some are left out, so that an iterator does not know how many there are.
            let mut slices = Vec::with_capacity(2 * self.records.len() + 2);
            slices.extend(parts.filter(|part| !part.is_empty()).map(IoSlice::new));
            disk.write_vectored_at(file, self.offset, &slices)?;
            let end = self.offset + self.byte_len() as u64;
            if disk.len(file)? > end {
                disk.truncate(file, end)?;
            }
            if is_on(Mutation::SegmentNotSynced) { Ok(()) } else { disk.sync_data(file) }
        })?;
        Ok(made)
    }
}

impl Erasure {
    /// Overwrites the record, and its checksum in the index, if the segment is sealed by now: replicas compare segments
    /// by these checksums. A crash in between leaves a record that is erased and an index that says otherwise; nobody
    /// reads what is erased, and a peer that fetches the segment finds it different from the manifest.
    fn run(&self, disk: &dyn Disk, group: GroupId) -> Result<(), DiskError> {
        with_file(disk, disk.open(&self.path)?, |file| {
            disk.write_vectored_at(file, self.offset, &[IoSlice::new(&self.bytes)])?;
            if let Some(mut loaded) = indexed(disk, file, group, self.first_seq)?
                && let Some(slot) = loaded.slots.iter_mut().find(|slot| slot.seq == self.seq)
            {
                slot.checksum = self.checksum;
                let Loaded { last_seq, end, slots, .. } = &loaded;
                let index = encode_index(group, self.first_seq, *last_seq, *end, slots);
                disk.write_vectored_at(file, *end, &[IoSlice::new(&index)])?;
            }
            disk.sync_data(file)
        })
    }
}

impl Compaction {
    /// Writes the live records to a new file and puts it in the place of the old one.
    fn run(&self, disk: &dyn Disk, group: GroupId) -> Result<(), DiskError> {
        let fresh = format!("{}.compact", self.path);
        let mut bytes = header(group, self.first_seq);
        let mut slots = Vec::with_capacity(self.live.len());
        with_file(disk, disk.open(&self.path)?, |file| {
            for slot in &self.live {
                let read = read_exact(disk, file, u64::from(slot.offset), slot.length as usize)?;
                let good = read.map(Bytes::from).filter(|record| parse(record, group).is_some());
                // Dropping a damaged record would hide the damage.
                let good = good.ok_or_else(|| DiskError::Io {
                    operation: "compact",
                    path: self.path.clone(),
                    reason: format!("record {} is damaged; it must be repaired first", slot.seq),
                })?;
                let offset = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                slots.push(Slot { offset, ..slot.clone() });
                bytes.extend_from_slice(&good);
            }
            Ok(())
        })?;
        debug_assert!(bytes.len() >= HEADER);
        let end = bytes.len() as u64;
        bytes.extend(encode_index(group, self.first_seq, self.last_seq, end, &slots));
        with_file(disk, open_or_create(disk, &fresh)?, |file| {
            disk.truncate(file, 0)?;
            disk.write_vectored_at(file, 0, &[IoSlice::new(&bytes)])?;
            disk.sync_data(file)
        })?;
        disk.rename(&fresh, &self.path)
    }
}
