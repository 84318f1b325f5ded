//! Why the log did not do what it was asked to.

use flotilla_raft::GroupId;
use thiserror::Error;

use crate::disk::DiskError;

/// Why the log did not do what it was asked to.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WalError {
    /// A disk call failed. If it was a write or a sync of the log itself, the log is poisoned from now on.
    #[error("the log: {0}")]
    Disk(#[from] DiskError),
    /// An earlier write or sync failed: what the disk holds is not known. Only a restart, which reads
    /// everything back, helps.
    #[error("the log takes no more writes, because an earlier one failed: {reason}")]
    Poisoned {
        /// What failed.
        reason: String,
    },
    /// The log holds four times its cap: only batches that make room are let in.
    #[error(
        "the log holds {used} bytes, above its limit of {limit}; groups must write bases first"
    )]
    Full {
        /// What it holds, in bytes.
        used: u64,
        /// Four times the cap, in bytes.
        limit: u64,
    },
    /// The records contradict what the log knows of a group; nothing was written.
    #[error("group {group}: the log refuses the records: {reason}")]
    Refused {
        /// Whose.
        group: GroupId,
        /// Why.
        reason: &'static str,
    },
    /// The previous write is not synced yet; nothing was written.
    #[error("the log's previous write was not synced")]
    Unsynced,
    /// A file was written by a later version of this server.
    #[error("{path} has log format version {found}, which this server does not know: upgrade it")]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: u16,
    },
    /// There are log files with contents, and no batch of this store in any of them.
    #[error(
        "none of the log files in wal/ can be read as this store's: they belong to another store, or the \
         log is destroyed; start this server with an empty store directory and let the cluster replace it"
    )]
    Unreadable,
}
