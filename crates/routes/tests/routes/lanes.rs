//! Frames and beats between two servers.

use std::thread;

use crate::cluster::{Node, options, pair};
use bytes::Bytes;
use flotilla_routes::{Event, Lane, Parts, SendError};

fn numbered(number: usize, length: usize) -> Bytes {
    let mut frame = vec![0; length.max(8)];
    frame[..8].copy_from_slice(&(number as u64).to_le_bytes());
    frame.into()
}

#[test]
fn each_lane_keeps_its_order() {
    const COUNT: usize = 2_000;
    let (a, of_b, mut b, of_a) = pair();
    let lanes = [Lane::Control, Lane::Messages, Lane::Raft(0), Lane::Raft(7), Lane::Bulk(1)];
    thread::scope(|scope| {
        for lane in lanes {
            let handle = &a.handle;
            scope.spawn(move || {
                for number in 0..COUNT {
                    handle.send(of_b, lane, numbered(number, number % 3_000)).unwrap();
                }
            });
        }
    });
    for lane in lanes {
        let frames = b.frames(of_a, lane, COUNT);
        assert_eq!(frames.len(), COUNT);
        for (number, frame) in frames.into_iter().enumerate() {
            assert_eq!(frame, numbered(number, number % 3_000), "on {lane}");
        }
    }
}

#[test]
fn a_big_frame_arrives_whole() {
    let (a, of_b, mut b, of_a) = pair();
    let big: Vec<u8> = (0..20_000_000u32).map(|n| (n / 7) as u8).collect();
    let head = Bytes::from_static(b"head");
    let parts = Parts::from_iter([head.clone(), Bytes::from(big.clone()), Bytes::new()]);
    a.handle.send_parts(of_b, Lane::Raft(0), parts).unwrap();
    a.handle.send(of_b, Lane::Raft(0), Bytes::new()).unwrap();
    let frames = b.frames(of_a, Lane::Raft(0), 2);
    assert!(frames[0][..4] == head && frames[0][4..] == big, "{} bytes", frames[0].len());
    assert_eq!(frames[1].len(), 0);
}

#[test]
fn a_full_lane_refuses_and_drains() {
    let mut sender = options("a", &[]);
    sender.limits.raft = 1 << 20;
    let mut receiver = options("b", &[]);
    receiver.limits.window = 1 << 20;
    let mut b = Node::start(receiver);
    sender.seeds = options("", &[b.addr()]).seeds;
    let mut a = Node::start(sender);
    let of_b = a.peer_up("b").peer;
    let of_a = b.peer_up("a").peer;
    // The receiver takes no event, so at last its queue, the window and the lane are full.
    let mut sent = 0;
    let full = loop {
        match a.handle.send(of_b, Lane::Raft(0), numbered(sent, 256 << 10)) {
            Ok(()) => sent += 1,
            Err(full) => break full,
        }
    };
    let SendError::Full { lane: Lane::Raft(0), queued } = full else { panic!("{full}") };
    assert!(queued > 768 << 10 && queued <= 1 << 20, "{queued}");
    assert!(a.handle.stats(of_b).unwrap().refused_frames > 0);
    // Another lane is not affected.
    a.handle.send(of_b, Lane::Raft(1), numbered(0, 8)).unwrap();
    assert_eq!(b.frames(of_a, Lane::Raft(0), sent).len(), sent);
    assert_eq!(b.frames(of_a, Lane::Raft(1), 1).len(), 1);
}

