//! Catch-up: a manifest, parts, and the switch.

use super::*;
use crate::mem_disk::{Failure, Operation};

pub(super) fn all(_: u64) -> bool {
    true
}

/// Brings over one segment in small chunks, from where it stopped.
pub(super) fn fetch(from: (&MemDisk, &SegmentStore), to: &MemDisk, summary: &SegmentSummary) {
    let staging = Staging::new(G);
    while let Some(offset) = staging.next_offset(to, summary).unwrap() {
        let left = usize::try_from(summary.bytes - offset).unwrap();
        if left == 0 {
            staging.finish(to, summary, &all).unwrap();
            continue;
        }
        let chunk = from.1.read_chunk(from.0, summary.first_seq, offset, left.min(300)).unwrap();
        staging.write(to, summary, offset, &chunk).unwrap();
    }
}

#[test]
fn a_peer_catches_up_and_goes_on_with_equal_segments() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let mut source = stored(&sender, 50);
    // The receiver has the beginning, and more than it should of something else.
    let mut behind = stored(&receiver, 20);
    let manifest = source.manifest(&sender, 45, &all).unwrap();
    let mine = behind.manifest(&receiver, 20, &all).unwrap();
    let lacking: Vec<_> =
        manifest.iter().filter(|s| !mine.iter().any(|m| m.same_content(s))).collect();
    assert!(lacking.len() < manifest.len());
    for summary in lacking {
        fetch((&sender, &source), &receiver, summary);
    }
    let staging = Staging::new(G);
    staging.ready(&receiver, 99, &manifest).unwrap();
    receiver.power_loss(1);
    assert_eq!(staging.switch(&receiver, 99), Ok(true));
    assert_eq!(staging.switch(&receiver, 99), Ok(false));
    let (mut store, metas, damage) = opened(&receiver, 45);
    assert_eq!((metas.len(), damage.len()), (45, 0));
    for seq in 46..=50 {
        store.append(record(seq)).unwrap();
    }
    flush_all(&receiver, &mut store);
    assert_eq!(ranges(&store), ranges(&source));
    let theirs = source.manifest(&sender, 50, &all).unwrap();
    assert_eq!(store.manifest(&receiver, 50, &all).unwrap(), theirs);
}

#[test]
fn a_transfer_goes_on_where_it_was_cut() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let mut source = stored(&sender, 30);
    let summary = source.manifest(&sender, 30, &all).unwrap()[0];
    let staging = Staging::new(G);
    let chunk = source.read_chunk(&sender, 1, 0, 200).unwrap();
    staging.write(&receiver, &summary, 0, &chunk).unwrap();
    receiver.restart();
    assert_eq!(staging.next_offset(&receiver, &summary), Ok(Some(200)));
    let misplaced = staging.write(&receiver, &summary, 100, &chunk);
    assert_eq!(misplaced, Err(StagingError::Offset { first_seq: 1, offset: 100, len: 200 }));
    fetch((&sender, &source), &receiver, &summary);
    assert_eq!(staging.next_offset(&receiver, &summary), Ok(None));
}

#[test]
fn what_is_not_what_the_manifest_says_is_thrown_away() {
    let sender = MemDisk::new();
    let mut source = stored(&sender, 30);
    let summary = source.manifest(&sender, 30, &all).unwrap()[0];
    let staging = Staging::new(G);
    let whole = source.read_chunk(&sender, 1, 0, usize::MAX).unwrap();
    let try_finish = |bytes: &[u8], summary: &SegmentSummary| {
        let receiver = MemDisk::new();
        staging.write(&receiver, summary, 0, bytes).unwrap();
        let finished = staging.finish(&receiver, summary, &all);
        let left = staging.next_offset(&receiver, summary).unwrap();
        assert_eq!(left, finished.as_ref().map_or(Some(0), |()| None));
        finished
    };
    assert_eq!(try_finish(&whole, &summary), Ok(()));
    for at in (40..whole.len()).step_by(97) {
        let mut hurt = whole.to_vec();
        hurt[at] ^= 1;
        assert!(try_finish(&hurt, &summary).is_err(), "byte {at}");
    }
    let wrong = [
        SegmentSummary { hash: 1, ..summary },
        SegmentSummary { last_seq: 2, ..summary },
        SegmentSummary { bytes: 100, ..summary },
    ];
    for summary in wrong {
        assert!(matches!(try_finish(&whole, &summary), Err(StagingError::Mismatch { .. })));
    }
}

