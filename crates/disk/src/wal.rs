//! The write-ahead log: one per server, for all its groups (docs/storage-format.md §2).
//!
//! It owns no thread and no disk: each call that touches the disk takes it as an argument. One owner drives it:
//! gather batches, [`Wal::write`], [`Wal::sync`], tell everybody, [`Wal::reclaim`]; [`Wal::seal`] when
//! nothing is left to do.

mod batch;
mod error;
mod files;
mod format;
mod ledger;
mod open;
mod position;
mod recovery;
mod replay;
mod room;
mod scan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::StoreId;

pub use batch::{BaseRecord, MAX_BODY, RecordError, WalBatch};
pub use error::WalError;
pub use files::{LOG_DIR, SpareJob};
pub use ledger::Pin;
pub use recovery::{
    Damage, EntryIdentity, LostBase, MissingEntries, RecoveredGroup, Recovery, TornTail,
};
pub use room::{Room, RoomReport};
pub use scan::LostRange;

use crate::disk::{Disk, DiskError, FileId};
use files::{DIR, Work, log_path, spare_path, zeroing_path};
use format::{DESCRIPTOR, HEADER};
use ledger::Ledger;

/// How many spare files are kept at least, where the log gives up so many.
const SPARES: usize = 2;

/// What the log may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalOptions {
    /// Whose log it is. It seeds the checks, so that another store's batches, or a batch that a client
    /// placed in a payload, are not taken for ours.
    pub store: StoreId,
    /// The size of a file in bytes, a multiple of 4096. A batch that is larger gets a file of its own.
    pub file_size: u64,
    /// From so many bytes of log on, [`Wal::pressure`] names the groups that should move forward.
    pub soft: u64,
    /// The size that the log should not pass. At four times that nothing is written but what makes room,
    /// together with what was gathered with it.
    pub cap: u64,
}

impl WalOptions {
    /// 64 MiB files, pressure from 512 MiB on, a cap of 1 GiB.
    #[must_use]
    pub fn new(store: StoreId) -> Self {
        Self { store, file_size: 64 << 20, soft: 512 << 20, cap: 1 << 30 }
    }
}

/// What a write took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// The LSN of the first record.
    pub first_lsn: u64,
    /// The LSN of the last record. It is durable once [`Wal::sync`] has returned at least this.
    pub last_lsn: u64,
    /// Bytes on disk, with padding.
    pub bytes: u64,
}

/// How full the log is, and because of whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes in files that are in use.
    pub used: u64,
    /// How many bytes of entries a group may write again to let go of a file: half of what the log has too much; none where
    /// more than half of the files to be freed is still needed. A log full of what nobody can give up, as of entries that
    /// are not committed yet, would write the same again and again.
    pub movable: u64,
    /// The groups whose live records keep the log above its soft limit, those with the oldest first.
    /// Their owners write a new base, or move the little they have forward (write it again).
    pub pins: Vec<Pin>,
}

/// The log. After a failed write or sync it refuses everything: see [`WalError::Poisoned`].
#[derive(Debug)]
pub struct Wal {
    options: WalOptions,
    ledger: Ledger,
    current: Current,
    next_lsn: u64,
    synced: u64,
    /// Written and not yet synced: the last LSN, and the start that it announces.
    unsynced: Option<(u64, u64)>,
    /// The start in a synced batch: files below are not needed after any crash.
    announced: u64,
    /// The last batch's head, for the copy in the next one.
    last_head: Vec<u8>,
    /// The last batch is a seal or a turn.
    sealed: bool,
    /// Lengths of the files in use, by generation.
    files: BTreeMap<u64, u64>,
    spares: BTreeSet<u64>,
    next_spare: u64,
    spare_in_work: bool,
    /// Files that are no part of the log any more, to be removed.
    doomed: Vec<u64>,
    /// How much room the disk has.
    seen: room::Seen,
    poison: Option<String>,
}

