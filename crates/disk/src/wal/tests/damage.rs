//! Rot is found, told from a torn tail, and condemns only what it hit.

use super::*;

const OTHER: GroupId = GroupId(6);
const PATH: &str = "wal/0000000000000001.wal";

/// Group `G` with entries 1..=4, `OTHER` with 1..=2, and the offset of each batch.
fn two_groups(disk: &MemDisk) -> (Wal, Vec<u64>) {
    let mut wal = with_entries(disk, 0);
    let mut batch = WalBatch::new();
    batch.create(OTHER, R, 2, Bytes::new()).unwrap();
    wal.append(disk, &[batch]).unwrap();
    let mut offsets = Vec::new();
    for (group, index) in [(G, 1), (OTHER, 1), (G, 2), (G, 3), (OTHER, 2), (G, 4)] {
        offsets.push(wal.current.offset);
        append_entry(disk, &mut wal, group, index);
    }
    (wal, offsets)
}

/// Where the body of a batch with one record is.
fn body_at(disk: &MemDisk, offset: u64) -> u64 {
    let file = disk.contents(PATH).unwrap();
    let page = &file[usize::try_from(offset).unwrap()..];
    offset + Head::decode(page, small().store.0).unwrap().unwrap().bodies_at()
}

#[test]
fn a_rotten_body_condemns_its_record_and_nothing_else() {
    let disk = MemDisk::new();
    let (_, offsets) = two_groups(&disk);
    assert!(disk.flip_bit(PATH, body_at(&disk, offsets[2]) + 3, 1));
    let (_, recovery) = opened(&disk);
    let group = &recovery.groups[&G];
    let damage = group.damage.as_ref().unwrap();
    assert_eq!(indexes(&group.entries), [1]);
    assert_eq!(indexes(&damage.beyond), [3, 4]);
    let [MissingEntries { from: 2, to: 2, identity: Some(identity) }] = damage.missing[..] else {
        panic!("{damage:?}")
    };
    assert!(identity.matches(&entry(1, 2)) && !identity.matches(&entry(2, 2)));
    assert!(!damage.lost_hard_state && !damage.unknown_end && damage.lost_base.is_none());
    assert_eq!(recovery.groups[&OTHER].damage, None);
    assert_eq!((recovery.torn, recovery.lost.len()), (None, 0));
}

#[test]
fn a_repaired_range_stays_repaired() {
    let disk = MemDisk::new();
    let (_, offsets) = two_groups(&disk);
    assert!(disk.flip_bit(PATH, body_at(&disk, offsets[2]), 1));
    let (mut wal, recovery) = opened(&disk);
    let mut again = vec![entry(1, 2)];
    again.extend(recovery.groups[&G].damage.clone().unwrap().beyond);
    let mut batch = WalBatch::new();
    batch.entries(G, R, &again).unwrap();
    wal.append(&disk, &[batch]).unwrap();
    let group = &opened(&disk).1.groups[&G];
    assert_eq!((indexes(&group.entries), &group.damage), (vec![1, 2, 3, 4], &None));
}

#[test]
fn a_rotten_head_costs_nothing_because_the_next_batch_has_a_copy() {
    let reference = MemDisk::new();
    two_groups(&reference);
    let expected = opened(&reference).1.groups;
    for batch in 0..6 {
        for byte in (0..72 + 64).step_by(7) {
            let disk = MemDisk::new();
            let (mut wal, offsets) = two_groups(&disk);
            wal.seal(&disk).unwrap();
            assert!(disk.flip_bit(PATH, offsets[batch] + byte, 1));
            let (_, recovery) = opened(&disk);
            assert_eq!(recovery.groups, expected, "batch {batch} byte {byte}");
        }
    }
}

#[test]
fn any_one_zeroed_sector_of_a_sealed_log_is_reported_or_harmless() {
    let reference = MemDisk::new();
    let (mut wal, _) = two_groups(&reference);
    wal.seal(&reference).unwrap();
    let end = wal.current.offset;
    let expected = opened(&reference).1.groups;
    for sector in 0..end / 512 - 8 {
        let disk = MemDisk::new();
        let (mut wal, _) = two_groups(&disk);
        wal.seal(&disk).unwrap();
        disk.zero_sector(PATH, sector * 512);
        let (_, recovery) = opened(&disk);
        assert_eq!(recovery.torn, None, "sector {sector}");
        for (id, group) in &recovery.groups {
            let whole = &expected[id];
            match &group.damage {
                None => assert_eq!(group, whole, "sector {sector}"),
                Some(damage) => {
                    let lost: u64 = damage.missing.iter().map(|m| m.to + 1 - m.from).sum();
                    let there = (group.entries.len() + damage.beyond.len()) as u64;
                    let asset = damage.lost_base.is_some();
                    assert_eq!(there + lost, whole.entries.len() as u64, "sector {sector}");
                    assert!(asset || lost == 1, "sector {sector}: {damage:?}");
                    assert!(!damage.unknown_end && !damage.lost_hard_state);
                }
            }
        }
        assert_eq!(recovery.groups.len(), 2, "sector {sector}");
    }
}

