//! Crashes at every disk call of appending, flushing, removing and compacting.

use super::*;
use crate::seeded::Seeded;

/// What bases in the log would say: the flush point and the removed prefix.
#[derive(Clone, Copy, Debug, Default)]
struct Durable {
    upto: u64,
    removed: u64,
}

fn live(seq: u64) -> bool {
    !seq.is_multiple_of(3)
}

/// Goes on behind `durable` until sequence `end` or the disk fails; a base is durable as soon as it can be.
fn go(disk: &MemDisk, mut durable: Durable, end: u64, random: &mut Seeded) -> Durable {
    let opened = SegmentStore::open(disk, G, durable.upto, small(), &mut |_| ());
    let Ok(OpenedSegments { mut store, .. }) = opened else { return durable };
    store.remove_through(durable.removed);
    for seq in durable.upto + 1..=end {
        store.append(record(seq)).unwrap();
        let job = match random.below(8) {
            0 | 1 => store.take_flush(),
            2 => store.take_removals(durable.removed),
            3 => {
                let first = store.sealed().find(|(_, last, _)| *last <= durable.upto);
                let first = first.map(|(first_seq, ..)| first_seq);
                match first.map(|first_seq| store.compact(disk, first_seq, &live)) {
                    Some(Ok(job)) => job,
                    Some(Err(_)) => return durable,
                    None => None,
                }
            }
            _ => None,
        };
        if let Some(job) = job {
            let result = job.run(disk);
            store.finished(job.id(), &result);
            if result.is_err() {
                return durable;
            }
        }
        durable.upto = store.flushed_through();
        if random.one_in(20) {
            durable.removed = durable.upto.saturating_sub(10).max(durable.removed);
            store.remove_through(durable.removed);
        }
    }
    durable
}

fn check(disk: &MemDisk, durable: Durable, context: &str) {
    let (mut store, _, damage) = opened(disk, durable.upto);
    assert_eq!(damage, [], "{context}");
    for seq in (durable.removed + 1..=durable.upto).filter(|seq| live(*seq)) {
        assert_eq!(store.read(disk, seq), Ok(Some(record(seq))), "{context}: record {seq}");
    }
}

#[test]
fn every_crash_point_keeps_what_a_base_names() {
    let whole = MemDisk::new();
    go(&whole, Durable::default(), 120, &mut Seeded::new(4));
    let calls = whole.changes();
    assert!(calls > 80, "the run must be worth it: {calls}");
    for crash in 1..=calls {
        for seed in 0..3 {
            let disk = MemDisk::new();
            disk.crash_at(crash);
            let durable = go(&disk, Durable::default(), 120, &mut Seeded::new(4));
            disk.power_loss(seed);
            check(&disk, durable, &format!("crash {crash} seed {seed}"));
        }
    }
}

#[test]
fn repeated_power_losses_lose_nothing() {
    for seed in 0..25 {
        let mut random = Seeded::new(seed);
        let disk = MemDisk::new();
        let mut durable = Durable::default();
        for life in 0..6 {
            disk.crash_at(5 + random.below(60));
            durable = go(&disk, durable, durable.upto + 80, &mut random);
            disk.power_loss(random.next_u64());
            check(&disk, durable, &format!("seed {seed} life {life} {durable:?}"));
        }
    }
}
