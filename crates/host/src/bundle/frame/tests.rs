use super::*;
use crate::bundle::{Compare, Digest, Digests, Lack, Offer, Segment, Sleep, State, Unknown};
use crate::mend::{At, Part};
use flotilla_disk::SegmentSummary;
use flotilla_raft::{Base, Body, Entry, EntryKind, ReplicaId};
use proptest::prelude::*;

fn said() -> Vec<(GroupId, Say)> {
    let entry = |index| Entry {
        term: 3,
        index,
        kind: EntryKind::Command,
        data: Bytes::from_static(b"payload"),
    };
    let append = Message {
        from: ReplicaId(1),
        to: ReplicaId(2),
        term: 3,
        body: Body::Append {
            prev_index: 6,
            prev_term: 3,
            commit: 5,
            entries: vec![entry(7), entry(8)],
        },
    };
    let at = PieceAt { to: ReplicaId(2), index: 5, first_seq: 1, offset: 300 };
    let file = SegmentSummary { first_seq: 1, last_seq: 9, bytes: 300, hash: 4, sealed: true };
    let offer = Offer {
        from: ReplicaId(1),
        to: ReplicaId(2),
        term: 3,
        base: Base { index: 5, term: 2, state: Bytes::from_static(b"state"), ..Base::default() },
        files: vec![file],
    };
    let proof = At { index: 8, term: 3 };
    let part = Part::Entries { from: 7, to: 8, proof };
    let state = State {
        to: ReplicaId(2),
        incarnation: 4,
        asset: Bytes::from_static(b"asset"),
        base: offer.base.clone(),
        files: vec![file],
    };
    let entries = vec![entry(7), entry(8)];
    let slots = [(Slot(9), Digest { groups: 2, hash: 77 })].into();
    let digests = Digests { share: Share::WHOLE, slots };
    let sleep = Sleep { leader: ReplicaId(1), term: 3, commit: 8, hash: 9 };
    let (first_seq, last_seq) = (9, 16);
    let compare = Compare { to: ReplicaId(2), index: 30, first_seq, last_seq, hash: 5 };
    vec![
        (GroupId(4), Say::Raft(append)),
        (GroupId(5), Say::Wake),
        (GroupId(6), Say::Piece(Piece { at, data: Bytes::from_static(b"bytes") })),
        (GroupId(7), Say::Offer(Box::new(offer))),
        (GroupId(8), Say::Sleep(sleep)),
        (GroupId(0), Say::Digests(digests)),
        (GroupId(0), Say::WakeShared(vec![Slot(9)])),
        (GroupId(9), Say::Unknown(Unknown { replica: ReplicaId(2) })),
        (GroupId(4), Say::Lack(Lack { replica: ReplicaId(2), part })),
        (GroupId(4), Say::State(Box::new(state))),
        (GroupId(4), Say::Entries(Entries { to: ReplicaId(2), proof, entries })),
        (GroupId(4), Say::Segment(Segment { to: ReplicaId(2), summary: file })),
        (GroupId(4), Say::Compare(compare)),
    ]
}

fn frame() -> (Bytes, usize) {
    let mut bundle = Bundle::default();
    for (group, say) in said() {
        bundle.push(group, &say);
    }
    let len = bundle.byte_len();
    (bundle.into_parts().concat().into(), len)
}

#[test]
fn a_bundle_survives_the_wire() {
    let (frame, len) = frame();
    assert_eq!(frame.len(), len);
    let mut read = Vec::new();
    unbundle(&frame, Share::WHOLE, |group, say| read.push((group, say))).unwrap();
    assert_eq!(read, said());
}

#[test]
fn every_item_reaches_the_shard_of_its_group_and_what_is_of_none_reaches_all() {
    let (frame, _) = frame();
    let mut read = Vec::new();
    for share in Share::split(3) {
        unbundle(&frame, share, |group, say| read.push((group, say))).unwrap();
    }
    let of_none = said().iter().filter(|(group, _)| group.0 == 0).count();
    assert_eq!(read.len(), said().len() + 2 * of_none);
    assert!(said().iter().all(|item| read.contains(item)));

    let told = |frame: &[u8], shards| {
        let mut told = Vec::new();
        addressed(frame, shards, |shard| told.push(shard));
        told.sort_unstable();
        told
    };
    assert_eq!(told(&frame, 3), [0, 1, 2]);
    assert_eq!(told(&frame, 1), [0]);
    let mut bundle = Bundle::default();
    bundle.push(GroupId(0x705), &Say::Wake);
    bundle.push(GroupId(0x805), &Say::Wake);
    let two = bundle.into_parts().concat();
    assert_eq!(told(&two, 4), [1]);
    assert_eq!(told(&two[..20], 4), [1], "what can be read of it counts");
    assert_eq!(told(b"x", 4), [0], "somebody has to report it");
}

proptest! {
    #[test]
    fn a_damaged_bundle_is_an_error_and_never_a_panic(at: usize, byte: u8, cut: usize) {
        let (frame, _) = frame();
        let mut bytes = frame.to_vec();
        let len = bytes.len();
        bytes[at % len] = byte;
        bytes.truncate(1 + cut % len);
        addressed(&bytes, 7, |_| ());
        let _ = unbundle(&bytes.into(), Share::WHOLE, |_, _| ());
    }
}
