//! What is damaged is reported, exactly, and not served.

use super::*;

/// Reads everything and gives what is damaged; what is answered must be right.
fn damaged(disk: &MemDisk, store: &mut SegmentStore, n: u64) -> Vec<u64> {
    let mut lost = Vec::new();
    for seq in 1..=n {
        match store.read(disk, seq) {
            Ok(found) => assert_eq!(found, Some(record(seq)), "record {seq}"),
            Err(ReadError::Damaged { seq }) => lost.push(seq),
            Err(error) => panic!("{error}"),
        }
    }
    lost
}

#[test]
fn any_flipped_bit_costs_at_most_one_record_of_a_sealed_segment() {
    let reference = MemDisk::new();
    stored(&reference, 40);
    let path = segment_path(G, 1);
    let len = reference.contents(&path).unwrap().len() as u64;
    for byte in (0..len).step_by(11) {
        let disk = MemDisk::new();
        stored(&disk, 40);
        assert!(disk.flip_bit(&path, byte, 4));
        let (mut store, _, damage) = opened(&disk, 40);
        let lost = damaged(&disk, &mut store, 40);
        assert!(lost.len() <= 1, "byte {byte}: {lost:?}");
        assert!(damage.iter().all(|range| lost == [range.first] && range.first == range.last));
    }
}

#[test]
fn rot_under_an_open_store_is_found() {
    let disk = MemDisk::new();
    let mut store = stored(&disk, 40);
    let path = segment_path(G, 1);
    let len = disk.contents(&path).unwrap().len() as u64;
    assert!(disk.flip_bit(&path, len - 20, 4), "in the trailer");
    assert!(disk.flip_bit(&path, 32 + 40, 4), "in the first record");
    assert_eq!(damaged(&disk, &mut store, 40), [1]);
}

#[test]
fn a_damaged_unsealed_segment_is_reported_and_not_appended_to() {
    for byte in 0..60 {
        let disk = MemDisk::new();
        let mut store = stored(&disk, 40);
        let (active, last) = *ranges(&store).last().unwrap();
        assert!(last - active >= 2, "the active segment holds some records");
        let at = store.segments[&active].slots[1].offset;
        drop(store);
        assert!(disk.flip_bit(&segment_path(G, active), u64::from(at) + byte, 3));
        let (mut again, _, damage) = opened(&disk, 40);
        assert_eq!(damage.len(), 1, "byte {byte}");
        assert_eq!(damage[0].first, active + 1);
        let lost = damaged(&disk, &mut again, 40);
        assert_eq!(lost, (damage[0].first..=damage[0].last).collect::<Vec<_>>());
        again.append(record(41)).unwrap();
        flush_all(&disk, &mut again);
        assert_eq!(ranges(&again).last(), Some(&(41, 41)));
        store = opened(&disk, 41).0;
        assert_eq!(damaged(&disk, &mut store, 41), lost);
    }
}

#[test]
fn a_file_cut_short_is_reported_to_its_end() {
    let disk = MemDisk::new();
    stored(&disk, 40);
    let path = segment_path(G, 1);
    assert!(disk.cut_file(&path, 300));
    let (mut store, metas, damage) = opened(&disk, 40);
    let (_, last) = ranges(&store)[0];
    assert_eq!(damage, [DamagedRange { first: metas[0].seq + damage[0].first - 1, last }]);
    let lost = damaged(&disk, &mut store, 40);
    assert_eq!(lost, (damage[0].first..=last).collect::<Vec<_>>());
}

#[test]
fn a_lost_index_is_rebuilt_from_the_records() {
    let disk = MemDisk::new();
    stored(&disk, 40);
    let path = segment_path(G, 1);
    let whole = disk.contents(&path).unwrap();
    assert!(disk.cut_file(&path, whole.len() - 10));
    let (mut store, metas, damage) = opened(&disk, 40);
    assert_eq!((metas.len(), damage.len()), (40, 0));
    flush_all(&disk, &mut store);
    assert_eq!(disk.contents(&path).unwrap(), whole);
}

#[test]
fn a_record_of_another_stream_is_not_taken() {
    let disk = MemDisk::new();
    stored(&disk, 3);
    let other = GroupId(6);
    disk.create_dir(&stream_dir(other)).unwrap();
    disk.rename(&segment_path(G, 1), &segment_path(other, 1)).unwrap();
    let opened = SegmentStore::open(&disk, other, 3, small(), &mut |_| ()).unwrap();
    assert_eq!(opened.damage, [DamagedRange { first: 1, last: 3 }]);
}

#[test]
fn a_failed_flush_is_done_anew_from_memory() {
    for (operation, failure) in [
        (Operation::Write, Failure::NoSpace),
        (Operation::Write, Failure::Short(70)),
        (Operation::Sync, Failure::Io),
    ] {
        let disk = MemDisk::new();
        let mut store = stored(&disk, 10);
        (11..=20).for_each(|seq| store.append(record(seq)).unwrap());
        let job = store.take_flush().unwrap();
        disk.fail(operation, 1, failure);
        let result = job.run(&disk);
        assert!(result.is_err());
        store.finished(job.id(), &result);
        assert_eq!(store.flushed_through(), 10);
        flush_all(&disk, &mut store);
        disk.power_loss(3);
        let (mut store, _, damage) = opened(&disk, 20);
        assert!(damage.is_empty());
        assert_reads(&disk, &mut store, 1..=20);
    }
}

#[test]
fn a_later_format_is_refused() {
    let disk = MemDisk::new();
    stored(&disk, 3);
    let mut head = header(G, 1);
    head[4] = 2;
    let check = xxhash_rust::xxh3::xxh3_64(&head[..24]);
    head[24..].copy_from_slice(&check.to_le_bytes());
    let file = disk.open(&segment_path(G, 1)).unwrap();
    crate::disk::write_at(&disk, file, 0, &head).unwrap();
    let refused = SegmentStore::open(&disk, G, 3, small(), &mut |_| ()).unwrap_err();
    assert_eq!(refused, SegmentError::Version { path: segment_path(G, 1), found: 2 });
}
