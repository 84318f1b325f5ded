use super::*;
use crate::disk::write_at;

fn disk_with(path: &str, synced: &[u8]) -> (MemDisk, FileId) {
    let disk = MemDisk::new();
    let file = disk.create(path).unwrap();
    write_at(&disk, file, 0, synced).unwrap();
    disk.sync_data(file).unwrap();
    disk.sync_dir("").unwrap();
    (disk, file)
}

#[test]
fn what_was_synced_survives_every_power_loss() {
    for seed in 0..50 {
        let (disk, file) = disk_with("f", &[7; 5000]);
        write_at(&disk, file, 5000, &[8; 5000]).unwrap();
        disk.power_loss(seed);
        let contents = disk.contents("f").unwrap();
        assert!(contents[..5000].iter().all(|&b| b == 7), "seed {seed}");
        assert!(contents[5000..].iter().all(|&b| b == 8 || b == 0), "seed {seed}");
    }
}

#[test]
fn unsynced_writes_are_kept_dropped_and_torn() {
    let lengths: std::collections::BTreeSet<_> = (0..50)
        .map(|seed| {
            let (disk, file) = disk_with("f", &[]);
            write_at(&disk, file, 0, &[8; 9000]).unwrap();
            disk.power_loss(seed);
            disk.contents("f").unwrap().iter().filter(|&&b| b == 8).count()
        })
        .collect();
    assert!(lengths.contains(&0) && lengths.contains(&9000) && lengths.len() > 5, "{lengths:?}");
}

#[test]
fn a_name_is_durable_only_after_the_directory_is_synced() {
    let mut seen = [false; 2];
    for seed in 0..20 {
        let disk = MemDisk::new();
        let file = disk.create("f").unwrap();
        disk.sync_data(file).unwrap();
        disk.power_loss(seed);
        seen[usize::from(disk.contents("f").is_some())] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn after_a_failed_sync_the_next_one_proves_nothing() {
    let (disk, file) = disk_with("f", b"old");
    write_at(&disk, file, 0, b"new").unwrap();
    disk.fail(Operation::Sync, 1, Failure::Io);
    assert!(disk.sync_data(file).is_err());
    assert_eq!(disk.sync_data(file), Ok(()));
    assert_eq!(disk.contents("f").unwrap(), b"new", "the cache still shows it");
    disk.power_loss(1);
    assert_eq!(disk.contents("f").unwrap(), b"old");
}

#[test]
fn a_crash_stops_everything_until_the_restart() {
    let (disk, file) = disk_with("f", b"old");
    disk.crash_at(2);
    write_at(&disk, file, 0, b"new").unwrap();
    assert!(disk.sync_data(file).is_err());
    assert!(disk.read_at(file, 0, &mut [0; 3]).is_err());
    disk.power_loss(0);
    assert!(disk.open("f").is_ok());
}

#[test]
fn a_full_disk_refuses_growth_only() {
    let (disk, file) = disk_with("f", &[1; 100]);
    disk.set_capacity(120);
    assert_eq!(disk.free_space(), Ok(20));
    assert!(matches!(write_at(&disk, file, 90, &[2; 40]), Err(DiskError::NoSpace { .. })));
    assert_eq!(write_at(&disk, file, 50, &[2; 50]), Ok(()));
}

#[test]
fn a_short_write_leaves_its_beginning() {
    let (disk, file) = disk_with("f", b"........");
    disk.fail(Operation::Write, 1, Failure::Short(3));
    assert!(write_at(&disk, file, 0, b"new data").is_err());
    assert_eq!(disk.contents("f").unwrap(), b"new.....");
}
