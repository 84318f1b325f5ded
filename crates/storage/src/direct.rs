//! Writing past the page cache.
//!
//! What the log writes is on its way to the disk at once and is not read again: to put it into the page cache first costs a
//! copy, the search for its pages, and the search for what is dirty when it is synced. Past it a write and its sync take
//! half the time on a processor, and two thirds of the time altogether (docs/performance.md).

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// What such writes consist of, in memory and in the file, in bytes; enough for any device.
const BLOCK: usize = 4096;
/// The largest piece that is written at once.
const PIECE: usize = 4 << 20;

/// A file, opened for it.
#[derive(Debug)]
pub(crate) struct Direct {
    file: File,
    /// The file system has refused a write that had the right form: it is not asked again.
    refused: AtomicBool,
}

thread_local! {
    /// Where pieces are put together. It lies somewhere in memory; the blocks begin at its first multiple of one.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
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
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let in_blocks = offset.is_multiple_of(BLOCK as u64) && length.is_multiple_of(BLOCK);
        if !in_blocks || self.refused.load(Ordering::Relaxed) {
            return None;
        }
        let written = BUFFER.with_borrow_mut(|buffer| self.write_pieces(buffer, offset, parts));
        match written {
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                self.refused.store(true, Ordering::Relaxed);
                None
            }
            written => Some(written),
        }
    }

    fn write_pieces(
        &self,
        buffer: &mut Vec<u8>,
        mut offset: u64,
        parts: &[IoSlice<'_>],
    ) -> io::Result<()> {
        let left: usize = parts.iter().map(|part| part.len()).sum();
        let needed = left.min(PIECE) + BLOCK;
        if buffer.len() < needed {
            buffer.resize(needed, 0);
        }
        let start = buffer.as_ptr().align_offset(BLOCK).min(BLOCK);
        let room = buffer.get_mut(start..start + left.min(PIECE)).unwrap_or_default();
        let mut filled = 0;
        for mut part in parts.iter().map(|part| &part[..]) {
            while !part.is_empty() {
                let taken = part.len().min(room.len() - filled);
                let (now, later) = part.split_at(taken);
                room[filled..filled + taken].copy_from_slice(now);
                (filled, part) = (filled + taken, later);
                if filled == room.len() {
                    write_piece(&self.file, offset, room)?;
                    (offset, filled) = (offset + filled as u64, 0);
                }
            }
        }
        write_piece(&self.file, offset, &room[..filled])
    }
}

/// The system may write less than it was asked to, in whole blocks.
fn write_piece(file: &File, mut offset: u64, mut piece: &[u8]) -> io::Result<()> {
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
