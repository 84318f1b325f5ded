use std::sync::mpsc::{Receiver, channel};

use bytes::Bytes;
use flotilla_disk::{Failure, MemDisk, Operation, Recovery, Room, WalOptions};
use flotilla_raft::{Entry, EntryKind, GroupId, HardState, ReplicaId, StoreId};

use super::*;

fn wal_options() -> WalOptions {
    WalOptions { store: StoreId(7), file_size: 16 * 4096, soft: 32 * 4096, cap: 48 * 4096 }
}

fn start(disk: &MemDisk, options: WalWriterOptions) -> (WalWriter, Receiver<Pressure>) {
    let (wal, _) = Wal::open(disk, wal_options()).unwrap();
    let (sender, pressures) = channel();
    let pressure: PressureCallback = Arc::new(move |pressure| drop(sender.send(pressure)));
    let reports = WalReports { pressure, room: Arc::new(|_| ()) };
    (WalWriter::start(Arc::new(disk.clone()), wal, options, reports).unwrap(), pressures)
}

/// The same, with whoever hears of the room on the disk.
fn start_on_small_disk(disk: &MemDisk) -> (WalWriter, Receiver<RoomReport>) {
    let (wal, _) = Wal::open(disk, wal_options()).unwrap();
    let (sender, rooms) = channel();
    let room: RoomCallback = Arc::new(move |room| {
        let _ = sender.send(room);
    });
    let reports = WalReports { pressure: Arc::new(|_| ()), room };
    let options = WalWriterOptions { retry: Duration::from_millis(5), ..Default::default() };
    (WalWriter::start(Arc::new(disk.clone()), wal, options, reports).unwrap(), rooms)
}

fn recovered(disk: &MemDisk) -> Recovery {
    Wal::open(disk, wal_options()).unwrap().1
}

fn submitter(writer: &WalWriter) -> (Submitter, Receiver<WalCompletion>) {
    let (sender, completions) = channel();
    let callback: WalCallback = Arc::new(move |completion| drop(sender.send(completion)));
    (writer.submitter(callback), completions)
}

const R: ReplicaId = ReplicaId(3);

fn create(group: u64) -> WalBatch {
    let mut batch = WalBatch::new();
    batch.create(GroupId(group), R, 1, Bytes::new()).unwrap();
    batch
}

fn entry(group: u64, index: u64, len: usize) -> WalBatch {
    let mut batch = WalBatch::new();
    let data = Bytes::from(vec![1; len]);
    let entry = Entry { term: 1, index, kind: EntryKind::Command, data };
    batch.entries(GroupId(group), R, &[entry]).unwrap();
    batch
}

