mod damage;
mod model;
mod power;
mod property;
mod reclaim;
mod room;

use bytes::Bytes;
use flotilla_raft::{Base, Entry, EntryKind, GroupId, HardState, Membership, ReplicaId, StoreId};

use super::format::{Head, PAGE};
use super::*;
use crate::mem_disk::{Failure, MemDisk, Operation};
use model::{G, R, entry, small};

fn opened(disk: &MemDisk) -> (Wal, Recovery) {
    Wal::open(disk, small()).unwrap()
}

/// A log with group `G` created and entries 1..=n, one batch each.
fn with_entries(disk: &MemDisk, n: u64) -> Wal {
    let (mut wal, _) = opened(disk);
    let mut batch = WalBatch::new();
    batch.create(G, R, 9, Bytes::from_static(b"asset")).unwrap();
    batch.hard_state(G, R, HardState { term: 1, vote: R, commit: 0 });
    wal.append(disk, &[batch]).unwrap();
    for index in 1..=n {
        append_entry(disk, &mut wal, G, index);
    }
    wal
}

fn append_entry(disk: &MemDisk, wal: &mut Wal, group: GroupId, index: u64) -> Written {
    let mut batch = WalBatch::new();
    batch.entries(group, R, &[entry(1, index)]).unwrap();
    wal.append(disk, &[batch]).unwrap()
}

fn base(index: u64) -> Base {
    let membership = Membership { voters: vec![R], ..Membership::default() };
    Base { index, term: 1, membership, state_hash: index, state: Bytes::from(vec![5; 50]) }
}

fn write_base(disk: &MemDisk, wal: &mut Wal, group: GroupId, index: u64, entries_from: u64) {
    let mut batch = WalBatch::new();
    let hard_state = HardState { term: 1, vote: R, commit: index };
    let asset = Bytes::from_static(b"asset");
    let base = base(index);
    let record = BaseRecord {
        group,
        replica: R,
        incarnation: 9,
        asset: &asset,
        hard_state,
        base: &base,
        entries_from,
    };
    batch.base(&record).unwrap();
    wal.append(disk, &[batch]).unwrap();
}

fn indexes(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.index).collect()
}

#[test]
fn a_batch_lies_on_the_disk_as_documented() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 1);
    wal.seal(&disk).unwrap();
    let file = disk.contents("wal/0000000000000001.wal").unwrap();
    let page = |n: usize| &file[n * 4096..(n + 1) * 4096];
    let heads: Vec<_> = (0..4).map(|n| Head::decode(page(n), small().store.0)).collect();
    let heads: Vec<_> = heads.into_iter().map(|head| head.unwrap().unwrap()).collect();
    let lsns: Vec<_> = heads.iter().map(|h| (h.first_lsn, h.synced, h.table.len())).collect();
    // The seal of the open, create and hard state, the entry, the seal.
    assert_eq!(lsns, [(1, 0, 0), (2, 1, 2), (4, 3, 1), (5, 4, 0)]);
    assert!(heads.iter().all(|h| (h.generation, h.start, h.file_len) == (1, 1, small().file_size)));
    let copy = heads[2].len()..heads[2].len() + heads[1].len();
    assert_eq!(page(2)[copy.clone()], page(1)[..heads[1].len()]);
    let data = entry(1, 1).data;
    assert_eq!(page(2)[copy.end..copy.end + data.len()], data);
    assert!(page(2)[copy.end + data.len()..].iter().all(|&b| b == 0));
    assert_eq!(Head::decode(page(4), small().store.0), None);
}

#[test]
fn an_empty_store_gives_an_empty_log() {
    let disk = MemDisk::new();
    let (wal, recovery) = opened(&disk);
    assert!(recovery.fresh && recovery.groups.is_empty());
    assert_eq!((wal.synced(), wal.used()), (1, small().file_size));
    assert!(!opened(&disk).1.fresh);
}

#[test]
fn what_was_appended_is_recovered() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 5);
    let mut batch = WalBatch::new();
    batch.entries(G, R, &[entry(2, 4)]).unwrap();
    batch.hard_state(G, R, HardState { term: 2, vote: ReplicaId(8), commit: 3 });
    wal.append(&disk, &[batch]).unwrap();
    let (_, recovery) = opened(&disk);
    let group = &recovery.groups[&G];
    assert_eq!(indexes(&group.entries), [1, 2, 3, 4]);
    assert_eq!(group.entries[3], entry(2, 4));
    assert_eq!(group.hard_state, HardState { term: 2, vote: ReplicaId(8), commit: 3 });
    assert_eq!((group.incarnation, &group.asset[..]), (9, &b"asset"[..]));
    assert_eq!((&group.damage, &recovery.torn, &recovery.lost), (&None, &None, &Vec::new()));
}