#[test]
fn two_lost_heads_leave_a_hole_and_the_chain_says_who_was_in_it() {
    let disk = MemDisk::new();
    let (_, offsets) = two_groups(&disk);
    // OTHER's second entry and G's third: G goes on with a broken chain, OTHER never again.
    assert!(disk.flip_bit(PATH, offsets[3], 0));
    assert!(disk.flip_bit(PATH, offsets[4], 0));
    assert!(disk.flip_bit(PATH, offsets[5] + 72 + 64, 0));
    let (_, recovery) = opened(&disk);
    assert_eq!(recovery.lost.len(), 1);
    let damage = |group| recovery.groups[&group].damage.clone().unwrap();
    assert!(damage(G).unknown_end && damage(G).lost_hard_state);
    assert!(damage(OTHER).unknown_end && !damage(OTHER).lost_hard_state);
    // The report is the same at the next start.
    assert_eq!(opened(&disk).1, recovery);
}

#[test]
fn a_group_that_continues_its_chain_lost_nothing_in_a_hole() {
    let disk = MemDisk::new();
    let (mut wal, offsets) = two_groups(&disk);
    append_entry(&disk, &mut wal, OTHER, 3);
    // Both batches in the hole are G's.
    for at in [offsets[2], offsets[3], offsets[4] + 72 + 64] {
        assert!(disk.flip_bit(PATH, at, 0));
    }
    let (mut wal, recovery) = opened(&disk);
    assert_eq!(recovery.groups[&OTHER].damage, None);
    assert_eq!(indexes(&recovery.groups[&OTHER].entries), [1, 2, 3]);
    assert!(recovery.groups[&G].damage.clone().unwrap().unknown_end);
    // Nothing that is added may make G look whole; only another replica is.
    let mut batch = WalBatch::new();
    batch.hard_state(G, R, HardState { term: 9, vote: R, commit: 0 });
    assert!(matches!(wal.write(&disk, &[batch]), Err(WalError::Refused { group: G, .. })));
    let mut batch = WalBatch::new();
    batch.create(G, ReplicaId(77), 9, Bytes::new()).unwrap();
    batch.hard_state(G, ReplicaId(77), HardState::default());
    wal.append(&disk, &[batch]).unwrap();
    let group = &opened(&disk).1.groups[&G];
    assert_eq!((group.replica, &group.damage), (ReplicaId(77), &None));
}

#[test]
fn a_base_behind_a_hole_does_not_hide_the_entries_that_it_kept() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 4);
    let hole = wal.current.offset;
    for index in 5..=8 {
        append_entry(&disk, &mut wal, G, index);
    }
    let base_at = wal.current.offset;
    write_base(&disk, &mut wal, G, 6, 7);
    wal.seal(&disk).unwrap();
    for at in (hole..base_at).step_by(4096) {
        assert!(disk.flip_bit(PATH, at, 0));
    }
    assert!(disk.flip_bit(PATH, base_at + 72 + 128, 0), "the copy of the last one's head");
    let group = &opened(&disk).1.groups[&G];
    assert!(group.damage.as_ref().unwrap().unknown_end, "7 and 8 were synced");
    assert_eq!(group.base, Some(base(6)));
}

#[test]
fn above_the_last_seal_damage_is_a_torn_tail() {
    let disk = MemDisk::new();
    let (_, offsets) = two_groups(&disk);
    let at = body_at(&disk, offsets[5]);
    assert!(disk.flip_bit(PATH, at, 0));
    let (_, recovery) = opened(&disk);
    assert_eq!(recovery.torn.map(|torn| torn.offset), Some(offsets[5]));
    assert_eq!(indexes(&recovery.groups[&G].entries), [1, 2, 3]);
    assert_eq!(recovery.groups[&G].damage, None);
    assert_eq!(opened(&disk).1.torn, None, "it was cut");
}

#[test]
fn below_the_last_seal_the_same_damage_is_rot() {
    let disk = MemDisk::new();
    let (mut wal, offsets) = two_groups(&disk);
    wal.seal(&disk).unwrap();
    assert!(disk.flip_bit(PATH, body_at(&disk, offsets[5]), 0));
    let (_, recovery) = opened(&disk);
    assert_eq!(recovery.torn, None);
    let missing = &recovery.groups[&G].damage.as_ref().unwrap().missing;
    assert_eq!(missing.iter().map(|m| (m.from, m.to)).collect::<Vec<_>>(), [(4, 4)]);
}

