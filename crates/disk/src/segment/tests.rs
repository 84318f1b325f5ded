mod damage;
mod power;
mod property;
mod repair;
mod transfer;

use super::*;
use crate::disk::Disk;
use crate::mem_disk::{Failure, MemDisk, Operation};

const G: GroupId = GroupId(5);

fn small() -> SegmentOptions {
    SegmentOptions { segment_size: 1000, flush_size: 600, block_size: 400 }
}

fn record(seq: u64) -> SegmentRecord {
    let payload = vec![u8::try_from(seq % 251).unwrap(); 40 + (seq as usize * 7) % 90];
    let headers = if seq.is_multiple_of(3) { "NATS/1.0\r\nA: b\r\n\r\n" } else { "" };
    let subject = format!("orders.{}", seq % 5);
    SegmentRecord {
        seq,
        time: 1_000 + seq.cast_signed(),
        subject_len: u16::try_from(subject.len()).unwrap(),
        headers_len: u32::try_from(headers.len()).unwrap(),
        body: [subject.as_bytes(), headers.as_bytes(), &payload].concat().into(),
    }
}

fn opened(disk: &MemDisk, upto: u64) -> (SegmentStore, Vec<SegmentRecordMeta>, Vec<DamagedRange>) {
    let mut metas = Vec::new();
    let mut visit = |meta| metas.push(meta);
    let opened = SegmentStore::open(disk, G, upto, small(), &mut visit).unwrap();
    (opened.store, metas, opened.damage)
}

fn run(disk: &MemDisk, store: &mut SegmentStore, job: &SegmentJob) {
    let result = job.run(disk);
    assert_eq!(result, Ok(()));
    store.finished(job.id(), &result);
}

fn flush_all(disk: &MemDisk, store: &mut SegmentStore) {
    while let Some(job) = store.take_flush() {
        run(disk, store, &job);
    }
}

/// Records 1..=n, all flushed.
fn stored(disk: &MemDisk, n: u64) -> SegmentStore {
    let (mut store, ..) = opened(disk, 0);
    (1..=n).for_each(|seq| store.append(record(seq)).unwrap());
    flush_all(disk, &mut store);
    assert_eq!(store.flushed_through(), n);
    store
}

fn assert_reads(disk: &MemDisk, store: &mut SegmentStore, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        assert_eq!(store.read(disk, seq), Ok(Some(record(seq))), "record {seq}");
    }
}

fn ranges(store: &SegmentStore) -> Vec<(u64, u64)> {
    store.segments.iter().map(|(first, segment)| (*first, segment.last_seq)).collect()
}

#[test]
fn a_record_can_be_read_before_during_and_after_its_flush() {
    let disk = MemDisk::new();
    let (mut store, ..) = opened(&disk, 0);
    (1..=30).for_each(|seq| store.append(record(seq)).unwrap());
    assert_reads(&disk, &mut store, 1..=30);
    assert_eq!(disk.files(), [""; 0], "appending touches no disk");
    let job = store.take_flush().unwrap();
    assert!(store.take_flush().is_none(), "one at a time");
    job.run(&disk).unwrap();
    assert_reads(&disk, &mut store, 1..=30);
    let before = store.tail_bytes();
    store.finished(job.id(), &Ok(()));
    assert!(store.tail_bytes() < before && store.flushed_through() > 0);
    assert_reads(&disk, &mut store, 1..=30);
    flush_all(&disk, &mut store);
    assert_eq!((store.tail_bytes(), store.flushed_through()), (0, 30));
    assert_reads(&disk, &mut store, 1..=30);
    assert_eq!(store.read(&disk, 31), Ok(None));
    assert_eq!(
        store.append(record(30)).unwrap_err(),
        SegmentError::OutOfOrder { group: G, seq: 30, last: 30 }
    );
}

