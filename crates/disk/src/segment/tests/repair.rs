//! What is damaged is found, and a peer's copy takes its place.

use super::transfer::{all, fetch};
use super::*;

/// The places of records in the files of a store with `n` of them: file, offset.
fn middle_of(disk: &MemDisk, first_seq: u64) -> (String, u64) {
    let path = segment_path(G, first_seq);
    let len = disk.contents(&path).unwrap().len() as u64;
    (path, len / 3)
}

fn scrub_all(disk: &MemDisk, store: &mut SegmentStore) -> Vec<Scrubbed> {
    let mut found = Vec::new();
    let mut after = 0;
    while let Some(job) = store.take_scrub(after) {
        let scrubbed = store.scrubbed(job.id(), &job.run(disk)).unwrap();
        after = scrubbed.first_seq;
        found.push(scrubbed);
    }
    found
}

#[test]
fn a_check_reads_every_sealed_segment_and_finds_any_flipped_bit() {
    let disk = MemDisk::new();
    let mut store = stored(&disk, 40);
    let clean = scrub_all(&disk, &mut store);
    assert_eq!(clean.len(), store.sealed().count());
    assert!(clean.len() > 2 && clean.iter().all(|s| !s.damaged && s.bytes > 900));
    let path = segment_path(G, 1);
    let len = disk.contents(&path).unwrap().len();
    // Headers say what the name says already; everything else counts.
    for at in (32..len).step_by(7) {
        assert!(disk.flip_bit(&path, at as u64, 3));
        let (mut store, _, damage) = opened(&disk, 40);
        let job = store.take_scrub(0).unwrap();
        let found = store.scrubbed(job.id(), &job.run(&disk)).unwrap();
        let noticed = !damage.is_empty() || found.first_seq == 1 && found.damaged;
        // A damaged index costs nothing but itself: the next flush writes it anew.
        assert!(noticed || !store.segments[&1].sealed, "byte {at} of {len}");
        assert_eq!(store.damaged().is_some(), noticed, "byte {at} of {len}");
        disk.flip_bit(&path, at as u64, 3);
    }
}

#[test]
fn an_erasure_that_is_under_way_is_no_damage() {
    let disk = MemDisk::new();
    let mut store = stored(&disk, 40);
    let open = store.segments.last_key_value().map(|(first_seq, _)| *first_seq).unwrap();
    for seq in [9, open] {
        let (&first_seq, _) = store.segments.range(..=seq).next_back().unwrap();
        assert!(store.verify(&disk, first_seq));
        let job = store.erase(&disk, seq).unwrap().unwrap();
        for run in [false, true] {
            let done = if run { job.run(&disk) } else { Ok(()) };
            assert_eq!(done, Ok(()));
            assert!(!store.verify(&disk, first_seq), "not to be handed on now");
            assert_eq!(store.damaged(), None);
            assert!(store.read(&disk, seq + 1).is_ok());
        }
        store.finished(job.id(), &Ok(()));
        assert!(store.verify(&disk, first_seq));
    }
}

#[test]
fn what_cannot_be_read_is_known_to_be_damaged_until_it_is_repaired() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let (mut source, mut store) = (stored(&sender, 40), stored(&receiver, 40));
    assert_eq!(store.damaged(), None);
    let (path, at) = middle_of(&receiver, 1);
    receiver.flip_bit(&path, at, 1);
    let unread = (1..=40).filter(|seq| store.read(&receiver, *seq).is_err()).count();
    assert_eq!(unread, 1);
    let hurt = store.damaged().unwrap();
    assert_eq!(hurt.first_seq, 1);
    assert!(store.spare(&receiver, 1, 40).is_none(), "rot is not handed on");
    assert!(store.manifest(&receiver, 40, &all).is_err());
    let summary = source.spare(&sender, hurt.first_seq, hurt.through).unwrap();
    fetch((&sender, &source), &receiver, &summary);
    store.repair(&receiver, &Staging::new(G), &summary).unwrap();
    assert_eq!(store.damaged(), None);
    assert_reads(&receiver, &mut store, 1..=40);
    let theirs = source.manifest(&sender, 40, &all).unwrap();
    assert_eq!(store.manifest(&receiver, 40, &all).unwrap(), theirs);
}

#[test]
fn the_segment_that_is_appended_to_is_repaired_under_what_is_not_flushed() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let (mut source, mut store) = (stored(&sender, 36), stored(&receiver, 33));
    let last = *store.segments.keys().next_back().unwrap();
    assert!(!store.segments[&last].sealed);
    (34..=35).for_each(|seq| store.append(record(seq)).unwrap());
    receiver.zero_sector(&segment_path(G, last), 100);
    assert!(store.read(&receiver, last).is_err());
    let hurt = store.damaged().unwrap();
    assert_eq!((hurt.first_seq, hurt.through), (last, 33));
    let early = source.spare(&sender, last, 32).unwrap();
    fetch((&sender, &source), &receiver, &early);
    let refused = store.repair(&receiver, &Staging::new(G), &early);
    assert!(matches!(refused, Err(StagingError::Mismatch { .. })), "{refused:?}");
    let summary = source.spare(&sender, last, hurt.through).unwrap();
    fetch((&sender, &source), &receiver, &summary);
    store.repair(&receiver, &Staging::new(G), &summary).unwrap();
    assert_reads(&receiver, &mut store, 1..=35);
    store.append(record(36)).unwrap();
    flush_all(&receiver, &mut store);
    assert_reads(&receiver, &mut store, 1..=36);
    assert_eq!(ranges(&store), ranges(&source));
    let (mut again, metas, damage) = opened(&receiver, 36);
    assert_eq!((metas.len(), damage.len()), (36, 0));
    assert_reads(&receiver, &mut again, 1..=36);
}

#[test]
fn only_what_is_not_held_is_fetched() {
    let (sender, receiver) = (MemDisk::new(), MemDisk::new());
    let mut source = stored(&sender, 40);
    stored(&receiver, 40);
    let manifest = source.manifest(&sender, 35, &all).unwrap();
    let staging = Staging::new(G);
    let held = |summary: &&SegmentSummary| staging.holds(&receiver, summary).unwrap();
    assert_eq!(manifest.iter().filter(held).count(), manifest.len());
    receiver.cut_file(&segment_path(G, 1), 300);
    receiver.lose_file(&segment_path(G, manifest[1].first_seq));
    assert_eq!(manifest.iter().filter(held).count(), manifest.len() - 2);
}
