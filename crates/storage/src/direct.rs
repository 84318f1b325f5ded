//! Writing past the page cache.
//!
//! What the log writes is on its way to the disk at once and is not read again; of segments much is written at a time, and most
//! of it is read while it is in memory still, or never. To put that into the page cache first costs a copy to memory that no
//! processor has at hand, the search for its pages, and the search for what is dirty when it is synced (docs/performance.md).

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::gather::{BLOCK, in_pieces};

/// The largest piece that is written at once.
const PIECE: usize = 1 << 20;

/// A file, opened for it.
#[derive(Debug)]
pub(crate) struct Direct {
    file: File,
    /// The file system has refused a write that had the right form: it is not asked again.
    refused: AtomicBool,
}

impl Direct {
    /// Opens `file`, which was at `path`, once more for it. `None` where the system or the file system does not have it, or if
    /// another file is there by now.
    pub(crate) fn open(path: &Path, file: &File) -> Option<Self> {
        let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
        let direct = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
        let (same, this) = (direct.metadata().ok()?, file.metadata().ok()?);
        let is_same = (same.dev(), same.ino()) == (this.dev(), this.ino());
        is_same.then(|| Self { file: direct, refused: AtomicBool::new(false) })
    }

    /// Writes `parts`, one behind the other, from `offset` on: what fills blocks in this way, the ends that do not through
    /// the page cache, by `cached`, which is the same file.
    pub(crate) fn write(
        &self,
        cached: &File,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> io::Result<()> {
        in_pieces(offset, parts, PIECE, |at, piece| {
            let whole =
                if at.is_multiple_of(BLOCK as u64) { piece.len() / BLOCK * BLOCK } else { 0 };
            let (blocks, rest) = piece.split_at(whole);
            self.write_blocks(cached, at, blocks)?;
            write_piece(cached, at + whole as u64, rest)
        })
    }

    fn write_blocks(&self, cached: &File, at: u64, blocks: &[u8]) -> io::Result<()> {
        if !self.refused.load(Ordering::Relaxed) {
            match write_piece(&self.file, at, blocks) {
                Err(error) if error.kind() == ErrorKind::InvalidInput => {
                    self.refused.store(true, Ordering::Relaxed);
                }
                written => return written,
            }
        }
        write_piece(cached, at, blocks)
    }
}

/// Writes all of a piece: the system may do less than it was asked to.
pub(crate) fn write_piece(file: &File, mut offset: u64, mut piece: &[u8]) -> io::Result<()> {
    while !piece.is_empty() {
        match rustix::io::pwrite(file, piece, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                piece = piece.get(written..).unwrap_or_default();
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