/// The file that is written.
#[derive(Debug)]
struct Current {
    file: FileId,
    generation: u64,
    offset: u64,
    len: u64,
}

impl Wal {
    /// Appends the batches' records, in order, with one vectored write. They are not durable before
    /// [`sync`](Self::sync). Nothing is written and the log stays usable if the error is
    /// [`WalError::Full`], [`WalError::Refused`], [`WalError::Unsynced`] or that no new file could be
    /// prepared ([`DiskError::NoSpace`] and [`poisoned`](Self::poisoned) says `None`).
    pub fn write(&mut self, disk: &dyn Disk, batches: &[WalBatch]) -> Result<Written, WalError> {
        self.ready()?;
        let records = || batches.iter().flat_map(|batch| &batch.records);
        if let Some((group, reason)) = self.ledger.refuses(records()) {
            return Err(WalError::Refused { group, reason });
        }
        // Far behind what servers take on their own account ([`Room::Out`]): a log that takes nothing learns nothing either
        // of what it could let go of.
        let (used, limit) = (self.used(), self.options.cap.saturating_mul(4));
        if used > limit && !batches.iter().any(WalBatch::relieves) {
            return Err(WalError::Full { used, limit });
        }
        let head_len = HEADER + records().count() * DESCRIPTOR;
        let body_len: u64 = records().map(|(_, body)| body.len() as u64).sum();
        self.make_room(disk, head_len, body_len)?;
        let table = records().map(|(descriptor, _)| {
            let chain = self.ledger.link(descriptor);
            let descriptor = format::Descriptor { chain, ..*descriptor };
            self.ledger.record(self.current.generation, &descriptor);
            descriptor
        });
        let table: Vec<_> = table.collect();
        self.sealed = table.is_empty();
        let bodies: Vec<&[u8]> = records().map(|(_, body)| &body[..]).collect();
        let written = self.write_batch(disk, table, body_len, &bodies);
        if is_on(Mutation::ReclaimedBeforeSync) {
            self.announced = self.start();
            self.reclaim(disk)?;
        }
        written
    }

    /// Makes everything written durable and returns the highest durable LSN.
    pub fn sync(&mut self, disk: &dyn Disk) -> Result<u64, WalError> {
        self.alive()?;
        if let Some((last, start)) = self.unsynced {
            // One in four is synced, and most of the others with it.
            let skipped = is_on(Mutation::AckBeforeSync) && !last.is_multiple_of(4);
            let result = if skipped { Ok(()) } else { disk.sync_data(self.current.file) };
            if let Err(error) = result
                && !is_on(Mutation::FailedSyncIgnored)
            {
                return Err(self.poison(error));
            }
            (self.synced, self.announced, self.unsynced) = (last, start, None);
        }
        Ok(self.synced)
    }

    /// [`write`](Self::write) and [`sync`](Self::sync).
    pub fn append(&mut self, disk: &dyn Disk, batches: &[WalBatch]) -> Result<Written, WalError> {
        let written = self.write(disk, batches)?;
        self.sync(disk)?;
        Ok(written)
    }

    /// Says on disk that everything before is synced, which tells rot from a torn tail later, and that files may
    /// be given up. For an idle writer. Returns whether there was anything to say.
    pub fn seal(&mut self, disk: &dyn Disk) -> Result<bool, WalError> {
        self.ready()?;
        if self.sealed && self.start() == self.announced {
            return Ok(false);
        }
        if self.fits(HEADER, 0) {
            self.sealed = true;
            self.write_batch(disk, Vec::new(), 0, &[])?;
            self.sync(disk)?;
        } else {
            self.rotate(disk, self.options.file_size)?;
        }
        Ok(true)
    }

