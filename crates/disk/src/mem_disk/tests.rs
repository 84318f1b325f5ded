use proptest::prelude::*;

use super::contents::Contents;
use super::power::tear;
use super::*;
use crate::disk::write_at;
use crate::seeded::Seeded;

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

/// Contents kept twice, and every change until it is synced: what [`MemDisk`] keeps once.
#[derive(Default)]
struct Naive {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<u8>),
    Truncate(usize),
    Sync,
    FailedSync,
    PowerLoss(u64),
}

fn put(contents: &mut Vec<u8>, offset: usize, data: &[u8]) {
    contents.resize(contents.len().max(offset + data.len()), 0);
    contents[offset..offset + data.len()].copy_from_slice(data);
}

impl Naive {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(offset, data) => put(&mut self.live, *offset, data),
            Step::Truncate(len) => self.live.resize(*len, 0),
            Step::Sync => {
                for change in std::mem::take(&mut self.pending) {
                    match change {
                        Step::Write(offset, data) => put(&mut self.durable, offset, &data),
                        Step::Truncate(len) => self.durable.resize(len, 0),
                        _ => {}
                    }
                }
            }
            Step::FailedSync => self.pending.clear(),
            Step::PowerLoss(seed) => {
                let mut random = Seeded::new(*seed);
                for change in std::mem::take(&mut self.pending) {
                    match change {
                        Step::Write(offset, data) => {
                            let mut durable = Contents::from(std::mem::take(&mut self.durable));
                            tear(&mut durable, offset, &data, &mut random);
                            self.durable = durable.range(0, durable.len());
                        }
                        Step::Truncate(len) if random.one_in(2) => self.durable.resize(len, 0),
                        _ => {}
                    }
                }
                self.live.clone_from(&self.durable);
            }
        }
        if matches!(step, Step::Write(..) | Step::Truncate(_)) {
            self.pending.push(step.clone());
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Mostly zeros, as log files are.
    let data = (1..3000_usize, 0..4_u8).prop_map(|(len, byte)| vec![byte / 2; len]);
    let step = prop_oneof![
        4 => (0..6000_usize, data).prop_map(|(offset, data)| Step::Write(offset, data)),
        1 => (0..6000_usize).prop_map(Step::Truncate),
        1 => Just(Step::Sync),
        1 => Just(Step::FailedSync),
        1 => any::<u64>().prop_map(Step::PowerLoss),
    ];
    proptest::collection::vec(step, 1..30)
}

proptest! {
    #[test]
    fn contents_kept_once_are_those_kept_twice(steps in steps()) {
        let (disk, mut file) = disk_with("f", &[]);
        let mut naive = Naive::default();
        for step in &steps {
            match step {
                Step::Write(offset, data) => write_at(&disk, file, *offset as u64, data).unwrap(),
                Step::Truncate(len) => disk.truncate(file, *len as u64).unwrap(),
                Step::Sync => disk.sync_data(file).unwrap(),
                Step::FailedSync => {
                    disk.fail(Operation::Sync, 1, Failure::Io);
                    assert!(disk.sync_data(file).is_err());
                }
                Step::PowerLoss(seed) => {
                    disk.power_loss(*seed);
                    file = disk.open("f").unwrap();
                }
            }
            naive.take(step);
            prop_assert_eq!(&disk.contents("f").unwrap(), &naive.live, "{:?}", step);
        }
    }
}
