//! A disk that fills up, and empties again.

use super::*;

/// Runs the work beside the log until none is left.
fn prepare(disk: &MemDisk, wal: &mut Wal) {
    while let Some(job) = wal.spare_job() {
        let result = job.run(disk);
        wal.spare_made(&job, &result);
    }
}

fn used(disk: &MemDisk) -> u64 {
    disk.files().iter().map(|path| disk.contents(path).unwrap().len() as u64).sum()
}

/// Leaves `files` log files' worth of room.
fn leave(disk: &MemDisk, files: u64) {
    disk.set_capacity(used(disk) + files * small().file_size);
}

fn look(disk: &MemDisk, wal: &mut Wal) -> Room {
    wal.look_for_room(disk).room
}

#[test]
fn less_than_a_file_is_too_little_and_two_are_enough_again() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 1);
    prepare(&disk, &mut wal);
    assert_eq!(look(&disk, &mut wal), Room::Enough);
    leave(&disk, 1);
    assert_eq!(look(&disk, &mut wal), Room::Enough);
    disk.set_capacity(used(&disk) + small().file_size - 1);
    assert_eq!(look(&disk, &mut wal), Room::Short);
    leave(&disk, 1);
    assert_eq!(look(&disk, &mut wal), Room::Short, "it does not flutter");
    leave(&disk, 2);
    assert_eq!(look(&disk, &mut wal), Room::Enough);
}

#[test]
fn what_is_prepared_is_written_on_a_full_disk_and_the_log_says_when_it_ends() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 1);
    prepare(&disk, &mut wal);
    leave(&disk, 0);
    let mut seen = Vec::new();
    let mut index = 2;
    let full = loop {
        let room = look(&disk, &mut wal);
        if seen.last() != Some(&room) {
            seen.push(room);
        }
        let mut batch = WalBatch::new();
        batch.entries(G, R, &[entry(1, index)]).unwrap();
        match wal.append(&disk, &[batch]) {
            Ok(_) => index += 1,
            Err(error) => break error,
        }
        prepare(&disk, &mut wal);
        assert!(index < 1000, "a full disk took everything");
    };
    assert_eq!(seen, [Room::Short, Room::Out]);
    assert!(matches!(full, WalError::Disk(DiskError::NoSpace { .. })), "{full}");
    assert_eq!(wal.poisoned(), None);
    // Room is made by others: it goes on where it stood.
    leave(&disk, 3);
    assert_ne!(look(&disk, &mut wal), Room::Enough, "there is no spare yet");
    prepare(&disk, &mut wal);
    assert_eq!(look(&disk, &mut wal), Room::Enough);
    append_entry(&disk, &mut wal, G, index);
    drop(wal);
    assert_eq!(opened(&disk).1.groups[&G].entries.len() as u64, index);
}

#[test]
fn a_log_on_a_full_disk_gives_up_spares_and_asks_for_its_oldest_file() {
    let disk = MemDisk::new();
    let file_size = small().file_size;
    let options = WalOptions { soft: 10 * file_size, cap: 20 * file_size, ..small() };
    let (mut wal, _) = Wal::open(&disk, options).unwrap();
    let mut batch = WalBatch::new();
    batch.create(G, R, 9, Bytes::new()).unwrap();
    wal.append(&disk, &[batch]).unwrap();
    let mut index = 0;
    while wal.used() < 5 * file_size {
        index += 1;
        append_entry(&disk, &mut wal, G, index);
        prepare(&disk, &mut wal);
    }
    assert!(wal.pressure().pins.is_empty(), "below its soft limit it asks nobody");
    leave(&disk, 0);
    assert_eq!(look(&disk, &mut wal), Room::Short);
    assert_eq!(wal.pressure().pins.iter().map(|pin| pin.group).collect::<Vec<_>>(), [G]);
    disk.set_capacity(u64::MAX);
    assert_eq!(look(&disk, &mut wal), Room::Enough);
    write_base(&disk, &mut wal, G, index, index + 1);
    wal.seal(&disk).unwrap();
    assert_eq!(wal.reclaim(&disk).unwrap(), 4);
    prepare(&disk, &mut wal);
    assert_eq!(used(&disk), 6 * file_size, "with room, it keeps what it may need");
    leave(&disk, 0);
    assert_eq!(look(&disk, &mut wal), Room::Short);
    prepare(&disk, &mut wal);
    assert_eq!(used(&disk), 3 * file_size);
    drop(wal);
    assert!(opened(&disk).1.groups.contains_key(&G));
}

#[test]
fn a_log_above_its_cap_takes_nothing_new_long_before_it_is_full() {
    let disk = MemDisk::new();
    let (cap, file_size) = (small().cap, small().file_size);
    let mut wal = with_entries(&disk, 0);
    let mut seen = vec![(Room::Enough, 0)];
    let mut index = 0;
    while wal.used() <= cap * 3 {
        index += 1;
        let data = Bytes::from(vec![7; 8000]);
        let mut batch = WalBatch::new();
        batch.entries(G, R, &[Entry { data, ..entry(1, index) }]).unwrap();
        wal.append(&disk, &[batch]).unwrap();
        let report = wal.look_for_room(&disk);
        assert!(!report.is_disk_full());
        if seen.last().is_some_and(|(room, _)| *room != report.room) {
            seen.push((report.room, report.used));
        }
    }
    let [(_, _), (Room::Short, short), (Room::Out, out)] = seen[..] else { panic!("{seen:?}") };
    assert!(short > cap && short <= cap + 2 * file_size, "{short}");
    assert!(out > 2 * cap && out <= 2 * cap + 2 * file_size, "{out}");
    // All of it is live, and nothing of it could be flushed: to write it again would free nothing.
    assert_eq!(wal.pressure().movable, 0);
    write_base(&disk, &mut wal, G, index, index + 1);
    wal.seal(&disk).unwrap();
    wal.reclaim(&disk).unwrap();
    assert_eq!(look(&disk, &mut wal), Room::Enough);
}