#[test]
fn every_crash_point_of_a_switch_ends_before_or_behind_it() {
    let sender = MemDisk::new();
    let mut source = stored(&sender, 50);
    let manifest = source.manifest(&sender, 50, &all).unwrap();
    let mut crash = 1;
    loop {
        let receiver = MemDisk::new();
        stored(&receiver, 25);
        for summary in &manifest[1..] {
            fetch((&sender, &source), &receiver, summary);
        }
        let staging = Staging::new(G);
        receiver.crash_at(crash);
        // The base is synced in the log between the two.
        let ready = staging.ready(&receiver, 7, &manifest).is_ok();
        let done = ready && staging.switch(&receiver, 7).is_ok();
        receiver.power_loss(crash);
        let switched = staging.switch(&receiver, if ready { 7 } else { 3 });
        let upto = if ready { 50 } else { 25 };
        assert_eq!(switched.map(|_| ()), Ok(()), "crash {crash}");
        let (mut store, metas, damage) = opened(&receiver, upto);
        assert_eq!((metas.len() as u64, damage.len()), (upto, 0), "crash {crash}");
        assert_reads(&receiver, &mut store, 1..=upto);
        if done {
            break;
        }
        crash += 1;
    }
    assert!(crash > 10);
}

#[test]
fn a_damaged_segment_is_replaced_by_a_peers() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let mut source = stored(&sender, 40);
    stored(&receiver, 40);
    assert!(receiver.cut_file(&segment_path(G, 1), 200));
    let (mut store, _, damage) = opened(&receiver, 40);
    assert_eq!(damage.len(), 1);
    assert_eq!(store.read(&receiver, 5), Err(ReadError::Damaged { seq: 5 }));
    let summary = source.manifest(&sender, 40, &all).unwrap()[0];
    fetch((&sender, &source), &receiver, &summary);
    store.repair(&receiver, &Staging::new(G), &summary).unwrap();
    assert_reads(&receiver, &mut store, 1..=40);
    let theirs = source.manifest(&sender, 40, &all).unwrap();
    assert_eq!(store.manifest(&receiver, 40, &all).unwrap(), theirs);
}

#[test]
fn a_segment_with_an_erased_record_is_what_its_manifest_says() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let mut source = stored(&sender, 40);
    let before = source.manifest(&sender, 40, &all).unwrap();
    // Fetched before the erasure, and of no use behind it.
    fetch((&sender, &source), &receiver, &before[0]);
    let job = source.erase(&sender, 3).unwrap().unwrap();
    assert!(source.erase(&sender, 4).unwrap().is_none(), "it waits for the other in the segment");
    run(&sender, &mut source, &job);
    for job in source.take_late_erasures(&sender).unwrap() {
        run(&sender, &mut source, &job);
    }
    let manifest = source.manifest(&sender, 40, &all).unwrap();
    assert_ne!(manifest[0].hash, before[0].hash);
    for summary in &manifest {
        fetch((&sender, &source), &receiver, summary);
    }
    let staging = Staging::new(G);
    staging.ready(&receiver, 99, &manifest).unwrap();
    assert_eq!(staging.switch(&receiver, 99), Ok(true));
    assert_eq!(receiver.files().iter().filter(|path| path.contains("staging/")).count(), 0);
    let (mut store, metas, _) = opened(&receiver, 40);
    assert_eq!(metas.len(), 40);
    assert_eq!((store.read(&receiver, 3), store.read(&receiver, 4)), (Ok(None), Ok(None)));
    assert_reads(&receiver, &mut store, 5..=40);
    assert_eq!(store.manifest(&receiver, 40, &all).unwrap(), manifest);
    // An index that was read again says the same.
    let (mut again, ..) = opened(&sender, 40);
    assert_eq!(again.manifest(&sender, 40, &all).unwrap(), manifest);
}

#[test]
fn a_part_whose_sync_failed_is_fetched_anew() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let mut source = stored(&sender, 50);
    let summary = source.manifest(&sender, 50, &all).unwrap()[0];
    let staging = Staging::new(G);
    staging
        .write(&receiver, &summary, 0, &source.read_chunk(&sender, 1, 0, 1 << 20).unwrap())
        .unwrap();
    receiver.fail(Operation::Sync, 1, Failure::Io);
    assert!(staging.finish(&receiver, &summary, &all).is_err());
    assert_eq!(staging.next_offset(&receiver, &summary), Ok(Some(0)), "nothing of it counts");
}