#[test]
fn a_base_supersedes_what_it_does_not_name() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 8);
    write_base(&disk, &mut wal, G, 6, 4);
    let group = &opened(&disk).1.groups[&G];
    assert_eq!(indexes(&group.entries), [4, 5, 6, 7, 8]);
    assert_eq!(group.base, Some(base(6)));
    assert_eq!(group.hard_state.commit, 6);
    // A base from a peer, ahead of the log, leaves nothing of it.
    let (mut wal, _) = opened(&disk);
    write_base(&disk, &mut wal, G, 20, 21);
    append_entry(&disk, &mut wal, G, 21);
    assert_eq!(indexes(&opened(&disk).1.groups[&G].entries), [21]);
}

#[test]
fn a_destroyed_replica_is_gone_and_its_successor_starts_empty() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 3);
    let mut batch = WalBatch::new();
    batch.destroy(G, R);
    wal.append(&disk, &[batch]).unwrap();
    assert!(opened(&disk).1.groups.is_empty());
    let (mut wal, _) = opened(&disk);
    let mut batch = WalBatch::new();
    batch.create(G, ReplicaId(77), 9, Bytes::new()).unwrap();
    wal.append(&disk, &[batch]).unwrap();
    let group = &opened(&disk).1.groups[&G];
    assert_eq!((group.replica, group.entries.len()), (ReplicaId(77), 0));
    assert_eq!(group.hard_state, HardState::default());
}

#[test]
fn records_that_contradict_the_log_are_refused_and_nothing_is_written() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 3);
    let refused = |wal: &mut Wal, fill: &dyn Fn(&mut WalBatch)| {
        let mut batch = WalBatch::new();
        fill(&mut batch);
        let writes = disk.calls(Operation::Write);
        assert!(matches!(wal.write(&disk, &[batch]), Err(WalError::Refused { .. })));
        assert_eq!(disk.calls(Operation::Write), writes);
    };
    refused(&mut wal, &|batch| batch.entries(G, R, &[entry(1, 5)]).unwrap());
    refused(&mut wal, &|batch| batch.entries(G, ReplicaId(8), &[entry(1, 4)]).unwrap());
    refused(&mut wal, &|batch| batch.entries(GroupId(99), R, &[entry(1, 1)]).unwrap());
    refused(&mut wal, &|batch| batch.create(G, R, 1, Bytes::new()).unwrap());
    refused(&mut wal, &|batch| {
        batch.destroy(G, R);
        batch.hard_state(G, R, HardState::default());
    });
    append_entry(&disk, &mut wal, G, 4);
}

#[test]
fn a_failed_sync_poisons_for_good() {
    for operation in [Operation::Sync, Operation::Write] {
        let disk = MemDisk::new();
        let mut wal = with_entries(&disk, 3);
        disk.fail(operation, 1, Failure::Io);
        let mut batch = WalBatch::new();
        batch.entries(G, R, &[entry(1, 4)]).unwrap();
        let batches = [batch];
        assert!(matches!(wal.append(&disk, &batches), Err(WalError::Disk(_))));
        assert!(matches!(wal.append(&disk, &batches), Err(WalError::Poisoned { .. })));
        assert!(matches!(wal.sync(&disk), Err(WalError::Poisoned { .. })));
        assert!(wal.poisoned().is_some_and(|reason| reason.contains("wal/")));
    }
}

#[test]
fn writing_waits_for_the_sync_before() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 1);
    let mut batch = WalBatch::new();
    batch.entries(G, R, &[entry(1, 2)]).unwrap();
    let batches = [batch];
    let written = wal.write(&disk, &batches).unwrap();
    assert_eq!(wal.write(&disk, &batches), Err(WalError::Unsynced));
    assert!(wal.synced() < written.last_lsn);
    assert_eq!(wal.sync(&disk), Ok(written.last_lsn));
}

