//! Faults that a test orders: the n-th call of a kind fails, or from some call on nothing works.

use std::collections::BTreeMap;

use super::{MemDisk, Node};
use crate::disk::DiskError;

/// A kind of disk call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// [`Disk::create`](crate::Disk::create).
    Create,
    /// [`Disk::open`](crate::Disk::open).
    Open,
    /// [`Disk::read_at`](crate::Disk::read_at).
    Read,
    /// [`Disk::will_read`](crate::Disk::will_read), which nobody hears of.
    WillRead,
    /// [`Disk::write_vectored_at`](crate::Disk::write_vectored_at).
    Write,
    /// [`Disk::sync_data`](crate::Disk::sync_data).
    Sync,
    /// [`Disk::truncate`](crate::Disk::truncate).
    Truncate,
    /// [`Disk::rename`](crate::Disk::rename).
    Rename,
    /// [`Disk::remove`](crate::Disk::remove).
    Remove,
    /// [`Disk::create_dir`](crate::Disk::create_dir).
    CreateDir,
    /// [`Disk::remove_dir`](crate::Disk::remove_dir).
    RemoveDir,
    /// [`Disk::sync_dir`](crate::Disk::sync_dir).
    SyncDir,
}

impl Operation {
    const COUNT: usize = Self::SyncDir as usize + 1;

    /// Whether a crash before or after it can leave another disk.
    #[must_use]
    pub fn changes(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::WillRead)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Create | Self::CreateDir => "create",
            Self::Open => "open",
            Self::Read | Self::WillRead => "read",
            Self::Write => "write",
            Self::Sync | Self::SyncDir => "sync",
            Self::Truncate => "truncate",
            Self::Rename => "rename",
            Self::Remove | Self::RemoveDir => "remove",
        }
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Input/output error, once. A failed sync drops what it should have written (the kernel marks
    /// the pages clean).
    Io,
    /// The disk is full.
    NoSpace,
    /// A write stops after so many bytes, with an input/output error.
    Short(usize),
}

/// A failure on its way to the caller.
pub(super) struct Failed {
    pub(super) error: DiskError,
    /// How much of a write is done all the same.
    pub(super) written: usize,
    pub(super) crashed: bool,
}

#[derive(Default)]
pub(super) struct Faults {
    /// Calls so far, by kind.
    counts: [u64; Operation::COUNT],
    /// Calls so far that change the disk.
    changes: u64,
    planned: BTreeMap<(Operation, u64), Failure>,
    crash_at: Option<u64>,
    crashed: bool,
}

impl Faults {
    pub(super) fn check(&mut self, operation: Operation, path: &str) -> Result<(), Failed> {
        let count = &mut self.counts[operation as usize];
        *count += 1;
        let planned = self.planned.remove(&(operation, *count));
        if operation.changes() {
            self.changes += 1;
        }
        let dies = operation.changes() && self.crash_at.is_some_and(|n| self.changes >= n);
        if self.crashed || dies {
            // The call that dies has reached the kernel: of a write, all may be in flight.
            let written = if self.crashed { 0 } else { usize::MAX };
            self.crashed = true;
            let error = io(operation, path, "the machine has crashed");
            return Err(Failed { error, written, crashed: true });
        }
        let (error, written) = match planned {
            None => return Ok(()),
            Some(Failure::Io) => (io(operation, path, "input/output error"), 0),
            Some(Failure::Short(n)) => (io(operation, path, "input/output error"), n),
            Some(Failure::NoSpace) => {
                let (operation, path) = (operation.name(), path.to_owned());
                (DiskError::NoSpace { operation, path }, 0)
            }
        };
        Err(Failed { error, written, crashed: false })
    }

    /// What a restart clears.
    pub(super) fn restart(&mut self) {
        self.crash_at = None;
        self.crashed = false;
    }
}

fn io(operation: Operation, path: &str, reason: &str) -> DiskError {
    DiskError::Io { operation: operation.name(), path: path.to_owned(), reason: reason.to_owned() }
}

impl MemDisk {
    /// Lets the `n`-th call of this kind from now (1 is the next) fail once.
    pub fn fail(&self, operation: Operation, n: u64, failure: Failure) {
        let faults = &mut self.state().faults;
        let at = faults.counts[operation as usize] + n;
        faults.planned.insert((operation, at), failure);
    }

    /// Lets the machine crash at the `n`-th changing call from now (1 is the next): it and everything later
    /// fails until [`power_loss`](Self::power_loss) or [`restart`](Self::restart).
    pub fn crash_at(&self, n: u64) {
        let faults = &mut self.state().faults;
        faults.crash_at = Some(faults.changes + n);
    }

    /// Nothing that was ordered and has not come yet will come.
    pub fn forget_faults(&self) {
        let faults = &mut self.state().faults;
        faults.planned.clear();
        if !faults.crashed {
            faults.crash_at = None;
        }
    }

    /// Whether an ordered crash has come.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state().faults.crashed
    }

    /// How many calls that change the disk there were.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.state().faults.changes
    }

    /// How many calls of this kind there were.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.state().faults.counts[operation as usize]
    }

    /// The process died, the machine did not: everything written is there, open files are closed.
    pub fn restart(&self) {
        let mut state = self.state();
        state.open.clear();
        state.faults.restart();
    }

    /// Rot: flips one bit, on the platter and in the cache. False if there is no such byte.
    pub fn flip_bit(&self, path: &str, offset: u64, bit: u8) -> bool {
        self.damage(path, |contents| {
            let byte = usize::try_from(offset).ok().and_then(|at| contents.get_mut(at));
            byte.map(|byte| *byte ^= 1 << (bit % 8)).is_some()
        })
    }

    /// Rot: the 512-byte sector that holds `offset` reads as zeros. False if there is no such sector.
    pub fn zero_sector(&self, path: &str, offset: u64) -> bool {
        self.damage(path, |contents| {
            let start = usize::try_from(offset / 512 * 512).unwrap_or(usize::MAX);
            let end = start.saturating_add(512).min(contents.len());
            contents.get_mut(start..end).map(|sector| sector.fill(0)).is_some()
        })
    }

    /// The file ends after `len` bytes. False if there is no such file.
    pub fn cut_file(&self, path: &str, len: usize) -> bool {
        self.damage(path, |contents| {
            contents.truncate(len);
            true
        })
    }

    /// The file is gone. False if there was none.
    pub fn lose_file(&self, path: &str) -> bool {
        let mut state = self.state();
        state.durable.remove(path);
        matches!(state.live.remove(path), Some(Node::File(_)))
    }

    /// The file's contents, as a process sees them.
    #[must_use]
    pub fn contents(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = state.inode_of(path)?;
        state.inodes.get(&inode).map(|inode| inode.live().range(0, usize::MAX))
    }

    fn damage(&self, path: &str, hurt: impl FnMut(&mut Vec<u8>) -> bool) -> bool {
        let mut state = self.state();
        let Some(inode) = state.inode_of(path) else { return false };
        state.inodes.get_mut(&inode).is_some_and(|inode| inode.damage(hurt))
    }
}