    /// Gives up the files that no group needs any more: keeps them for reuse, as many as the log may need below its soft
    /// limit; the others are removed by [`spare_job`](Self::spare_job). Returns how many. Does nothing while a write is
    /// unsynced.
    pub fn reclaim(&mut self, disk: &dyn Disk) -> Result<usize, WalError> {
        self.alive()?;
        if self.unsynced.is_some() && !is_on(Mutation::ReclaimedBeforeSync) {
            return Ok(0);
        }
        let needed = self.files.split_off(&self.announced);
        let free = std::mem::replace(&mut self.files, needed);
        let count = free.len();
        for (generation, len) in free {
            let path = log_path(generation);
            self.next_spare += 1;
            let number = self.next_spare;
            if len == self.options.file_size && self.has_room_for_spare() {
                disk.rename(&path, &spare_path(number)).map_err(|e| self.poison(e))?;
                self.spares.insert(number);
            } else {
                disk.rename(&path, &zeroing_path(number)).map_err(|e| self.poison(e))?;
                self.doomed.push(number);
            }
        }
        if count > 0 {
            disk.sync_dir(DIR).map_err(|error| self.poison(error))?;
        }
        Ok(count)
    }

    fn has_room_for_spare(&self) -> bool {
        let spares = (self.spares.len() as u64).saturating_add(1);
        let size = self.used().saturating_add(spares.saturating_mul(self.options.file_size));
        self.spares.len() < SPARES || (self.has_room() && size <= self.options.soft)
    }

    /// How full the log is. Names the groups to move so that it gets back to its soft limit, or gives up its oldest file
    /// when the disk has no room.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        let used = self.used();
        let mut excess = used.saturating_sub(self.options.soft);
        if !self.has_room() {
            excess = excess.max(self.files.values().next().copied().unwrap_or(0));
        }
        let most = excess / 2;
        let (mut free_below, mut freed) = (0, 0);
        for (generation, len) in self.files.range(..self.current.generation) {
            if excess <= freed {
                break;
            }
            free_below = generation + 1;
            freed += len;
        }
        let pins = self.ledger.pins_below(free_below);
        let live: u64 = pins.iter().map(|pin| pin.bytes).sum();
        let movable = if live <= freed / 2 { most } else { 0 };
        Pressure { used, movable, pins }
    }

    /// Bytes in files that are in use; spares are not.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.files.values().sum()
    }

    /// The size from which on groups are asked to move forward: [`WalOptions::soft`].
    #[must_use]
    pub fn soft(&self) -> u64 {
        self.options.soft
    }

    /// The size that the log should not pass: [`WalOptions::cap`].
    #[must_use]
    pub fn cap(&self) -> u64 {
        self.options.cap
    }

    /// The highest durable LSN.
    #[must_use]
    pub fn synced(&self) -> u64 {
        self.synced
    }

    /// Why the log takes no more writes, if so.
    #[must_use]
    pub fn poisoned(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// Whether the next file is needed soon: the one that is written is half full, and none is ready.
    #[must_use]
    pub fn needs_spare_soon(&self) -> bool {
        self.spares.is_empty() && self.current.offset > self.current.len / 2
    }

    /// Work to be done beside the writer, so that it need not wait for a new file: whoever takes it runs it and tells
    /// [`spare_made`](Self::spare_made). Without that the writer makes files itself when it needs them.
    pub fn spare_job(&mut self) -> Option<SpareJob> {
        if self.spare_in_work {
            return None;
        }
        let remove = |number| SpareJob { number, work: Work::Remove };
        let job = self.make_spare().or_else(|| self.surplus_spare());
        let job = job.or_else(|| self.doomed.pop().map(remove))?;
        self.spare_in_work = true;
        Some(job)
    }

    /// The end of a [`SpareJob`]. The making of a spare that failed is offered again; a file that could not be removed
    /// goes at the next open.
    pub fn spare_made(&mut self, job: &SpareJob, result: &Result<(), DiskError>) {
        self.spare_in_work = false;
        if matches!(job.work, Work::Make(_)) {
            self.note_spare(result);
            if result.is_ok() {
                self.spares.insert(job.number);
            }
        }
    }
}