#[test]
fn a_batch_larger_than_a_file_gets_its_own() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 1);
    let mut batch = WalBatch::new();
    let data = Bytes::from(vec![3; 300_000]);
    let large = Entry { term: 1, index: 2, kind: EntryKind::Command, data };
    batch.entries(G, R, std::slice::from_ref(&large)).unwrap();
    wal.append(&disk, &[batch]).unwrap();
    append_entry(&disk, &mut wal, G, 3);
    assert_eq!(opened(&disk).1.groups[&G].entries[1..], [large, entry(1, 3)]);
}

#[test]
fn a_log_of_which_only_a_file_is_left_that_was_used_before_is_lost_and_begins_anew() {
    let disk = MemDisk::new();
    with_entries(&disk, 3);
    // As one that was reused and named, while what the log held was in another one.
    disk.rename("wal/0000000000000001.wal", "wal/0000000000000007.wal").unwrap();
    let (_, recovery) = opened(&disk);
    assert!(recovery.fresh && recovery.groups.is_empty());
    with_entries(&disk, 2);
    let recovery = opened(&disk).1;
    assert!(!recovery.fresh);
    assert_eq!(recovery.groups[&G].entries.len(), 2);
}

#[test]
fn a_log_of_another_store_or_a_later_version_is_refused() {
    let disk = MemDisk::new();
    with_entries(&disk, 3);
    let other = WalOptions { store: StoreId(1), ..small() };
    assert_eq!(Wal::open(&disk, other).unwrap_err(), WalError::Unreadable);
    // A whole head whose only difference is the version.
    let path = "wal/0000000000000001.wal";
    let mut page = disk.contents(path).unwrap()[..72].to_vec();
    page[4] = 9;
    let mut hash = xxhash_rust::xxh3::Xxh3::with_seed(small().store.0);
    hash.update(&page[..64]);
    page[64..].copy_from_slice(&hash.digest().to_le_bytes());
    let file = disk.open(path).unwrap();
    crate::disk::write_at(&disk, file, 0, &page).unwrap();
    let refused = Wal::open(&disk, small()).unwrap_err();
    assert_eq!(refused, WalError::Version { path: path.into(), found: 9 });
}

#[test]
fn a_client_cannot_smuggle_a_batch_in_its_payload() {
    // A page-aligned copy of a real batch as payload, then the batch that holds it loses its head, and so does
    // the copy of it: the walk through its body must not stop at the forgery.
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 2);
    let forged = Head {
        generation: 1,
        first_lsn: 7,
        synced: 0,
        start: 1,
        file_len: small().file_size,
        previous_len: 0,
        body_len: 0,
        table: vec![batch::turn(9, 9)],
    };
    let mut data = vec![0; 3 * PAGE as usize];
    let guess = forged.encode(StoreId(0).0);
    for at in [0, 4096, 8192_usize].map(|page| page + 4096 - 72 - 64 - 136) {
        if let Some(place) = data.get_mut(at..at + guess.len()) {
            place.copy_from_slice(&guess);
        }
    }
    let mut batch = WalBatch::new();
    let smuggler = Entry { term: 1, index: 3, kind: EntryKind::Command, data: data.into() };
    batch.entries(G, R, &[smuggler]).unwrap();
    let offset = wal.current.offset;
    wal.append(&disk, &[batch]).unwrap();
    append_entry(&disk, &mut wal, G, 4);
    let path = "wal/0000000000000001.wal";
    assert!(disk.flip_bit(path, offset + 20, 0));
    let group = &opened(&disk).1.groups[&G];
    assert_eq!((indexes(&group.entries), &group.damage), (vec![1, 2, 3, 4], &None));
}

#[test]
fn a_replica_that_was_set_aside_holds_up_nothing_and_can_come_back() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 20);
    let mut aside = WalBatch::new();
    aside.aside(G, R);
    assert!(aside.relieves());
    wal.append(&disk, &[aside]).unwrap();
    drop(wal);
    let (mut wal, recovery) = opened(&disk);
    let group = &recovery.groups[&G];
    assert!(group.aside && group.damage.is_none() && group.entries.is_empty());
    assert_eq!(group.replica, R);
    // It comes back as a base, and what follows it.
    write_base(&disk, &mut wal, G, 18, u64::MAX);
    for index in 19..=20 {
        append_entry(&disk, &mut wal, G, index);
    }
    drop(wal);
    let (_, recovery) = opened(&disk);
    let group = &recovery.groups[&G];
    assert!(!group.aside && group.damage.is_none());
    assert_eq!(group.base.as_ref().map(|base| base.index), Some(18));
    assert_eq!(group.entries, [entry(1, 19), entry(1, 20)]);
}
