//! The files of the log: their names, their preparation, their reuse.

use crate::disk::{Disk, DiskError, write_at};

/// The directory of the log's files. These are written in whole blocks, one behind the other, and read only when the store
/// is opened: a [`Disk`] does well to keep them out of memory.
pub const LOG_DIR: &str = "wal";
pub(super) const DIR: &str = LOG_DIR;
/// Files are prepared in pieces of this size: a sync of the log waits for no more than one of them.
const CHUNK: usize = 256 << 10;
/// Devices take memory that begins at a multiple of this.
const ALIGN: usize = 4096;

pub(super) fn log_path(generation: u64) -> String {
    format!("{DIR}/{generation:016x}.wal")
}

pub(super) fn spare_path(number: u64) -> String {
    format!("{DIR}/spare-{number:016x}")
}

pub(super) fn zeroing_path(number: u64) -> String {
    format!("{DIR}/zeroing-{number:016x}")
}

/// What a name in the log's directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Log(u64),
    Spare(u64),
    /// Half-written; of no use.
    Zeroing,
    Foreign,
}

impl Name {
    pub(super) fn of(name: &str) -> Self {
        let number = |hex: &str| (hex.len() == 16).then(|| u64::from_str_radix(hex, 16).ok())?;
        if let Some(generation) = name.strip_suffix(".wal").and_then(number) {
            return Self::Log(generation);
        }
        if let Some(spare) = name.strip_prefix("spare-").and_then(number) {
            return Self::Spare(spare);
        }
        if name.starts_with("zeroing-") { Self::Zeroing } else { Self::Foreign }
    }
}

/// Work on files that are not part of the log, which the log's writer does not wait for. Slow; may run on any thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpareJob {
    pub(super) number: u64,
    pub(super) work: Work,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// The making of a spare file of that length: all its blocks are written and synced, so that a later sync of the
    /// log has no metadata to write.
    Make(u64),
    /// The removal of a file that is one too many. Freeing its blocks can take long.
    Remove,
    /// The removal of a spare.
    GiveUp,
}

impl SpareJob {
    /// Does it. After an error nothing is left that the next open would take for a spare.
    pub fn run(&self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.run_slowly(disk, &mut || ())
    }

    /// The same; `pause` is called after each piece of a file that is made. Nobody is in a hurry for it, and others use the
    /// disk.
    pub fn run_slowly(&self, disk: &dyn Disk, pause: &mut dyn FnMut()) -> Result<(), DiskError> {
        let path = zeroing_path(self.number);
        let len = match self.work {
            Work::Make(len) => len,
            Work::Remove => return disk.remove(&path),
            Work::GiveUp => return disk.remove(&spare_path(self.number)),
        };
        // What has no place is not begun: it would fill up the disk, and take as long as if it had.
        if disk.free_space().is_ok_and(|free| free < len) {
            return Err(DiskError::NoSpace { operation: "prepare", path });
        }
        let made = self.zero(disk, &path, len, pause);
        if made.is_err() {
            // Best effort: what is left goes at the next open.
            let _ = disk.remove(&path);
        }
        made
    }

    fn zero(
        &self,
        disk: &dyn Disk,
        path: &str,
        len: u64,
        pause: &mut dyn FnMut(),
    ) -> Result<(), DiskError> {
        let file = disk.create(path)?;
        let zeros = vec![0; usize::try_from(len).unwrap_or(CHUNK).min(CHUNK) + ALIGN];
        // From where a disk takes them without a copy.
        let zeros = zeros.get(zeros.as_ptr().align_offset(ALIGN)..).unwrap_or(&zeros);
        let mut at = 0;
        let written = loop {
            let chunk = usize::try_from(len - at).unwrap_or(CHUNK).min(CHUNK);
            let Some(chunk) = zeros.get(..chunk).filter(|chunk| !chunk.is_empty()) else {
                break disk.sync_data(file);
            };
            if let Err(error) = write_at(disk, file, at, chunk) {
                break Err(error);
            }
            at += chunk.len() as u64;
            pause();
        };
        disk.close(file);
        written?;
        disk.rename(path, &spare_path(self.number))?;
        disk.sync_dir(DIR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem_disk::{MemDisk, Operation};

    #[test]
    fn a_file_is_made_in_pieces_with_pauses() {
        let disk = MemDisk::new();
        disk.create_dir(DIR).unwrap();
        let len = 3 * CHUNK as u64 + 4096;
        let job = SpareJob { number: 1, work: Work::Make(len) };
        let mut written = Vec::new();
        job.run_slowly(&disk, &mut || written.push(disk.calls(Operation::Write))).unwrap();
        assert_eq!(written, [1, 2, 3, 4]);
        let file = disk.open(&spare_path(1)).unwrap();
        assert_eq!(disk.len(file), Ok(len));
    }
}