#[test]
fn segments_have_the_same_ranges_however_they_are_flushed_and_reopened() {
    let disk = MemDisk::new();
    let whole = ranges(&stored(&disk, 60));
    assert!(whole.len() > 4);
    for stop in 1..60 {
        let disk = MemDisk::new();
        let mut store = stored(&disk, stop);
        // Ten more reach the files, and the base does not say so.
        (stop + 1..=stop + 10).for_each(|seq| store.append(record(seq)).unwrap());
        flush_all(&disk, &mut store);
        let (mut store, metas, damage) = opened(&disk, stop);
        assert_eq!((metas.len() as u64, damage.len()), (stop, 0), "stop {stop}");
        (stop + 1..=60).for_each(|seq| store.append(record(seq)).unwrap());
        flush_all(&disk, &mut store);
        assert_eq!(ranges(&store), whole, "stop {stop}");
        assert_reads(&disk, &mut store, 1..=60);
    }
}

#[test]
fn opening_reads_indexes_and_not_records() {
    let disk = MemDisk::new();
    stored(&disk, 200);
    let (segments, reads) = (disk.files().len() as u64, disk.calls(Operation::Read));
    let (_, metas, _) = opened(&disk, 200);
    let per_segment = (disk.calls(Operation::Read) - reads).div_ceil(segments);
    assert!(per_segment <= 3, "{per_segment} reads per segment");
    for (meta, seq) in metas.iter().zip(1..) {
        let record = record(seq);
        assert_eq!((meta.seq, meta.time, &meta.subject[..]), (seq, record.time, record.subject()));
        let around = u32::from(record.subject_len) + record.headers_len;
        let lengths = (record.headers_len, record.body.len() as u32 - around);
        assert_eq!((meta.headers_len, meta.payload_len), lengths);
    }
    let options = SegmentOptions { block_size: 4096, ..small() };
    let mut store = SegmentStore::open(&disk, G, 200, options, &mut |_| ()).unwrap().store;
    let reads = disk.calls(Operation::Read);
    assert_reads(&disk, &mut store, 1..=200);
    let reads = disk.calls(Operation::Read) - reads;
    assert!(reads <= 4 * segments, "a block serves a sequential reader: {reads} reads");
    // The first one that is read announces the second one, and so on; the last one is not sealed, or has no next one.
    let announced = disk.calls(Operation::WillRead);
    assert!((segments - 2..segments).contains(&announced), "{announced} of {segments}");
}

#[test]
fn sequences_may_jump() {
    let disk = MemDisk::new();
    let mut store = stored(&disk, 3);
    store.append(record(1 << 40)).unwrap();
    flush_all(&disk, &mut store);
    let (mut store, metas, damage) = opened(&disk, 1 << 40);
    assert_eq!((metas.len(), damage.len()), (4, 0));
    assert_eq!(store.read(&disk, 1 << 40), Ok(Some(record(1 << 40))));
    assert_eq!(store.read(&disk, 77), Ok(None));
}

#[test]
fn files_go_only_when_a_durable_base_says_so() {
    let disk = MemDisk::new();
    let mut store = stored(&disk, 60);
    let files = disk.files().len();
    store.remove_through(40);
    assert_eq!(store.read(&disk, 40), Ok(None));
    assert!(store.take_removals(0).is_none());
    let some = store.take_removals(20).unwrap();
    run(&disk, &mut store, &some);
    let rest = store.take_removals(40).unwrap();
    run(&disk, &mut store, &rest);
    assert!(store.take_removals(40).is_none());
    assert!(disk.files().len() <= files - 4);
    let (mut store, metas, damage) = opened(&disk, 60);
    assert!(metas[0].seq <= 41 && damage.is_empty());
    assert_reads(&disk, &mut store, 41..=60);
}

