//! Who this store is, and what it has promised: `store.a` and `store.b` (docs/storage-format.md §1).

mod record;

use bytes::Bytes;
use flotilla_raft::{ReplicaId, StoreId};
use thiserror::Error;

use crate::disk::{Disk, DiskError, FileId, read_whole, write_at};

pub use record::{CreatedThrough, MAX_BOOTSTRAP, StoreRecord};
use record::{HEAD, REPLICAS, VERSION, decode, encode};

const COPIES: [&str; 2] = ["store.a", "store.b"];

/// Why the store record cannot be read or written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// A disk call failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Both copies are damaged or gone while the store has data.
    #[error(
        "store.a and store.b are both damaged or gone, and the store directory is not empty: this \
         server cannot tell which replicas it is; start it with an empty store directory and let the \
         cluster replace it"
    )]
    Lost,
    /// Written by a later version of this server, or by one before the first release.
    #[error("{path} has format version {found}, this server reads version {VERSION}")]
    Version {
        /// Which copy.
        path: &'static str,
        /// Its version.
        found: u16,
    },
    /// An update would take back a promise.
    #[error("the store record's {field} must not change from {from} to {to}")]
    Regression {
        /// The field.
        field: &'static str,
        /// What it is.
        from: u64,
        /// What it was to become.
        to: u64,
    },
    /// The bootstrap state is too long.
    #[error("a bootstrap state of {0} bytes is above the limit of {MAX_BOOTSTRAP}")]
    BootstrapTooLong(usize),
    /// An update failed before, so that it is unknown what the disk holds.
    #[error("the store record is not written any more, because an earlier update failed: {0}")]
    Poisoned(String),
}

/// The two copies on disk, and what they say.
///
/// An update is durable in both before it counts: one lost copy loses no promise.
#[derive(Debug)]
pub struct StoreFile {
    record: StoreRecord,
    update: u64,
    files: [FileId; 2],
    poisoned: Option<String>,
}

impl StoreFile {
    /// Reads the record; in an empty directory, makes a store with the id `fresh_id` (random, by the caller).
    pub fn open_or_create(disk: &dyn Disk, fresh_id: u64) -> Result<Self, StoreError> {
        let copies = [read_copy(disk, COPIES[0])?, read_copy(disk, COPIES[1])?];
        let newest = copies.iter().filter_map(Copy::whole).max_by_key(|(update, _)| *update);
        let (update, record) = match newest {
            Some((update, record)) => (*update, record.clone()),
            None if is_fresh(disk, &copies)? => (
                0,
                StoreRecord {
                    store_id: StoreId(fresh_id),
                    cluster_id: None,
                    created: CreatedThrough::default(),
                    forgetful: false,
                    disowned: ReplicaId::NONE,
                    bootstrap: Bytes::new(),
                },
            ),
            None => return Err(StoreError::Lost),
        };
        let files = [open_copy(disk, COPIES[0])?, open_copy(disk, COPIES[1])?];
        disk.sync_dir("")?;
        let mut store = Self { record, update, files, poisoned: None };
        let agreed = update > 0 && copies.iter().all(|copy| copy.is(update));
        if !agreed {
            store.write(disk)?;
        }
        Ok(store)
    }

    /// What the store knows about itself.
    #[must_use]
    pub fn record(&self) -> &StoreRecord {
        &self.record
    }

    /// Changes the record; it is durable in both copies when this returns. An error leaves the old one in
    /// force here, and refuses further updates if a write failed.
    pub fn update(
        &mut self,
        disk: &dyn Disk,
        change: impl FnOnce(&mut StoreRecord),
    ) -> Result<(), StoreError> {
        if let Some(why) = &self.poisoned {
            return Err(StoreError::Poisoned(why.clone()));
        }
        let mut next = self.record.clone();
        change(&mut next);
        if next == self.record {
            return Ok(());
        }
        keeps_promises(&self.record, &next)?;
        let before = std::mem::replace(&mut self.record, next);
        self.write(disk).inspect_err(|error| {
            self.record = before;
            self.poisoned = Some(error.to_string());
        })
    }

