//! A file of the store: which way it is read and written.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use rustix::fs::{Advice, fadvise};

use crate::direct::{Direct, write_piece};
use crate::gather::{in_pieces, length};

/// The most parts that one `pwritev` takes on Linux.
const MAX_PARTS: usize = 1024;
/// Parts that are smaller than this, on average, are copied to pieces of that size. These stay in a processor's cache.
const SMALL: usize = 2048;
const PIECE: usize = 256 << 10;
/// What is not the log's goes past the page cache if it is not less than this.
const LARGE: usize = 256 << 10;
/// Who reads so much at once reads on: the system fetches as much again meanwhile. It does not see that by itself, as files are
/// opened for each read.
const AHEAD: usize = 128 << 10;

/// A file of the store.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: File,
    pub(crate) is_log: bool,
    /// Within the store, for errors.
    pub(crate) name: String,
    path: PathBuf,
    /// The way past the page cache, once it was wanted.
    direct: OnceLock<Option<Direct>>,
}

impl OpenFile {
    pub(crate) fn new(file: File, path: PathBuf, name: &str, is_log: bool) -> Self {
        Self { file, is_log, name: name.to_owned(), path, direct: OnceLock::new() }
    }

    /// Reads until the buffer is full or the file ends, and says how much that was.
    pub(crate) fn read(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = read_full(&self.file, offset, buf)?;
        if buf.len() >= AHEAD && read == buf.len() {
            let next = offset.saturating_add(read as u64);
            // Only a hint: the system may do as it likes.
            let _ = fadvise(&self.file, next, NonZeroU64::new(AHEAD as u64), Advice::WillNeed);
        }
        Ok(read)
    }

    /// Writes all parts, one behind the other, from `offset` on.
    pub(crate) fn write(&self, offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
        match self.direct(length(parts)) {
            Some(direct) => direct.write(&self.file, offset, parts),
            None => write_full(&self.file, offset, parts),
        }
    }

    /// The way past the page cache for a write of so many bytes, if it is to go there.
    fn direct(&self, bytes: usize) -> Option<&Direct> {
        if !self.is_log && bytes < LARGE {
            return None;
        }
        self.direct.get_or_init(|| Direct::open(&self.path, &self.file)).as_ref()
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &File, mut offset: u64, mut buf: &mut [u8]) -> io::Result<usize> {
    let wanted = buf.len();
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => break,
            Ok(n) => {
                offset += n as u64;
                buf = buf.get_mut(n..).unwrap_or_default();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buf.len())
}

/// Writes all parts, in as few calls as the system allows. Small ones are put together first.
fn write_full(file: &File, mut offset: u64, parts: &[IoSlice<'_>]) -> io::Result<()> {
    if parts.len() > 1 && length(parts) / parts.len() < SMALL {
        return in_pieces(offset, parts, PIECE, |at, piece| write_piece(file, at, piece));
    }
    let mut parts = parts.to_vec();
    let mut left = &mut parts[..];
    // Empty parts in front would make a complete write look like none.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        let some = left.get(..left.len().min(MAX_PARTS)).unwrap_or_default();
        match rustix::io::pwritev(file, some, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                offset += n as u64;
                IoSlice::advance_slices(&mut left, n);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