#[test]
fn each_submitter_hears_of_its_batches_in_order_and_they_survive() {
    let disk = MemDisk::new();
    let (writer, _pressures) = start(&disk, WalWriterOptions::default());
    let threads: Vec<_> = (1..=4_u64)
        .map(|group| {
            let (submitter, completions) = submitter(&writer);
            std::thread::spawn(move || {
                submitter.submit(create(group), 0).unwrap();
                (1..=50).for_each(|n| submitter.submit(entry(group, n, 20), n).unwrap());
                let mut tickets = Vec::new();
                while tickets.len() < 51 {
                    let completion = completions.recv().unwrap();
                    assert!(completion.result.is_ok());
                    tickets.extend(completion.tickets);
                }
                assert!(tickets.is_sorted() && tickets.len() == 51);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let stats = writer.stats();
    assert_eq!(stats.batches, 204);
    assert!(stats.syncs <= 204 && stats.sync_micros.len() == stats.syncs);
    assert_eq!(writer.oldest_queued_since(), None);
    drop(writer);
    disk.power_loss(1);
    let recovery = recovered(&disk);
    assert!(recovery.groups.values().all(|group| group.entries.len() == 50));
    assert_eq!(recovery.groups.len(), 4);
}

#[test]
fn a_failed_sync_is_told_to_everybody_and_ends_the_log() {
    let disk = MemDisk::new();
    let (writer, _pressures) = start(&disk, WalWriterOptions::default());
    let (one, completions) = submitter(&writer);
    one.submit(create(1), 0).unwrap();
    assert!(completions.recv().unwrap().result.is_ok());
    disk.fail(Operation::Sync, 1, Failure::Io);
    // A seal or the spare's sync may meet the fault first; the log may only end by its own.
    let mut ticket = 0;
    let failed = loop {
        ticket += 1;
        match one.submit(entry(1, ticket, 10), ticket) {
            Ok(()) => {}
            Err(error) => break error,
        }
        if let Err(error) = completions.recv().unwrap().result {
            break error;
        }
        if ticket == 20 {
            disk.fail(Operation::Sync, 1, Failure::Io);
        }
    };
    assert!(matches!(failed, WalError::Disk(_) | WalError::Poisoned { .. }), "{failed}");
    assert!(matches!(writer.ended(), Some(WalError::Poisoned { .. })));
    let refused = one.submit(entry(1, ticket, 10), ticket);
    assert!(matches!(refused, Err(WalError::Poisoned { .. })));
}

#[test]
fn only_the_wrong_batch_is_refused() {
    let disk = MemDisk::new();
    let (writer, _pressures) = start(&disk, WalWriterOptions::default());
    let (one, completions) = submitter(&writer);
    one.submit(create(1), 0).unwrap();
    one.submit(entry(1, 1, 10), 1).unwrap();
    one.submit(entry(1, 7, 10), 2).unwrap();
    one.submit(entry(1, 2, 10), 3).unwrap();
    let mut results = std::collections::BTreeMap::new();
    while results.len() < 4 {
        let WalCompletion { tickets, result, .. } = completions.recv().unwrap();
        results.extend(tickets.into_iter().map(|ticket| (ticket, result.is_ok())));
    }
    assert_eq!(results.into_values().collect::<Vec<_>>(), [true, true, false, true]);
    drop(writer);
    assert_eq!(recovered(&disk).groups[&GroupId(1)].entries.len(), 2);
}

#[test]
fn a_full_log_waits_for_a_base_and_says_who_must_write_it() {
    let disk = MemDisk::new();
    let retry = Duration::from_secs(3600);
    let options = WalWriterOptions { retry, gather_bytes: 1, ..Default::default() };
    let (writer, pressures) = start(&disk, options);
    let (one, completions) = submitter(&writer);
    one.submit(create(1), 0).unwrap();
    // 192 pages are the limit; each entry takes three.
    let count = 80;
    (1..=count).for_each(|n| one.submit(entry(1, n, 12_000), n).unwrap());
    let pressure = pressures.recv().unwrap();
    assert_eq!(pressure.pins[0].group, GroupId(1));
    while writer.stalled().is_none() {
        assert!(writer.oldest_queued_since().is_some(), "all was written: nothing stalled");
        std::thread::yield_now();
    }
    let mut batch = WalBatch::new();
    let base = flotilla_raft::Base { index: count, term: 1, ..Default::default() };
    let record = flotilla_disk::BaseRecord {
        group: GroupId(1),
        replica: R,
        incarnation: 1,
        asset: &Bytes::new(),
        hard_state: HardState { term: 1, vote: R, commit: count },
        base: &base,
        entries_from: count + 1,
    };
    batch.base(&record).unwrap();
    one.submit(batch, 99).unwrap();
    let mut last = 0;
    while last != 99 {
        let completion = completions.recv().unwrap();
        assert!(completion.result.is_ok());
        last = completion.tickets.last().copied().unwrap_or(last);
    }
    assert!(writer.stalled().is_none());
    drop(writer);
    assert_eq!(recovered(&disk).groups[&GroupId(1)].base, Some(base));
}

#[test]
fn the_queue_says_when_it_is_full_and_still_takes_what_makes_room() {
    let options = WalWriterOptions { queue_bytes: 1000, ..Default::default() };
    let queue = Queue::new(options);
    let callback: WalCallback = Arc::new(|_| ());
    let item = |n| Item::new(0, &callback, entry(1, n, 600), n);
    queue.push(item(1)).unwrap();
    assert!(!queue.is_full());
    queue.push(item(2)).unwrap();
    assert!(queue.is_full());
    let mut destroy = WalBatch::new();
    destroy.destroy(GroupId(1), R);
    queue.push(Item::new(0, &callback, destroy, 3)).unwrap();
    let queue::Next::Write(items) = queue.next(true) else { panic!("something waits") };
    assert_eq!(items.len(), 3, "in their order, in one write");
    assert!(!queue.is_full());
}

#[test]
fn dropping_the_writer_writes_what_waits_and_seals() {
    let disk = MemDisk::new();
    let (writer, _pressures) = start(&disk, WalWriterOptions::default());
    let (one, completions) = submitter(&writer);
    one.submit(create(1), 0).unwrap();
    (1..=20).for_each(|n| one.submit(entry(1, n, 30), n).unwrap());
    drop(writer);
    let tickets: usize = completions.try_iter().map(|done| done.tickets.len()).sum();
    assert_eq!(tickets, 21);
    assert!(one.submit(entry(1, 21, 1), 21).is_err());
    disk.power_loss(1);
    assert_eq!(recovered(&disk).groups[&GroupId(1)].entries.len(), 20);
}

#[test]
fn a_full_disk_is_noticed_told_again_and_over_by_itself() {
    let disk = MemDisk::new();
    let (writer, rooms) = start_on_small_disk(&disk);
    let (one, completions) = submitter(&writer);
    one.submit(create(1), 0).unwrap();
    assert!(completions.recv().unwrap().result.is_ok());
    // Nothing is written: somebody else fills it.
    disk.set_capacity(0);
    let waited = Duration::from_secs(60);
    let short = rooms.recv_timeout(waited).unwrap();
    assert_ne!(short.room, Room::Enough);
    assert_eq!(short.free, 0);
    assert_ne!(rooms.recv_timeout(waited).unwrap().room, Room::Enough, "it is said again");
    // What is prepared is written all the same.
    one.submit(entry(1, 1, 100), 1).unwrap();
    assert!(completions.recv_timeout(waited).unwrap().result.is_ok());
    // All of it, until something has to wait.
    let mut last = 1;
    while writer.stalled().is_none() {
        last += 1;
        one.submit(entry(1, last, 12_000), last).unwrap();
        let (queued, began) = (|| writer.oldest_queued_since().is_some(), Instant::now());
        while queued() && writer.stalled().is_none() {
            assert!(began.elapsed() < waited);
            std::thread::yield_now();
        }
    }
    assert!(writer.ended().is_none());
    let began = Instant::now();
    while writer.status().room.room != Room::Out {
        assert!(began.elapsed() < waited, "{:?}", writer.status());
        std::thread::yield_now();
    }
    disk.set_capacity(u64::MAX);
    while rooms.recv_timeout(waited).unwrap().room != Room::Enough {}
    let mut done = 0;
    while done < last {
        let completion = completions.recv_timeout(waited).unwrap();
        assert!(completion.result.is_ok());
        done = completion.tickets.last().copied().unwrap_or(done);
    }
    assert!(writer.stalled().is_none());
}
