//! Where the next batch goes, and into which file.

use std::io::IoSlice;

use super::files::{DIR, SpareJob, Work, log_path, spare_path};
use super::format::{self, DESCRIPTOR, HEADER, Head, PAGE};
use super::{Current, Wal, WalError, Written, batch};
use crate::disk::{Disk, DiskError, FileId};

impl Wal {
    pub(super) fn alive(&self) -> Result<(), WalError> {
        match &self.poison {
            Some(reason) => Err(WalError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn ready(&self) -> Result<(), WalError> {
        self.alive()?;
        if self.unsynced.is_some() { Err(WalError::Unsynced) } else { Ok(()) }
    }

    pub(super) fn poison(&mut self, error: DiskError) -> WalError {
        self.poison = Some(error.to_string());
        WalError::Disk(error)
    }

    /// The oldest generation that is needed, as the next batch announces it.
    pub(super) fn start(&self) -> u64 {
        self.ledger.oldest().map_or(self.current.generation, |g| g.min(self.current.generation))
    }

    /// Whether a batch fits in front of the turn that must come behind it.
    pub(super) fn fits(&self, head_len: usize, body_len: u64) -> bool {
        let len = batch_len(head_len, self.last_head.len(), body_len);
        let behind = batch_len(HEADER + DESCRIPTOR, head_len, 0);
        self.current.offset.saturating_add(len).saturating_add(behind) <= self.current.len
    }

    pub(super) fn make_room(
        &mut self,
        disk: &dyn Disk,
        head_len: usize,
        body_len: u64,
    ) -> Result<(), WalError> {
        if self.fits(head_len, body_len) {
            return Ok(());
        }
        let turn = HEADER + DESCRIPTOR;
        let len = batch_len(head_len, turn, body_len).saturating_add(batch_len(turn, head_len, 0));
        self.rotate(disk, len)
    }

    /// Ends the file and begins the next one, with at least `min_len` bytes.
    pub(super) fn rotate(&mut self, disk: &dyn Disk, min_len: u64) -> Result<(), WalError> {
        let generation = self.current.generation + 1;
        let (file, len) = self.begin_file(disk, generation, min_len)?;
        let table = vec![batch::turn(generation, len)];
        self.sealed = true;
        self.write_batch(disk, table, 0, &[])?;
        self.sync(disk)?;
        disk.close(self.current.file);
        self.files.insert(generation, len);
        self.current = Current { file, generation, offset: 0, len };
        Ok(())
    }

    /// Gives a spare file its name in the log, durably. Nothing is written to the log before.
    pub(super) fn begin_file(
        &mut self,
        disk: &dyn Disk,
        generation: u64,
        min_len: u64,
    ) -> Result<(FileId, u64), WalError> {
        let len = min_len.max(self.options.file_size);
        let ready = if len == self.options.file_size { self.spares.pop_first() } else { None };
        let number = match ready {
            Some(number) => number,
            None => {
                self.next_spare += 1;
                let made = SpareJob { number: self.next_spare, work: Work::Make(len) }.run(disk);
                self.note_spare(&made);
                made?;
                self.next_spare
            }
        };
        let path = log_path(generation);
        disk.rename(&spare_path(number), &path).map_err(|error| self.poison(error))?;
        disk.sync_dir(DIR).map_err(|error| self.poison(error))?;
        let file = disk.open(&path).map_err(|error| self.poison(error))?;
        Ok((file, len))
    }

    pub(super) fn write_batch(
        &mut self,
        disk: &dyn Disk,
        table: Vec<format::Descriptor>,
        body_len: u64,
        bodies: &[&[u8]],
    ) -> Result<Written, WalError> {
        let start = self.start();
        let head = Head {
            generation: self.current.generation,
            first_lsn: self.next_lsn,
            synced: self.synced,
            start,
            file_len: self.current.len,
            previous_len: u32::try_from(self.last_head.len()).unwrap_or(u32::MAX),
            body_len,
            table,
        };
        let encoded = head.encode(self.options.store.0);
        let used = head.bodies_at() + body_len;
        let bytes = used.next_multiple_of(PAGE);
        let padding = [0; PAGE as usize];
        let padding = padding.get(..usize::try_from(bytes - used).unwrap_or(0)).unwrap_or_default();
        let parts = [&encoded[..], &self.last_head].into_iter();
        let parts = parts.chain(bodies.iter().copied()).chain([padding]);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).map(IoSlice::new).collect();
        disk.write_vectored_at(self.current.file, self.current.offset, &parts)
            .map_err(|error| self.poison(error))?;
        self.last_head = encoded;
        self.current.offset += bytes;
        self.next_lsn = head.next_lsn();
        let last_lsn = self.next_lsn - 1;
        self.unsynced = Some((last_lsn, start));
        Ok(Written { first_lsn: head.first_lsn, last_lsn, bytes })
    }
}

pub(super) fn batch_len(head_len: usize, previous_len: usize, body_len: u64) -> u64 {
    let used = (head_len as u64).saturating_add(previous_len as u64).saturating_add(body_len);
    used.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX)
}