    fn write(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        self.update += 1;
        let bytes = encode(&self.record, self.update);
        // One after the other: while one copy is in flight the other one is whole.
        for file in self.files {
            write_at(disk, file, 0, &bytes)?;
            disk.sync_data(file)?;
        }
        Ok(())
    }
}

/// What a copy turned out to be.
enum Copy {
    Missing,
    Broken,
    Whole(u64, StoreRecord),
}

impl Copy {
    fn whole(&self) -> Option<(&u64, &StoreRecord)> {
        match self {
            Self::Whole(update, record) => Some((update, record)),
            _ => None,
        }
    }

    fn is(&self, update: u64) -> bool {
        matches!(self, Self::Whole(found, _) if *found == update)
    }
}

/// Whether there is nothing here but, at most, a creation that was cut short in its first copy. `store.b`
/// gets its name together with `store.a`, but is written only after that one is whole.
fn is_fresh(disk: &dyn Disk, copies: &[Copy; 2]) -> Result<bool, DiskError> {
    let names = disk.list("")?;
    let has_data = names.iter().any(|name| name == "wal" || name == "streams");
    let b_was_written = match copies {
        [_, Copy::Broken] => {
            let file = disk.open(COPIES[1])?;
            let len = disk.len(file);
            disk.close(file);
            len? > 0
        }
        _ => false,
    };
    Ok(!has_data && !b_was_written)
}

fn open_copy(disk: &dyn Disk, path: &str) -> Result<FileId, DiskError> {
    match disk.open(path) {
        Err(DiskError::NotFound { .. }) => disk.create(path),
        opened => opened,
    }
}

fn read_copy(disk: &dyn Disk, path: &'static str) -> Result<Copy, StoreError> {
    let file = match disk.open(path) {
        Err(DiskError::NotFound { .. }) => return Ok(Copy::Missing),
        opened => opened?,
    };
    let bytes = read_whole(disk, file, (HEAD + REPLICAS + MAX_BOOTSTRAP + 8) as u64);
    disk.close(file);
    let bytes = bytes?;
    match decode(&bytes) {
        Some(Ok((update, record))) => Ok(Copy::Whole(update, record)),
        Some(Err(found)) => Err(StoreError::Version { path, found }),
        None => Ok(Copy::Broken),
    }
}

