//! Files are given up when, and only when, no group needs them.

use super::*;

fn wal_files(disk: &MemDisk) -> usize {
    disk.files().iter().filter(|name| name.ends_with(".wal")).count()
}

#[test]
fn a_group_that_moves_forward_keeps_the_log_small() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 0);
    for index in 1..=200 {
        append_entry(&disk, &mut wal, G, index);
        if index % 8 == 0 {
            write_base(&disk, &mut wal, G, index, index + 1);
        }
        wal.reclaim(&disk).unwrap();
    }
    assert!(wal_files(&disk) <= 3, "{:?}", disk.files());
    assert!(wal.current.generation > 12);
    let (_, recovery) = opened(&disk);
    assert_eq!(recovery.groups[&G].base, Some(base(200)));
    assert_eq!((recovery.groups[&G].damage.as_ref(), recovery.lost.len()), (None, 0));
}

#[test]
fn an_idle_group_pins_the_log_until_it_moves() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 3);
    let other = GroupId(6);
    let mut batch = WalBatch::new();
    batch.create(other, R, 1, Bytes::new()).unwrap();
    wal.append(&disk, &[batch]).unwrap();
    for index in 1..=40 {
        append_entry(&disk, &mut wal, other, index);
        write_base(&disk, &mut wal, other, index, index + 1);
        assert_eq!(wal.reclaim(&disk).unwrap(), 0, "pinned by G");
    }
    let pressure = wal.pressure();
    assert!(pressure.used > small().soft);
    let pinned: Vec<_> = pressure.pins.iter().map(|pin| (pin.group, pin.replica)).collect();
    assert_eq!(pinned, [(G, R)]);
    assert_eq!(pressure.pins[0].bytes, (1..=3).map(|i| entry(1, i).data.len() as u64).sum());
    let used = wal.used();
    write_base(&disk, &mut wal, G, 3, 4);
    assert!(wal.reclaim(&disk).unwrap() > 2);
    assert!(wal.used() < used);
    assert!(wal.pressure().pins.is_empty());
    assert_eq!(opened(&disk).1.groups[&G].base, Some(base(3)));
}

#[test]
fn entries_that_a_base_names_stay() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 30);
    write_base(&disk, &mut wal, G, 30, 10);
    wal.reclaim(&disk).unwrap();
    let group = &opened(&disk).1.groups[&G];
    assert_eq!(indexes(&group.entries), (10..=30).collect::<Vec<_>>());
}

#[test]
fn a_recycled_file_does_not_bring_back_what_was_in_it() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 30);
    write_base(&disk, &mut wal, G, 30, 31);
    wal.reclaim(&disk).unwrap();
    assert_eq!(disk.files().iter().filter(|name| name.contains("spare")).count(), SPARES);
    let recycled = wal.current.generation + 1;
    for index in 31.. {
        append_entry(&disk, &mut wal, G, index);
        if wal.current.generation == recycled {
            break;
        }
    }
    let contents = disk.contents(&log_path(recycled)).unwrap();
    let stale = contents.chunks(PAGE as usize).filter(|page| Head::is_marked(page)).count();
    assert!(stale > 5, "the file is full of old batches");
    let group = &opened(&disk).1.groups[&G];
    assert_eq!(group.entries.first().map(|entry| entry.index), Some(31));
    assert_eq!(group.damage, None);
}

#[test]
fn a_full_log_takes_only_what_makes_room() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 0);
    let mut index = 1;
    let full = loop {
        let mut batch = WalBatch::new();
        batch.entries(G, R, &[entry(1, index)]).unwrap();
        match wal.append(&disk, &[batch]) {
            Ok(_) => index += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, WalError::Full { .. }), "{full}");
    write_base(&disk, &mut wal, G, index - 1, index);
    wal.reclaim(&disk).unwrap();
    append_entry(&disk, &mut wal, G, index);
    assert!(wal.used() <= 3 * small().file_size);
}

#[test]
fn no_file_goes_before_a_synced_batch_says_so() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 30);
    let files = wal_files(&disk);
    let mut batch = WalBatch::new();
    batch.destroy(G, R);
    wal.write(&disk, &[batch]).unwrap();
    assert_eq!(wal.reclaim(&disk), Ok(0));
    assert_eq!(wal_files(&disk), files);
    wal.sync(&disk).unwrap();
    assert!(wal.reclaim(&disk).unwrap() > 0);
}
