//! The store directory on real files, and the threads that write to it.
//!
//! * [`FileDisk`] is the [`Disk`](flotilla_disk::Disk) of a running server; it holds the directory's lock.
//! * [`WalWriter`] is the one thread that owns the log: shards submit batches, it gathers what waits, writes once,
//!   syncs once and tells each of them.
//! * [`SegmentFlusher`] is the thread behind the acknowledgements: it carries out the jobs that
//!   [`SegmentStore`](flotilla_disk::SegmentStore)s give.
//!
//! What is written, and why it may be trusted, is `flotilla-disk`'s matter.

mod direct;
mod file_disk;
mod gather;
mod open_file;
mod segment_flusher;
mod wal_writer;

pub use file_disk::FileDisk;
pub use segment_flusher::{FlushDone, FlushRefused, FlusherOptions, SegmentFlusher};
pub use wal_writer::{
    PressureCallback, RoomCallback, Submitter, WalCallback, WalCompletion, WalReports, WalStats,
    WalStatus, WalWriter, WalWriterOptions,
};
