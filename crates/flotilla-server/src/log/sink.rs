//! Where the lines of the log go.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Standard error, or a file that is appended to.
#[derive(Debug)]
pub(super) enum Sink {
    Stderr,
    File { path: PathBuf, file: File },
}

impl Sink {
    /// Opens a file, and makes it if need be, readable by its owner and group only.
    pub(super) fn file(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
        Ok(Self::File { path: path.to_owned(), file })
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Stderr => None,
            Self::File { path, .. } => Some(path),
        }
    }

    /// Writes a line. What a file does not take (a full disk, say) goes to standard error, and what that
    /// does not take is lost: a server must not stop for its log.
    pub(super) fn write(&mut self, line: &[u8]) {
        let written = match self {
            Self::Stderr => false,
            Self::File { file, .. } => file.write_all(line).is_ok(),
        };
        if !written {
            let _ = std::io::stderr().write_all(line);
        }
    }

    pub(super) fn flush(&mut self) {
        if let Self::File { file, .. } = self {
            // Nothing is buffered here; the system writes on its own time.
            let _ = file.flush();
        }
    }
}
