//! What the writer has done.

use std::time::Duration;

use hdrhistogram::Histogram;

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
}

impl Default for WalStats {
    fn default() -> Self {
        // One to sixty million with two digits: both bounds are within what the type allows.
        let sync_micros = Histogram::new_with_bounds(1, 60_000_000, 2)
            .unwrap_or_else(|error| unreachable!("constant bounds: {error}"));
        Self { batches: 0, syncs: 0, bytes: 0, sync_micros }
    }
}

impl WalStats {
    pub(super) fn note(&mut self, batches: usize, bytes: u64, sync: Duration) {
        self.batches += batches as u64;
        self.syncs += 1;
        self.bytes += bytes;
        let micros = u64::try_from(sync.as_micros()).unwrap_or(u64::MAX);
        self.sync_micros.saturating_record(micros.max(1));
    }
}
