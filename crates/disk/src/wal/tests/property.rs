//! Whatever is damaged: what is reported whole is whole, and nothing is made up.

use proptest::prelude::*;

use super::model::{Model, small};
use super::*;
use crate::seeded::Seeded;

/// A random log over several files, without reclaim, whose last batch and seal are to be left alone: what is damaged
/// above the last proof of a sync cannot be told from a torn tail.
fn random_log(seed: u64) -> (MemDisk, Model, (u64, u64)) {
    let disk = MemDisk::new();
    let (mut wal, _) = opened(&disk);
    let mut random = Seeded::new(seed);
    let mut model = Model::default();
    for _ in 0..25 {
        let mut batch = WalBatch::new();
        (0..=random.below(3)).for_each(|_| model.step(&mut random, 4, &mut batch));
        wal.append(&disk, &[batch]).unwrap();
    }
    let last = (wal.current.generation, wal.current.offset);
    let mut batch = WalBatch::new();
    batch.create(GroupId(99), ReplicaId(9999), 1, Bytes::new()).unwrap();
    wal.append(&disk, &[batch]).unwrap();
    wal.seal(&disk).unwrap();
    (disk, model, last)
}

/// One fault somewhere in the log, but not at or behind `last`.
fn hurt(disk: &MemDisk, random: &mut Seeded, last: (u64, u64)) {
    let generation = 1 + random.below(last.0);
    let path = log_path(generation);
    let len = disk.contents(&path).map_or(0, |contents| contents.len() as u64);
    let end = if generation == last.0 { last.1 } else { len };
    let at = random.below(end);
    match random.below(8) {
        0..3 => drop(disk.flip_bit(&path, at, 3)),
        3..6 => drop(disk.zero_sector(&path, at)),
        6 if generation != last.0 => drop(disk.cut_file(&path, usize::try_from(at).unwrap())),
        7 if generation != last.0 => drop(disk.lose_file(&path)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn damage_is_reported_and_never_becomes_another_log(seed in any::<u64>(), faults in 1..7) {
        let (disk, model, last) = random_log(seed % 16);
        let mut random = Seeded::new(seed);
        (0..faults).for_each(|_| hurt(&disk, &mut random, last));
        let (_, recovery) = Wal::open(&disk, small()).unwrap();
        prop_assert_eq!(recovery.torn, None);
        let whole = Model::whole_groups(&recovery);
        for (id, group) in &whole {
            if *id != GroupId(99) {
                let expected = model.groups.get(id);
                prop_assert!(
                    expected.is_some_and(|e| group.is_whole(e)),
                    "group {}: {} but {:?}, lost {:?}",
                    id,
                    group.brief(),
                    expected.map(|e| e.brief()),
                    recovery.lost
                );
            }
        }
        prop_assert!(whole.contains_key(&GroupId(99)));
        if recovery.lost.is_empty() {
            for (id, expected) in &model.groups {
                prop_assert!(recovery.groups.contains_key(id), "group {} vanished", id);
                expected.check_damaged(&recovery.groups[id]);
            }
            prop_assert_eq!(recovery.groups.len(), model.groups.len() + 1);
        }
        // The report does not change by being made.
        let (_, again) = Wal::open(&disk, small()).unwrap();
        prop_assert!(again.groups == recovery.groups);
    }

    #[test]
    fn heads_and_bases_of_any_bytes_are_read_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        prop_assert_eq!(Head::decode(&bytes, 1), None);
        let _ = batch::BaseBody::decode(&bytes);
    }
}
