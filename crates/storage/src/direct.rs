//! Writing past the page cache.
//!
//! What the log writes is on its way to the disk at once and is not read again: to put it into the page cache first costs a
//! copy, the search for its pages, and the search for what is dirty when it is synced. Past it a write and its sync take
//! half the time on a processor, and two thirds of the time altogether (docs/performance.md).

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::gather::{BLOCK, in_pieces, length};

/// The largest piece that is written at once.
const PIECE: usize = 4 << 20;

/// A file, opened for it.
#[derive(Debug)]
pub(crate) struct Direct {
    file: File,
    /// The file system has refused a write that had the right form: it is not asked again.
    refused: AtomicBool,
}

impl Direct {
    /// `None` where the system or the file system does not have it.
    pub(crate) fn open(path: &Path) -> Option<Self> {
        let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path).ok()?;
        Some(Self { file, refused: AtomicBool::new(false) })
    }

    /// Writes `parts`, one behind the other, from `offset` on. `None` if that cannot be done in this way: nothing is written
    /// then that does not have to be written again.
    pub(crate) fn write(&self, offset: u64, parts: &[IoSlice<'_>]) -> Option<io::Result<()>> {
        let in_blocks = offset.is_multiple_of(BLOCK as u64) && length(parts).is_multiple_of(BLOCK);
        if !in_blocks || self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let written =
            in_pieces(offset, parts, PIECE, |at, piece| write_piece(&self.file, at, piece));
        match written {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.refused.store(true, Ordering::Relaxed);
                None
            }
            written => Some(written),
        }
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