fn keeps_promises(from: &StoreRecord, to: &StoreRecord) -> Result<(), StoreError> {
    let regression = |field, from, to| Err(StoreError::Regression { field, from, to });
    if from.store_id != to.store_id {
        return regression("store id", from.store_id.0, to.store_id.0);
    }
    if let Some(cluster) = from.cluster_id
        && to.cluster_id != Some(cluster)
    {
        return regression("cluster id", cluster, to.cluster_id.unwrap_or(0));
    }
    let created = from.created.0.iter().zip(to.created.0.iter());
    if let Some((from, to)) = created.into_iter().find(|(from, to)| to < from) {
        return regression("created through", from.0, to.0);
    }
    if to.bootstrap.len() > MAX_BOOTSTRAP {
        return Err(StoreError::BootstrapTooLong(to.bootstrap.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem_disk::{Failure, MemDisk, Operation};
    use flotilla_raft::{ReplicaId, Slot};
    use xxhash_rust::xxh3::xxh3_64;

    const SLOT: Slot = Slot(7);

    fn created_through(slot: Slot, n: u64) -> CreatedThrough {
        let mut created = CreatedThrough::default();
        created.raise(slot, ReplicaId(n));
        created
    }

    fn created(n: u64) -> impl FnOnce(&mut StoreRecord) {
        move |record| record.created = created_through(SLOT, n)
    }

    /// A copy of another version is whole, and not to be written over, whatever stands beside it.
    #[test]
    fn other_versions_are_refused_and_left_alone() {
        let mut first = b"FLTSTORE\x01\0\x01\0\x02\0\0\0\x05\0\0\0\0\0\0\0".to_vec();
        first.extend_from_slice(b"\x22\x11\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x44\0\0\0\0\0\0\0xy");
        let mut later = b"FLTSTORE\x04\0\x07\0\x32\0\0\0".to_vec();
        later.resize(0x32, 9);
        for (mut bytes, version) in [(first, 1), (later, 4)] {
            bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
            for path in COPIES {
                let disk = MemDisk::new();
                drop(StoreFile::open_or_create(&disk, 7).unwrap());
                let file = disk.open(path).unwrap();
                disk.truncate(file, 0).unwrap();
                write_at(&disk, file, 0, &bytes).unwrap();
                disk.close(file);
                let refused = StoreFile::open_or_create(&disk, 8).unwrap_err();
                assert_eq!(refused, StoreError::Version { path, found: version });
                assert_eq!(disk.contents(path), Some(bytes.clone()));
            }
        }
    }

    #[test]
    fn an_identity_is_made_once() {
        let disk = MemDisk::new();
        let id = StoreFile::open_or_create(&disk, 7).unwrap().record().store_id;
        assert_eq!(id, StoreId(7));
        assert_eq!(StoreFile::open_or_create(&disk, 8).unwrap().record().store_id, id);
    }

    #[test]
    fn one_damaged_copy_loses_no_promise() {
        for copy in COPIES {
            for byte in (0..HEAD + REPLICAS + 8).step_by(3) {
                let disk = MemDisk::new();
                let mut store = StoreFile::open_or_create(&disk, 7).unwrap();
                store.update(&disk, created(3)).unwrap();
                store.update(&disk, created(4)).unwrap();
                assert!(disk.flip_bit(copy, byte as u64, 2));
                let again = StoreFile::open_or_create(&disk, 8).unwrap();
                assert_eq!(again.record(), store.record(), "{copy} byte {byte}");
                assert_eq!(disk.contents(COPIES[0]), disk.contents(COPIES[1]), "repaired");
            }
        }
    }

    #[test]
    fn a_store_that_lost_both_copies_does_not_become_another() {
        let disk = MemDisk::new();
        StoreFile::open_or_create(&disk, 7).unwrap();
        disk.create_dir("wal").unwrap();
        assert!(COPIES.iter().all(|copy| disk.lose_file(copy)));
        assert_eq!(StoreFile::open_or_create(&disk, 8).unwrap_err(), StoreError::Lost);
    }

    #[test]
    fn promises_are_not_taken_back() {
        let disk = MemDisk::new();
        let mut store = StoreFile::open_or_create(&disk, 7).unwrap();
        store.update(&disk, |record| record.cluster_id = Some(1)).unwrap();
        store.update(&disk, created(3)).unwrap();
        let refused = [
            store.update(&disk, created(2)),
            store.update(&disk, |record| record.cluster_id = None),
            store.update(&disk, |record| record.store_id = StoreId(1)),
        ];
        assert!(refused.iter().all(|r| matches!(r, Err(StoreError::Regression { .. }))));
        assert_eq!(store.record().created.get(SLOT), ReplicaId(3));
    }

    #[test]
    fn a_failed_update_is_the_last() {
        let disk = MemDisk::new();
        let mut store = StoreFile::open_or_create(&disk, 7).unwrap();
        disk.fail(Operation::Sync, 2, Failure::Io);
        assert!(matches!(store.update(&disk, created(3)), Err(StoreError::Disk(_))));
        assert!(matches!(store.update(&disk, created(3)), Err(StoreError::Poisoned(_))));
        assert_eq!(store.record().created.get(SLOT), ReplicaId::NONE);
    }

    #[test]
    fn every_crash_point_keeps_what_was_acknowledged() {
        for crash in 1..40 {
            for seed in 0..8 {
                let disk = MemDisk::new();
                disk.crash_at(crash);
                let mut acknowledged = None;
                if let Ok(mut store) = StoreFile::open_or_create(&disk, 7) {
                    acknowledged = Some(0);
                    for n in 1..5 {
                        if store.update(&disk, created(n)).is_ok() {
                            acknowledged = Some(n);
                        }
                    }
                }
                disk.power_loss(seed);
                let store = StoreFile::open_or_create(&disk, 8).unwrap();
                let found = store.record();
                if let Some(n) = acknowledged {
                    assert_eq!(found.store_id, StoreId(7), "crash {crash} seed {seed}");
                    let range = n..=n + 1;
                    assert!(
                        range.contains(&found.created.get(SLOT).0),
                        "crash {crash} seed {seed}"
                    );
                }
            }
        }
    }
}
