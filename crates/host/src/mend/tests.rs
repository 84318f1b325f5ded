use super::*;
use flotilla_raft::EntryKind;
use proptest::prelude::*;

fn entry(index: u64, term: u64) -> Entry {
    let data = Bytes::from(format!("{index} in {term}"));
    Entry { term, index, kind: EntryKind::Command, data }
}

/// A log of `n` entries, whose term goes up every four.
fn log(n: u64) -> Vec<Entry> {
    (1..=n).map(|index| entry(index, 1 + index / 4)).collect()
}

fn base(index: u64) -> Base {
    Base { index, term: if index == 0 { 0 } else { 1 + index / 4 }, ..Base::default() }
}

fn recovered(first: u64, entries: Vec<Entry>, damage: Damage) -> RecoveredGroup {
    RecoveredGroup {
        replica: ReplicaId(7),
        incarnation: 3,
        asset: Bytes::from_static(b"asset"),
        hard_state: HardState { term: 9, vote: ReplicaId(2), commit: 4 },
        base: Some(base(first)),
        entries,
        damage: Some(damage),
        aside: false,
    }
}

/// What a peer with this log, from its base on, gives.
fn give(fragments: &mut Fragments, peer_base: u64, log: &[Entry], most: usize) -> bool {
    match fragments.lacks().unwrap() {
        Part::State => {
            fragments.take_state(base(peer_base), 3, &Bytes::from_static(b"asset"));
            true
        }
        Part::Entries { from, to, proof } => {
            let has = |at: At| log.iter().any(|e| (e.index, e.term) == (at.index, at.term));
            if !has(proof) {
                return false;
            }
            if from <= peer_base {
                fragments.take_state(base(peer_base), 3, &Bytes::new());
                return true;
            }
            let wanted = log.iter().filter(|e| (from..=to).contains(&e.index));
            fragments.take_entries(proof, wanted.take(most).cloned().collect())
        }
        Part::Segment { .. } => false,
    }
}

#[test]
fn a_lost_vote_or_end_cannot_be_mended() {
    let vote = Damage { lost_hard_state: true, ..Damage::default() };
    let end = Damage { unknown_end: true, ..Damage::default() };
    for damage in [vote, end] {
        assert!(Fragments::of(recovered(0, log(3), damage), None).is_none());
    }
}

#[test]
fn another_history_is_not_taken_for_what_was_lost() {
    let identity = Some(EntryIdentity::of(&entry(3, 1)));
    let missing = vec![MissingEntries { from: 3, to: 3, identity }];
    let damage = Damage { missing, beyond: vec![entry(4, 2)], ..Damage::default() };
    let mut fragments = Fragments::of(recovered(0, log(2), damage), None).unwrap();
    let proof = At { index: 3, term: 1 };
    assert_eq!(fragments.lacks(), Some(Part::Entries { from: 3, to: 3, proof }));
    let mut forged = entry(3, 1);
    forged.data = Bytes::from_static(b"something else");
    assert!(!fragments.take_entries(proof, vec![forged]));
    assert!(!fragments.take_entries(At { term: 2, ..proof }, vec![entry(3, 2)]));
    assert!(fragments.take_entries(proof, vec![entry(3, 1)]));
    assert_eq!(fragments.whole().unwrap().entries, log(4));
}

#[test]
fn a_state_whose_segments_nobody_has_gives_way_to_an_older_one() {
    let own = log(9).split_off(6);
    let mut fragments = Fragments::of(recovered(6, own, Damage::default()), None).unwrap();
    assert!(fragments.lacks().is_none());
    fragments.doubt_state();
    assert_eq!(fragments.lacks(), Some(Part::State));
    assert_eq!(fragments.remains().base, Some(base(6)), "it is not given up");
    assert!(fragments.recall_state() && fragments.lacks().is_none());
    fragments.doubt_state();
    while fragments.lacks().is_some() {
        assert!(give(&mut fragments, 4, &log(12), 9));
    }
    let whole = fragments.whole().unwrap();
    assert_eq!((whole.base, whole.entries), (base(4), log(9).split_off(4)));
}

#[test]
fn a_committed_state_that_contradicts_the_log_ends_it() {
    let damage = Damage {
        lost_base: Some(LostBase { index: 0, term: 0 }),
        beyond: Vec::new(),
        ..Damage::default()
    };
    let mut fragments = Fragments::of(recovered(0, log(9), damage), None).unwrap();
    assert_eq!(fragments.lacks(), Some(Part::State));
    let other = Base { index: 6, term: 5, ..Base::default() };
    fragments.take_state(other.clone(), 3, &Bytes::new());
    let whole = fragments.whole().unwrap();
    assert_eq!((whole.base, whole.entries), (other, Vec::new()));
    let later = Base { index: 20, term: 12, ..Base::default() };
    fragments.take_state(later, 3, &Bytes::new());
    let state = fragments.whole().unwrap().hard_state;
    assert_eq!((state.term, state.vote), (12, ReplicaId::NONE), "no vote in a term it never saw");
}

proptest! {
    /// Whatever is lost of a replica, a peer with a log at least as long makes it what it was; or what it was and more.
    #[test]
    fn pieces_of_a_peer_make_a_replica_what_it_was(
        length in 1u64..24,
        own_base in 0u64..24,
        peer_base in 0u64..30,
        more in 0u64..8,
        gone: u32,
        known: u32,
        base_gone: bool,
        most in 1usize..5,
    ) {
        let own_base = own_base.min(length);
        let theirs = log(length + more);
        let peer_base = peer_base.min(length + more);
        let bit = |mask: u32, index: u64| mask & (1 << index) != 0;
        let (mut entries, mut missing, mut beyond) = (Vec::new(), Vec::new(), Vec::new());
        for e in theirs.iter().filter(|e| e.index > own_base && e.index <= length) {
            // The last one's line in the table is what tells where the log ends.
            if bit(gone, e.index) {
                let named = bit(known, e.index) || e.index == length;
                let identity = named.then(|| EntryIdentity::of(e));
                missing.push(MissingEntries { from: e.index, to: e.index, identity });
            } else if missing.is_empty() {
                entries.push(e.clone());
            } else {
                beyond.push(e.clone());
            }
        }
        let b = base(own_base);
        let lost_base = base_gone.then_some(LostBase { index: b.index, term: b.term });
        let damage = Damage { missing, beyond, lost_base, ..Damage::default() };
        let mut fragments = Fragments::of(recovered(own_base, entries, damage), None).unwrap();
        for step in 0..100 {
            // At any time, it may have to be set aside.
            if step % 3 == 1 {
                fragments = Fragments::of(fragments.remains(), None).unwrap();
            }
            if fragments.lacks().is_none() {
                break;
            }
            prop_assert!(give(&mut fragments, peer_base, &theirs, most));
        }
        let whole = fragments.whole().unwrap();
        let last = whole.entries.last().map_or(whole.base.index, |e| e.index);
        prop_assert!(last == length.max(whole.base.index));
        prop_assert_eq!(whole.base.term, base(whole.base.index).term);
        for (e, index) in whole.entries.iter().zip(whole.base.index + 1..) {
            prop_assert_eq!(e, &entry(index, 1 + index / 4));
        }
        prop_assert_eq!(whole.incarnation, 3);
    }
}