/// Messages come faster than they are dealt with. Their lane has to wait, and nothing else does: not even for room in
/// the queue of events.
#[test]
fn what_nobody_deals_with_holds_up_its_own_lane_alone() {
    const FRAMES: usize = 64;
    let mut receiver = options("b", &[]);
    receiver.limits.reported = 1 << 20;
    let mut b = Node::start(receiver);
    let mut a = Node::start(options("a", &[b.addr()]));
    let (of_b, of_a) = (a.peer_up("b").peer, b.peer_up("a").peer);
    for number in 0..FRAMES {
        a.handle.send(of_b, Lane::Messages, numbered(number, 64 << 10)).unwrap();
    }
    let length = |event: &Event| match event {
        Event::Frames { frames, .. } => frames.iter().map(Bytes::len).sum(),
        _ => 0,
    };
    // What is passed over is kept, and its credit with it. Appends go on, also when there is no credit left.
    let mut appends_without_credit = 0;
    while appends_without_credit < 100 {
        a.handle.send(of_b, Lane::Raft(0), "append".into()).unwrap();
        assert_eq!(b.frames(of_a, Lane::Raft(0), 1), ["append"]);
        let kept: usize = b.passed().map(length).sum();
        assert!(kept <= 1 << 20, "{kept} bytes were reported");
        appends_without_credit += usize::from(kept > 12 * (64 << 10));
    }
    let frames = b.frames(of_a, Lane::Messages, FRAMES);
    assert!((0..FRAMES).map(|number| numbered(number, 64 << 10)).eq(frames), "all in order");
}

#[test]
fn limits_of_frames_and_transfers_hold() {
    let (a, of_b, mut b, of_a) = pair();
    let limits = options("", &[]).limits;
    let long = Bytes::from(vec![0; limits.frame + 1]);
    let error = SendError::TooLarge { length: limits.frame + 1, limit: limits.frame };
    assert_eq!(a.handle.send(of_b, Lane::Messages, long), Err(error));
    for transfer in 0..limits.bulk_lanes as u64 {
        a.handle.send(of_b, Lane::Bulk(transfer), numbered(0, 8)).unwrap();
    }
    let next = Lane::Bulk(100);
    let full = SendError::Full { lane: next, queued: 0 };
    assert_eq!(a.handle.send(of_b, next, numbered(0, 8)), Err(full));
    a.handle.finish(of_b, 0);
    assert_eq!(b.frames(of_a, Lane::Bulk(0), 1).len(), 1);
    // The lane is free once the peer has confirmed its end; beats show that it is alive meanwhile.
    while a.handle.send(of_b, next, numbered(0, 8)).is_err() {
        a.handle.beat(&Bytes::from_static(b"alive"));
        b.beat(of_a);
    }
    assert_eq!(b.frames(of_a, next, 1).len(), 1);
}

#[test]
fn an_unknown_peer_is_an_error() {
    let (a, of_b, mut b, _) = pair();
    b.shutdown();
    let mut a = a;
    a.peer_down(of_b);
    let error = a.handle.send(of_b, Lane::Control, Bytes::new());
    assert_eq!(error, Err(SendError::NotConnected(of_b)));
    assert_eq!(a.handle.queued_bytes(of_b, Lane::Control), 0);
}

#[test]
fn beats_pass_from_any_thread() {
    let (a, _, mut b, of_a) = pair();
    let handle = a.handle.clone();
    let sent = thread::spawn(move || handle.beat(&Bytes::from_static(b"alive"))).join().unwrap();
    assert_eq!(sent, 1);
    assert_eq!(b.beat(of_a), "alive");
    assert_eq!(a.handle.beat(&Bytes::from(vec![0; 1001])), 0, "too long for every path");
    assert_eq!(a.handle.beat(&Bytes::from(vec![0; 1000])), 1);
    assert_eq!(b.beat(of_a).len(), 1000);
}

#[test]
fn a_broadcast_reaches_all() {
    let mut seed = Node::start(options("n1", &[]));
    let mut others = ["n2", "n3"].map(|name| Node::start(options(name, &[seed.addr()])));
    seed.peer_up("n2");
    seed.peer_up("n3");
    assert_eq!(seed.handle.broadcast(Lane::Control, &Bytes::from_static(b"all")), 2);
    for other in &mut others {
        let peer = other.peer_up("n1").peer;
        assert_eq!(other.frames(peer, Lane::Control, 1), ["all"]);
    }
}
