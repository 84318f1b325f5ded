//! Who this store is, and what it has promised: `store.a` and `store.b` (docs/storage-format.md §1).

use bytes::Bytes;
use flotilla_raft::{ReplicaId, Slot, StoreId};
use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::{Disk, DiskError, FileId, read_whole, write_at};
use crate::fields::Fields;

const MAGIC: &[u8; 8] = b"FLTSTORE";
const VERSION: u16 = 2;
const HAS_CLUSTER: u16 = 1;
const HEAD: usize = 48;
/// Of version 2: a replica id for each slot.
const CREATED: usize = 8 * Slot::COUNT;
const COPIES: [&str; 2] = ["store.a", "store.b"];

/// The longest bootstrap state that a store record holds, in bytes.
pub const MAX_BOOTSTRAP: usize = 65_536;

/// What a store knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRecord {
    /// Random, made with the directory, never changed.
    pub store_id: StoreId,
    /// The cluster that it belongs to; set once. A store that has one never takes part in a bootstrap.
    pub cluster_id: Option<u64>,
    /// The highest replica ids that were ever created here, by the slot of their group. None goes back, so that no
    /// replica that once voted is created a second time with an empty log.
    pub created: CreatedThrough,
    /// What the bootstrap's acceptor has promised; opaque here, at most [`MAX_BOOTSTRAP`] bytes.
    pub bootstrap: Bytes,
}

/// The highest replica id that was created, for each slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedThrough(Box<[ReplicaId; Slot::COUNT]>);

impl Default for CreatedThrough {
    fn default() -> Self {
        Self(Box::new([ReplicaId::NONE; Slot::COUNT]))
    }
}

impl CreatedThrough {
    /// The highest one of a slot; [`ReplicaId::NONE`] if there never was any.
    #[must_use]
    pub fn get(&self, slot: Slot) -> ReplicaId {
        self.0[usize::from(slot.0)]
    }

    /// `replica` was created in `slot`, and others before it.
    pub fn raise(&mut self, slot: Slot, replica: ReplicaId) {
        let through = &mut self.0[usize::from(slot.0)];
        *through = replica.max(*through);
    }
}

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
    /// Written by a later version of this server.
    #[error("{path} has format version {found}, this server knows up to {VERSION}: upgrade it")]
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
    let bytes = read_whole(disk, file, (HEAD + CREATED + MAX_BOOTSTRAP + 8) as u64);
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

fn encode(record: &StoreRecord, update: u64) -> Vec<u8> {
    let flags = if record.cluster_id.is_some() { HAS_CLUSTER } else { 0 };
    let length = u32::try_from(record.bootstrap.len()).unwrap_or(u32::MAX);
    let highest = record.created.0.iter().max().copied().unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEAD + CREATED + record.bootstrap.len() + 8);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&update.to_le_bytes());
    bytes.extend_from_slice(&record.store_id.0.to_le_bytes());
    bytes.extend_from_slice(&record.cluster_id.unwrap_or(0).to_le_bytes());
    bytes.extend_from_slice(&highest.0.to_le_bytes());
    for created in record.created.0.iter() {
        bytes.extend_from_slice(&created.0.to_le_bytes());
    }
    bytes.extend_from_slice(&record.bootstrap);
    let check = xxh3_64(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// `None`: damaged. `Some(Err)`: whole as far as can be told, but of an unknown version.
fn decode(bytes: &[u8]) -> Option<Result<(u64, StoreRecord), u16>> {
    let mut fields = Fields(bytes);
    if fields.take(8)? != MAGIC {
        return None;
    }
    let version = fields.u16()?;
    let flags = fields.u16()?;
    let length = fields.u32()? as usize;
    let update = fields.u64()?;
    let store_id = StoreId(fields.u64()?);
    let cluster = fields.u64()?;
    let highest = ReplicaId(fields.u64()?);
    // A store of version 1 had one order of creations; it holds for every slot.
    let mut created = CreatedThrough(Box::new([highest; Slot::COUNT]));
    if version >= 2 {
        for through in created.0.iter_mut() {
            *through = ReplicaId(fields.u64()?);
        }
    }
    let bootstrap = fields.take(length)?;
    let checked = bytes.len() - fields.0.len();
    let check = fields.u64()?;
    if xxh3_64(bytes.get(..checked)?) != check {
        return None;
    }
    if version == 0 || version > VERSION {
        return Some(Err(version));
    }
    let cluster_id = (flags & HAS_CLUSTER != 0).then_some(cluster);
    let bootstrap = Bytes::copy_from_slice(bootstrap);
    Some(Ok((update, StoreRecord { store_id, cluster_id, created, bootstrap })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem_disk::{Failure, MemDisk, Operation};

    const SLOT: Slot = Slot(7);

    fn created_through(slot: Slot, n: u64) -> CreatedThrough {
        let mut created = CreatedThrough::default();
        created.raise(slot, ReplicaId(n));
        created
    }

    fn created(n: u64) -> impl FnOnce(&mut StoreRecord) {
        move |record| record.created = created_through(SLOT, n)
    }

    #[test]
    fn the_record_has_the_documented_bytes() {
        let record = StoreRecord {
            store_id: StoreId(0x1122),
            cluster_id: Some(0x33),
            created: created_through(Slot(3), 0x44),
            bootstrap: Bytes::from_static(b"xy"),
        };
        let bytes = encode(&record, 5);
        let mut expected = b"FLTSTORE\x02\0\x01\0\x02\0\0\0\x05\0\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(b"\x22\x11\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x44\0\0\0\0\0\0\0");
        expected.resize(48 + 3 * 8, 0);
        expected.push(0x44);
        expected.resize(48 + 2048, 0);
        expected.extend_from_slice(b"xy");
        assert_eq!(bytes[..2098], expected);
        assert_eq!(bytes[2098..], xxh3_64(&expected).to_le_bytes());
        assert_eq!(decode(&bytes), Some(Ok((5, record))));
    }

    #[test]
    fn a_record_of_the_first_version_holds_for_every_slot() {
        let mut bytes = b"FLTSTORE\x01\0\x01\0\x02\0\0\0\x05\0\0\0\0\0\0\0".to_vec();
        bytes.extend_from_slice(b"\x22\x11\0\0\0\0\0\0\x33\0\0\0\0\0\0\0\x44\0\0\0\0\0\0\0xy");
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        let (update, record) = decode(&bytes).unwrap().unwrap();
        assert_eq!((update, record.store_id, record.cluster_id), (5, StoreId(0x1122), Some(0x33)));
        assert_eq!([Slot(0), Slot(255)].map(|slot| record.created.get(slot)), [ReplicaId(0x44); 2]);
        assert_eq!(&record.bootstrap[..], b"xy");
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
            for byte in (0..HEAD + CREATED + 8).step_by(3) {
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
