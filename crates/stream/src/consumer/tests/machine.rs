//! The replicated state by itself: restarts, replicas, damage.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Bench, config, request};
use crate::{AckKind, Consumer, ConsumerApplied, DamagedCommand, Timestamp};

/// A consumer with all kinds of messages in it.
fn bench() -> Bench {
    let max_deliver = Some(3);
    let mut bench = Bench::started(crate::ConsumerConfig { max_deliver, ..config() }, &["a"; 9]);
    bench.pull(request("r", 100));
    for round in 0..3 {
        bench.settle();
        bench.ack(1 + round, AckKind::Ack, None);
        bench.ack(8, AckKind::Nak { delay: 500 }, None);
        bench.settle();
        bench.now += 100;
    }
    bench.ack(9, AckKind::Progress, None);
    bench.settle();
    bench
}

#[test]
fn a_restored_consumer_is_the_one_that_never_stopped() {
    let bench = bench();
    assert!(bench.state.given_up().count() > 0 && bench.state.num_ack_pending() > 0);
    let base = bench.state.base();
    let restored = Consumer::restore(&base).unwrap();
    assert_eq!(restored.base(), base);
    assert_eq!(restored.hash(), bench.state.hash());
    assert_eq!(restored.ack_floor(), bench.state.ack_floor());
}

#[test]
fn an_entry_from_another_cursor_delivers_nothing() {
    let mut bench = bench();
    bench.publish("a");
    bench.pull(request("s", 1));
    bench.step(crate::ConsumerInput::Tick);
    let entry = bench.log.front().cloned().unwrap();
    bench.settle();
    let (hash, cursor) = (bench.state.hash(), bench.state.cursor());
    let mut applied = ConsumerApplied::default();
    bench.state.apply(&entry, &mut applied).unwrap();
    assert!(applied.stale);
    assert_eq!(bench.state.cursor(), cursor);
    assert_ne!(bench.state.hash(), hash, "that it was applied counts");
}

#[test]
fn a_base_that_contradicts_itself_is_refused() {
    let mut state = Consumer::new(config(), Timestamp(0));
    let pending = super::super::Pending {
        consumer_seq: 1,
        delivered_at: Timestamp(0),
        deliveries: 1,
        redeliver_at: None,
    };
    state.pending.push(5, pending);
    let refused = |state: &Consumer| {
        let error = Consumer::restore(&state.base()).unwrap_err();
        assert!(matches!(error, DamagedCommand::Contradiction(_)), "{error}");
    };
    refused(&state);
    (state.cursor, state.consumer_seq) = (6, 1);
    refused(&state);
    state.started = true;
    Consumer::restore(&state.base()).unwrap();
}

proptest! {
    #[test]
    fn damaged_bytes_never_panic(
        entry in any::<proptest::sample::Index>(),
        at in any::<proptest::sample::Index>(),
        bit in 0..8u32,
        random in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        thread_local! {
            static BENCH: Bench = bench();
        }
        let (base, committed) =
            BENCH.with(|bench| (bench.state.base(), bench.committed.clone()));
        let flipped = |bytes: &Bytes| {
            let mut bytes = bytes.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            Bytes::from(bytes)
        };
        let mut applied = ConsumerApplied::default();
        let entry = flipped(&committed[entry.index(committed.len())]);
        let mut state = Consumer::restore(&base).unwrap();
        let before = state.hash();
        if state.apply(&entry, &mut applied).is_err() {
            prop_assert_eq!(state.hash(), before, "a damaged entry changes nothing");
        }
        if let Ok(mut state) = Consumer::restore(&flipped(&base)) {
            for entry in committed.iter().chain([&entry]) {
                let _ = state.apply(entry, &mut applied);
                let _ = (state.ack_floor(), state.delivered(), state.base());
            }
        }
        for kind in [1, 2, 17] {
            let bytes = Bytes::from([&[1, kind], &random[..]].concat());
            let _ = state.apply(&bytes, &mut applied);
            let _ = Consumer::restore(&bytes);
        }
    }
}
