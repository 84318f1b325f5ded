//! A store directory on a file system.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use flotilla_disk::{Disk, DiskError, FileId, LOG_DIR};
use rustix::fs::{Advice, FlockOperation, fadvise, flock, statvfs};

use crate::direct::write_piece;
use crate::gather::in_pieces;
use crate::open_file::OpenFile;

/// A sync that took longer shows that the disk is slow. What is written in the background goes to it in small pieces then,
/// each by itself: all of it at once would be before whatever the log writes meanwhile.
const SLOW: Duration = Duration::from_millis(250);
const SLOW_PIECE: usize = 64 << 10;
/// A piece that took no longer shows that it is slow no more.
const QUICK: Duration = Duration::from_millis(5);
const LOCK: &str = "lock";

/// A [`Disk`] on real files. It holds an exclusive lock on the directory as long as it lives, so that two servers
/// cannot work on one store.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    files: RwLock<Table>,
    is_slow: AtomicBool,
    /// Locked; the system unlocks it when the process ends, however that is.
    _lock: File,
}

#[derive(Debug, Default)]
struct Table {
    open: BTreeMap<FileId, Arc<OpenFile>>,
    next: u64,
}

impl FileDisk {
    /// Takes possession of a store directory, making it if need be. [`DiskError::Locked`] if another process has
    /// it.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, DiskError> {
        let root = root.as_ref().to_path_buf();
        let shown = root.display().to_string();
        create_durably(&root).map_err(|e| failed("create", &shown, &e))?;
        let path = root.join(LOCK);
        let shown = path.display().to_string();
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let lock = opened.map_err(|e| failed("open", &shown, &e))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let (files, is_slow) = (RwLock::default(), AtomicBool::new(false));
                Ok(Self { root, files, is_slow, _lock: lock })
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DiskError::Locked { path: shown }),
            Err(error) => Err(failed("lock", &shown, &error.into())),
        }
    }

    /// The directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    fn opened(&self, file: FileId, operation: &'static str) -> Result<Arc<OpenFile>, DiskError> {
        let table = self.files.read().unwrap_or_else(PoisonError::into_inner);
        table.open.get(&file).cloned().ok_or_else(|| DiskError::Io {
            operation,
            path: format!("file {}", file.0),
            reason: "not open".into(),
        })
    }

    fn enter(&self, file: File, path: &str) -> FileId {
        let is_log = path.strip_prefix(LOG_DIR).is_some_and(|rest| rest.starts_with('/'));
        let mut table = self.files.write().unwrap_or_else(PoisonError::into_inner);
        table.next += 1;
        let id = FileId(table.next);
        table.open.insert(id, Arc::new(OpenFile::new(file, self.at(path), path, is_log)));
        id
    }

    /// Writes piece by piece, each of which is on the disk before the next one begins.
    fn write_slowly(&self, file: &File, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        in_pieces(offset, parts, SLOW_PIECE, |at, piece| {
            let began = Instant::now();
            write_piece(file, at, piece)?;
            file.sync_data()?;
            if began.elapsed() < QUICK {
                self.is_slow.store(false, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    fn done(
        &self,
        operation: &'static str,
        path: &str,
        result: io::Result<()>,
    ) -> Result<(), DiskError> {
        result.map_err(|error| failed(operation, path, &error))
    }
}

/// Makes a directory and those above it that are missing, so that a power loss does not take them away again.
fn create_durably(directory: &Path) -> io::Result<()> {
    let missing = directory.ancestors().take_while(|above| !above.exists()).count();
    fs::create_dir_all(directory)?;
    for above in directory.ancestors().skip(1).take(missing) {
        // The parent of a relative path's first name is the working directory.
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn failed(operation: &'static str, path: &str, error: &io::Error) -> DiskError {
    let path = path.to_owned();
    match error.kind() {
        ErrorKind::NotFound => DiskError::NotFound { operation, path },
        ErrorKind::AlreadyExists => DiskError::Exists { path },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::NoSpace { operation, path },
        _ => DiskError::Io { operation, path, reason: error.to_string() },
    }
}

impl Disk for FileDisk {
    fn create(&self, path: &str) -> Result<FileId, DiskError> {
        let options =
            OpenOptions::new().read(true).write(true).create_new(true).open(self.at(path));
        Ok(self.enter(options.map_err(|e| failed("create", path, &e))?, path))
    }

    fn open(&self, path: &str) -> Result<FileId, DiskError> {
        let opened = OpenOptions::new().read(true).write(true).open(self.at(path));
        Ok(self.enter(opened.map_err(|e| failed("open", path, &e))?, path))
    }

    fn close(&self, file: FileId) {
        let mut table = self.files.write().unwrap_or_else(PoisonError::into_inner);
        let closed = table.open.remove(&file);
        // Closing may take its time: not under the lock.
        drop(table);
        drop(closed);
    }

    fn read_at(&self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let opened = self.opened(file, "read")?;
        opened.read(offset, buf).map_err(|e| failed("read", &opened.name, &e))
    }

    fn will_read(&self, path: &str, parts: &[Range<u64>]) {
        let Ok(file) = File::open(self.at(path)) else { return };
        for part in parts.iter().filter(|part| !part.is_empty()) {
            // No length is all that follows.
            let length = NonZeroU64::new(part.end.saturating_sub(part.start))
                .filter(|_| part.end != u64::MAX);
            let _ = fadvise(&file, part.start, length, Advice::WillNeed);
        }
    }

    fn write_vectored_at(
        &self,
        file: FileId,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let opened = self.opened(file, "write")?;
        let written = if !opened.is_log && self.is_slow.load(Ordering::Relaxed) {
            self.write_slowly(&opened.file, offset, parts)
        } else {
            opened.write(offset, parts)
        };
        self.done("write", &opened.name, written)
    }

    fn sync_data(&self, file: FileId) -> Result<(), DiskError> {
        let opened = self.opened(file, "sync")?;
        let began = Instant::now();
        let synced = opened.file.sync_data();
        if began.elapsed() > SLOW {
            self.is_slow.store(true, Ordering::Relaxed);
        }
        self.done("sync", &opened.name, synced)
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        let opened = self.opened(file, "len")?;
        let metadata = opened.file.metadata().map_err(|e| failed("len", &opened.name, &e))?;
        Ok(metadata.len())
    }

    fn truncate(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let opened = self.opened(file, "truncate")?;
        self.done("truncate", &opened.name, opened.file.set_len(len))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.done("rename", from, fs::rename(self.at(from), self.at(to)))
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.done("remove", path, fs::remove_file(self.at(path)))
    }

    fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        self.done("create", path, fs::create_dir_all(self.at(path)))
    }

    fn remove_dir(&self, path: &str) -> Result<(), DiskError> {
        self.done("remove", path, fs::remove_dir(self.at(path)))
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let entries = match fs::read_dir(self.at(dir)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| failed("list", dir, &e))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| failed("list", dir, &e))?;
            // A name that is not UTF-8 is none of ours.
            names.extend(entry.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        let synced = File::open(self.at(dir)).and_then(|dir| dir.sync_all());
        self.done("sync", dir, synced)
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        let stat = statvfs(&self.root).map_err(|e| failed("statvfs", "", &e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}