#[test]
fn a_lost_base_is_reported_and_the_vote_is_kept() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 5);
    let offset = wal.current.offset;
    write_base(&disk, &mut wal, G, 3, 4);
    wal.seal(&disk).unwrap();
    assert!(disk.flip_bit(PATH, body_at(&disk, offset) + 20, 0));
    let group = &opened(&disk).1.groups[&G];
    let damage = group.damage.as_ref().unwrap();
    assert_eq!(damage.lost_base, Some(LostBase { index: 3, term: 1 }));
    assert!(!damage.lost_hard_state && damage.missing.is_empty());
    assert_eq!(group.hard_state, HardState { term: 1, vote: R, commit: 3 });
    assert_eq!(indexes(&group.entries), [4, 5]);
}

/// A log over several files; `G` is in all of them, `OTHER` only in the first.
fn many_files(disk: &MemDisk) -> Wal {
    let (mut wal, _) = two_groups(disk);
    for index in 5..60 {
        append_entry(disk, &mut wal, G, index);
    }
    assert!(wal.current.generation >= 4);
    wal
}

#[test]
fn a_missing_file_condemns_exactly_those_who_may_have_been_in_it() {
    let disk = MemDisk::new();
    let newest = many_files(&disk).current.generation;
    for generation in 1..=newest {
        let disk = MemDisk::new();
        many_files(&disk);
        assert!(disk.lose_file(&log_path(generation)));
        let (_, recovery) = opened(&disk);
        assert_eq!(recovery.lost.len(), 1, "file {generation}");
        let range = recovery.lost[0];
        assert_eq!(range.from.is_none(), generation == 1);
        assert_eq!(range.to.is_none(), generation == newest);
        let hurt = |group| recovery.groups.get(&group).is_some_and(|g| g.damage.is_some());
        assert!(hurt(G), "file {generation}");
        assert_eq!(hurt(OTHER), generation != 1, "file {generation}: no later record of it");
        assert_eq!(recovery.groups.contains_key(&OTHER), generation != 1);
        // It stays so, and the log can be written.
        let (mut wal, again) = opened(&disk);
        assert_eq!(again.groups, recovery.groups, "file {generation}");
        let mut batch = WalBatch::new();
        batch.create(GroupId(8), R, 1, Bytes::new()).unwrap();
        wal.append(&disk, &[batch]).unwrap();
        assert_eq!(opened(&disk).1.groups[&GroupId(8)].damage, None);
    }
}

#[test]
fn a_missing_first_file_is_noticed_also_when_the_next_ones_first_head_is_rotten() {
    let disk = MemDisk::new();
    many_files(&disk);
    assert!(disk.lose_file(&log_path(1)));
    assert!(disk.flip_bit(&log_path(2), 20, 0));
    let (_, recovery) = opened(&disk);
    assert_eq!(recovery.lost.len(), 1);
    assert!(recovery.groups[&G].damage.clone().unwrap().unknown_end);
}

#[test]
fn a_file_cut_short_is_noticed() {
    let whole = MemDisk::new();
    let (mut wal, offsets) = two_groups(&whole);
    wal.seal(&whole).unwrap();
    let end = wal.current.offset;
    for len in [0, 4096, offsets[2], offsets[5] + 100, end - 4096, end, end + 4096] {
        let disk = MemDisk::new();
        let (mut wal, _) = two_groups(&disk);
        wal.seal(&disk).unwrap();
        assert!(disk.cut_file(PATH, usize::try_from(len).unwrap()));
        let (_, recovery) = opened(&disk);
        let unknown = |group: &RecoveredGroup| group.damage.clone().is_some_and(|d| d.unknown_end);
        match len {
            // As if there had never been a log: the store record knows better.
            0 => assert!(recovery.fresh),
            _ => assert!(recovery.groups.values().all(unknown), "cut to {len}"),
        }
    }
}

/// A batch of several pages, of which the first are left, was synced all the same.
#[test]
fn a_file_cut_within_its_last_batches_is_not_taken_for_a_torn_one() {
    let disk = MemDisk::new();
    let mut wal = with_entries(&disk, 3);
    let end = wal.current.offset;
    let mut batch = WalBatch::new();
    let large = Entry { data: Bytes::from(vec![7; 9000]), ..entry(1, 4) };
    batch.entries(G, R, &[large]).unwrap();
    wal.append(&disk, &[batch]).unwrap();
    assert!(wal.seal(&disk).unwrap());
    assert!(disk.cut_file(PATH, usize::try_from(end + 4096 + 500).unwrap()));
    let (_, recovery) = opened(&disk);
    let damage = recovery.groups[&G].damage.clone();
    assert!(damage.is_some_and(|damage| damage.unknown_end));
}

#[test]
fn rot_in_records_that_are_superseded_harms_nobody() {
    let disk = MemDisk::new();
    let (mut wal, offsets) = two_groups(&disk);
    write_base(&disk, &mut wal, G, 4, 5);
    for offset in [offsets[0], offsets[2], offsets[3]] {
        assert!(disk.flip_bit(PATH, body_at(&disk, offset), 0));
    }
    assert!(opened(&disk).1.groups.values().all(|group| group.damage.is_none()));
}
