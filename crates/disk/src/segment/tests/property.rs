//! Whatever is damaged: what is read is right, and what is not there is reported.

use proptest::prelude::*;

use super::super::format::{decode_index, index_at};
use super::super::record::parse;
use super::*;
use crate::seeded::Seeded;

const COUNT: u64 = 60;

/// One fault in one of the files.
fn hurt(disk: &MemDisk, random: &mut Seeded) {
    let files = disk.files();
    let pick = usize::try_from(random.below(files.len() as u64)).unwrap();
    let Some(path) = files.get(pick) else { return };
    let at = random.below(disk.contents(path).map_or(0, |contents| contents.len() as u64));
    match random.below(8) {
        0..4 => drop(disk.flip_bit(path, at, 5)),
        4..7 => drop(disk.zero_sector(path, at)),
        _ => drop(disk.cut_file(path, usize::try_from(at).unwrap())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn a_record_is_right_or_reported(seed in any::<u64>(), faults in 1..5, while_open in any::<bool>()) {
        let disk = MemDisk::new();
        let mut store = stored(&disk, COUNT);
        let mut random = Seeded::new(seed);
        (0..faults).for_each(|_| hurt(&disk, &mut random));
        let mut visited: Vec<u64> = (1..=COUNT).collect();
        if !while_open {
            let (again, metas, damage) = opened(&disk, COUNT);
            store = again;
            visited = metas.iter().map(|meta| meta.seq).collect();
            let reported = |seq| damage.iter().any(|d| (d.first..=d.last).contains(&seq));
            prop_assert!((1..=COUNT).all(|seq| visited.contains(&seq) || reported(seq)));
        }
        for seq in 1..=COUNT {
            match store.read(&disk, seq) {
                Ok(found) => prop_assert_eq!(found, Some(record(seq))),
                Err(ReadError::Damaged { seq: lost }) => prop_assert_eq!(lost, seq),
                Err(error) => prop_assert!(false, "{}", error),
            }
        }
        prop_assert!(visited.is_sorted());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse(&Bytes::from(bytes.clone()), G).is_none());
        prop_assert_eq!(decode_index(&bytes, 100), None);
        let _ = index_at(&bytes, G, 1);
    }
}