#[test]
fn compaction_drops_records_and_changes_no_hash() {
    let disk = MemDisk::new();
    let mut store = stored(&disk, 60);
    let live = |seq: u64| seq.is_multiple_of(4);
    let before = store.manifest(&disk, 60, &live).unwrap();
    assert_reads(&disk, &mut store, 1..=60);
    let sealed: Vec<_> = store.sealed().map(|(first_seq, ..)| first_seq).collect();
    for first_seq in sealed {
        let job = store.compact(&disk, first_seq, &live).unwrap().unwrap();
        assert_eq!(store.compact(&disk, first_seq, &live).map(|job| job.is_some()), Ok(false));
        job.run(&disk).unwrap();
        // The store does not know yet that the file is another one.
        let seq = first_seq.next_multiple_of(4);
        assert_eq!(store.read(&disk, seq), Ok(Some(record(seq))));
        store.finished(job.id(), &Ok(()));
        assert!(store.compact(&disk, first_seq, &live).unwrap().is_none(), "nothing left to drop");
    }
    let after = store.manifest(&disk, 60, &live).unwrap();
    assert!(before.iter().zip(&after).all(|(b, a)| b.same_content(a)));
    assert!(after[0].bytes < before[0].bytes);
    let (mut store, metas, damage) = opened(&disk, 60);
    assert!(metas.len() < 30 && damage.is_empty());
    assert_eq!(ranges(&store).len(), before.len());
    for seq in 1..50 {
        let expected = live(seq).then(|| record(seq));
        assert_eq!(store.read(&disk, seq), Ok(expected), "record {seq}");
    }
}

#[test]
fn content_is_the_same_in_whatever_segments_it_is() {
    let large = SegmentOptions { segment_size: 1 << 20, ..small() };
    let with = |options, other: u64| {
        let disk = MemDisk::new();
        let mut store = SegmentStore::open(&disk, G, 0, options, &mut |_| ()).unwrap().store;
        for seq in 1..=60 {
            let content = if seq == other { record(seq + 100) } else { record(seq) };
            store.append(SegmentRecord { seq, ..content }).unwrap();
        }
        (disk, store)
    };
    let even = |seq: u64| seq.is_multiple_of(2);
    let (disk, mut store) = with(small(), 0);
    let unflushed = store.content(&disk, 11, 50, &even).unwrap();
    flush_all(&disk, &mut store);
    assert!(store.sealed().count() > 4);
    assert_eq!(store.content(&disk, 11, 50, &even), Ok(unflushed));
    let (disk, mut store) = with(large, 0);
    assert_eq!(store.content(&disk, 11, 50, &even), Ok(unflushed));
    assert_ne!(store.content(&disk, 11, 50, &|_| true), Ok(unflushed));
    assert_ne!(store.content(&disk, 13, 50, &even), Ok(unflushed));
    for (other, same) in [(10, true), (11, true), (12, false), (50, false), (51, true)] {
        let (disk, mut store) = with(small(), other);
        flush_all(&disk, &mut store);
        let content = store.content(&disk, 11, 50, &even);
        assert_eq!(content == Ok(unflushed), same, "another record {other}");
    }
}

#[test]
fn an_erased_record_leaves_no_byte() {
    let secret = |disk: &MemDisk, seq: u64| {
        let SegmentRecord { body, subject_len, headers_len, .. } = record(seq);
        let payload = body.slice(usize::from(subject_len) + headers_len as usize..);
        let found = |path: &String| {
            disk.contents(path).unwrap().windows(payload.len()).any(|window| window == payload)
        };
        disk.files().iter().any(found)
    };
    let disk = MemDisk::new();
    let mut store = stored(&disk, 40);
    assert!(secret(&disk, 9));
    let job = store.erase(&disk, 9).unwrap().unwrap();
    run(&disk, &mut store, &job);
    assert!(!secret(&disk, 9));
    assert_eq!(store.read(&disk, 9), Ok(None));
    // In memory, before and during a flush.
    (41..=50).for_each(|seq| store.append(record(seq)).unwrap());
    assert!(store.erase(&disk, 48).unwrap().is_none());
    let flush = store.take_flush().unwrap();
    assert!(store.erase(&disk, 41).unwrap().is_none());
    run(&disk, &mut store, &flush);
    for job in store.take_late_erasures(&disk).unwrap() {
        run(&disk, &mut store, &job);
    }
    flush_all(&disk, &mut store);
    assert!(!secret(&disk, 41) && !secret(&disk, 48));
    let (mut store, _, damage) = opened(&disk, 50);
    assert!(damage.is_empty());
    assert_eq!((store.read(&disk, 41), store.read(&disk, 48)), (Ok(None), Ok(None)));
    assert_reads(&disk, &mut store, 42..=47);
}
