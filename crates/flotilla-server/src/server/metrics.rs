//! What `/metrics` shows of JetStream, gathered.

use flotilla_host::Totals;
use flotilla_jetstream::JetStream;
use flotilla_monitor::{JetStreamMetrics, LATENCY_BOUNDS, Latency};
use flotilla_raft::GroupId;

/// The numbers as they are now.
pub(super) fn of(jetstream: &JetStream) -> JetStreamMetrics {
    let Totals {
        streams,
        streams_led,
        consumers,
        consumers_led,
        awake,
        beginning,
        messages,
        bytes,
        ended,
        diverged,
        mending,
        damages,
        repairs,
        scrubbed,
    } = jetstream.totals();
    let (stats, status) = (jetstream.log_stats(), jetstream.log_status());
    let (write, sync) = (&stats.write_micros, &stats.sync_micros);
    JetStreamMetrics {
        up: jetstream.failure().is_none(),
        leads_meta: jetstream.leaders().of(GroupId::META) == Some(jetstream.info().store),
        streams,
        streams_led,
        consumers,
        consumers_led,
        awake,
        beginning,
        messages,
        bytes,
        api: jetstream.api().stats(),
        wal_used: status.used,
        wal_soft: status.soft,
        wal_cap: status.cap,
        wal_batches: stats.batches,
        wal_syncs: stats.syncs,
        wal_written: stats.bytes,
        wal_write: latency(|bound| write.count_between(1, bound), write.len(), write.mean()),
        wal_sync: latency(|bound| sync.count_between(1, bound), sync.len(), sync.mean()),
        wal_poisoned: jetstream.log_ended().is_some(),
        disk_free: jetstream.free_bytes(),
        disk_full: jetstream.lacks_room().is_some(),
        ended: ended.len() as u64,
        diverged: diverged.len() as u64,
        mending: mending.len() as u64,
        damages,
        repairs,
        scrubbed,
    }
}

/// From how many took at least one microsecond, the least that is measured, and at most so many; how many there were; and
/// how many microseconds they took on average.
fn latency(up_to: impl Fn(u64) -> u64, count: u64, mean: f64) -> Latency {
    Latency { up_to: LATENCY_BOUNDS.map(up_to), count, sum: mean * count as f64 / 1e6 }
}
