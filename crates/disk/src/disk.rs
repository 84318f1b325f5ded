//! What the engine asks of a disk, and no more.
//!
//! Paths are relative to the store directory, with `/` between names. All calls are synchronous; the shell
//! decides on which thread they run.

use std::io::IoSlice;
use std::ops::Range;

use thiserror::Error;

/// An open file of one [`Disk`]. Valid until it is closed; never reused by that disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u64);

/// A store directory.
///
/// # Guarantees that the engine relies on
/// - What was written to a file is there after a crash once a later [`sync_data`](Self::sync_data) of that
///   file returned `Ok`; before, any part of it may be there, in units of 512 bytes, in any order.
/// - A name that was created, renamed or removed is so after a crash once [`sync_dir`](Self::sync_dir)
///   of its directory returned `Ok`. A rename is atomic.
/// - A failed sync says nothing about what is on the disk, and neither does a later one that succeeds.
pub trait Disk: Send + Sync {
    /// Makes an empty file. Fails with [`DiskError::Exists`] if the name is taken.
    fn create(&self, path: &str) -> Result<FileId, DiskError>;

    /// Opens a file for reading and writing.
    fn open(&self, path: &str) -> Result<FileId, DiskError>;

    /// Forgets an open file. Nothing is synced by it.
    fn close(&self, file: FileId);

    /// Fills `buf` from `offset` on and returns how many bytes there were: fewer only at the file's end.
    fn read_at(&self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError>;

    /// A hint that these parts of a file, which may reach beyond its end, will be read soon: a disk may begin to fetch them.
    /// It does not wait until they are there, and says nothing.
    fn will_read(&self, _path: &str, _parts: &[Range<u64>]) {}

    /// Writes all of `parts`, one behind the other, from `offset` on. After an error any part of it may
    /// have been written.
    fn write_vectored_at(
        &self,
        file: FileId,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<(), DiskError>;

    /// Makes the file's contents and length durable.
    fn sync_data(&self, file: FileId) -> Result<(), DiskError>;

    /// The file's length in bytes.
    fn len(&self, file: FileId) -> Result<u64, DiskError>;

    /// Cuts or extends (with zeros) the file to `len` bytes.
    fn truncate(&self, file: FileId, len: u64) -> Result<(), DiskError>;

    /// Gives a file another name, in place of whatever had it.
    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file's name.
    fn remove(&self, path: &str) -> Result<(), DiskError>;

    /// Makes a directory and those above it; it is no error if it exists.
    fn create_dir(&self, path: &str) -> Result<(), DiskError>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> Result<(), DiskError>;

    /// The names in a directory, sorted; nothing if there is no such directory. `""` is the store itself.
    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> Result<(), DiskError>;

    /// Bytes that can still be written.
    fn free_space(&self) -> Result<u64, DiskError>;
}

/// Why a disk did not do what it was asked to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DiskError {
    /// There is no such file.
    #[error("{operation} {path}: no such file")]
    NotFound {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: String,
    },
    /// The name is taken.
    #[error("create {path}: the file exists")]
    Exists {
        /// The file.
        path: String,
    },
    /// The disk or the quota is full.
    #[error("{operation} {path}: no space left on the device")]
    NoSpace {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: String,
    },
    /// Another process works on this store.
    #[error(
        "{path} is locked: another server runs on this store directory; stop it or choose another"
    )]
    Locked {
        /// The lock file.
        path: String,
    },
    /// Everything else.
    #[error("{operation} {path}: {reason}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
}

/// Reads exactly `len` bytes, or says by `None` that the file ends before.
pub(crate) fn read_exact(
    disk: &dyn Disk,
    file: FileId,
    offset: u64,
    len: usize,
) -> Result<Option<Vec<u8>>, DiskError> {
    let mut buf = vec![0; len];
    let n = disk.read_at(file, offset, &mut buf)?;
    Ok((n == len).then_some(buf))
}

/// Reads a file as a whole. `limit` bounds what a damaged length can make us allocate.
pub(crate) fn read_whole(disk: &dyn Disk, file: FileId, limit: u64) -> Result<Vec<u8>, DiskError> {
    let len = disk.len(file)?.min(limit);
    let mut buf = vec![0; usize::try_from(len).unwrap_or(0)];
    let n = disk.read_at(file, 0, &mut buf)?;
    buf.truncate(n);
    Ok(buf)
}

/// Writes one piece.
pub(crate) fn write_at(
    disk: &dyn Disk,
    file: FileId,
    offset: u64,
    bytes: &[u8],
) -> Result<(), DiskError> {
    disk.write_vectored_at(file, offset, &[IoSlice::new(bytes)])
}

/// The names above `path`, without it: the directory it is in.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
