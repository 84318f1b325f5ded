//! What is on the disk, as step functions over a [`Disk`]: the store record, the write-ahead log of all groups and
//! the segments of the streams.
//!
//! No threads, no clock, no randomness: the shell (`flotilla-storage`) brings real files and threads, the
//! simulator brings a [`MemDisk`]. Every byte is drawn in `docs/storage-format.md`.
//!
//! Rules that hold everywhere here: nothing that is read back is served unverified; damage is reported exactly
//! and never repaired by guessing; what one call acknowledged survives a power loss at any later call.

mod aside;
mod disk;
mod fields;
mod mem_disk;
mod seeded;
mod segment;
mod store;
mod wal;

pub use aside::{forget_aside, set_aside, take_aside};
pub use disk::{Disk, DiskError, FileId};
pub use mem_disk::{Failure, MemDisk, Operation};
pub use seeded::Seeded;
pub use segment::{
    DamagedRange, DamagedSegment, OpenedSegments, ReadError, Scrubbed, SegmentError, SegmentJob,
    SegmentOptions, SegmentRecord, SegmentRecordMeta, SegmentStore, SegmentSummary, Staging,
    StagingError,
};
pub use store::{CreatedThrough, MAX_BOOTSTRAP, StoreError, StoreFile, StoreRecord};
pub use wal::{
    BaseRecord, Damage, EntryIdentity, LOG_DIR, LostBase, LostRange, MAX_BODY, MissingEntries, Pin,
    Pressure, RecordError, RecoveredGroup, Recovery, Room, RoomReport, SpareJob, TornTail, Wal,
    WalBatch, WalError, WalOptions, Written,
};
