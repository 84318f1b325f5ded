//! What the writer has done.

use std::time::Duration;

use flotilla_disk::RoomReport;
use hdrhistogram::Histogram;

/// How the log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WalStatus {
    /// Bytes in files that are in use.
    pub used: u64,
    /// The size from which on groups are asked to move forward.
    pub soft: u64,
    /// The size that it should not pass.
    pub cap: u64,
    /// The highest position that is on stable storage.
    pub synced: u64,
    /// How much room its disk has.
    pub room: RoomReport,
}

/// Counts since the start of the writer.
#[derive(Clone, Debug)]
pub struct WalStats {
    /// Batches that became durable.
    pub batches: u64,
    /// Writes, each with one sync.
    pub syncs: u64,
    /// Bytes on disk, with padding.
    pub bytes: u64,
    /// How long syncs took, in microseconds, up to one minute.
    pub sync_micros: Histogram<u64>,
    /// How long writes took before their syncs, likewise.
    pub write_micros: Histogram<u64>,
}

impl Default for WalStats {
    fn default() -> Self {
        // One to sixty million with two digits: both bounds are within what the type allows.
        let micros = Histogram::new_with_bounds(1, 60_000_000, 2)
            .unwrap_or_else(|error| unreachable!("constant bounds: {error}"));
        Self { batches: 0, syncs: 0, bytes: 0, sync_micros: micros.clone(), write_micros: micros }
    }
}

impl WalStats {
    pub(super) fn note(&mut self, batches: usize, bytes: u64, write: Duration, sync: Duration) {
        self.batches += batches as u64;
        self.syncs += 1;
        self.bytes += bytes;
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
        self.write_micros.saturating_record(micros(write));
        self.sync_micros.saturating_record(micros(sync));
    }
}
