//! How fast the log is on a disk: `cargo run --release -p flotilla-storage --example wal -- [dir] [seconds]`.
//!
//! For several numbers of groups, each keeps one batch of one entry in flight, as a publisher that waits for each
//! acknowledgement does. More groups share a sync, so batches per second grow while syncs do not.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_disk::{Disk, StoreFile, Wal, WalBatch, WalOptions};
use flotilla_raft::{Base, Entry, EntryKind, GroupId, HardState, ReplicaId};
use flotilla_storage::{FileDisk, WalCompletion, WalReports, WalWriter, WalWriterOptions};

type Failed = Box<dyn std::error::Error>;

const REPLICA: ReplicaId = ReplicaId(1);

fn main() -> Result<(), Failed> {
    let mut args = std::env::args().skip(1);
    let dir =
        args.next().map_or_else(std::env::temp_dir, PathBuf::from).join("flotilla-wal-example");
    let seconds = args.next().map_or(Ok(3), |seconds| seconds.parse())?;
    println!(
        "{:>7} {:>7} {:>11} {:>9} {:>8} {:>9} {:>9}",
        "groups", "bytes", "batches/s", "syncs/s", "MB/s", "p50 us", "p99 us"
    );
    for (groups, size) in [(1, 256), (16, 256), (256, 256), (4096, 256), (16, 65_536)] {
        measure(&dir, groups, size, Duration::from_secs(seconds))?;
    }
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}

fn measure(dir: &PathBuf, groups: u64, size: usize, time: Duration) -> Result<(), Failed> {
    let _ = std::fs::remove_dir_all(dir);
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(dir)?);
    let store = StoreFile::open_or_create(&*disk, 1)?;
    let (wal, _) = Wal::open(&*disk, WalOptions::new(store.record().store_id))?;
    let options = WalWriterOptions::default();
    let reports = WalReports { pressure: Arc::new(|_| ()), room: Arc::new(|_| ()) };
    let writer = WalWriter::start(Arc::clone(&disk), wal, options, reports)?;
    let (sender, completions) = channel::<WalCompletion>();
    let submitter = writer.submitter(Arc::new(move |completion| drop(sender.send(completion))));
    let data = Bytes::from(vec![7; size]);
    for group in 1..=groups {
        let mut batch = WalBatch::new();
        batch.create(GroupId(group), REPLICA, 1, Bytes::new())?;
        submitter.submit(batch, group)?;
    }
    let mut next = vec![1_u64; usize::try_from(groups)? + 1];
    let started = Instant::now();
    let mut in_flight = groups;
    while in_flight > 0 {
        let completion = completions.recv()?;
        completion.result?;
        for group in completion.tickets {
            if started.elapsed() >= time {
                in_flight -= 1;
                continue;
            }
            let Some(index) = next.get_mut(usize::try_from(group)?) else { continue };
            let batch = batch(GroupId(group), *index, &data)?;
            *index += 1;
            submitter.submit(batch, group)?;
        }
    }
    report(&writer, groups, size, started.elapsed());
    Ok(())
}

/// One entry; now and then a base, as a group does that flushes, so that the log is reclaimed.
fn batch(group: GroupId, index: u64, data: &Bytes) -> Result<WalBatch, Failed> {
    let mut batch = WalBatch::new();
    let entry = Entry { term: 1, index, kind: EntryKind::Command, data: data.clone() };
    batch.entries(group, REPLICA, &[entry])?;
    if index.is_multiple_of(1000) {
        let base = Base { index, term: 1, ..Base::default() };
        batch.base(&flotilla_disk::BaseRecord {
            group,
            replica: REPLICA,
            incarnation: 1,
            asset: &Bytes::new(),
            hard_state: HardState { term: 1, vote: REPLICA, commit: index },
            base: &base,
            entries_from: index + 1,
        })?;
    }
    Ok(batch)
}

#[allow(clippy::cast_precision_loss)] // shown with one digit
fn report(writer: &WalWriter, groups: u64, size: usize, time: Duration) {
    let stats = writer.stats();
    let per_second = |n: u64| n as f64 / time.as_secs_f64();
    println!(
        "{groups:>7} {size:>7} {:>11.0} {:>9.0} {:>8.1} {:>9} {:>9}",
        per_second(stats.batches),
        per_second(stats.syncs),
        per_second(stats.batches) * size as f64 / 1e6,
        stats.sync_micros.value_at_quantile(0.5),
        stats.sync_micros.value_at_quantile(0.99),
    );
}
