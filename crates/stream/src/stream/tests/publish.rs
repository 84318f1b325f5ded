//! The headers that a stream obeys.

use super::{Bench, config};
use crate::{PublishError, PublishOutcome, SequenceRange, StreamConfig, Timestamp};

fn refused(error: PublishError) -> PublishOutcome {
    PublishOutcome::Refused(error)
}

#[test]
fn records_carry_the_published_bytes() {
    let mut bench = Bench::new(config());
    bench.publish("a.b", &["X: y"], "body");
    let record = &bench.records[0];
    assert_eq!((record.seq, record.time), (1, Timestamp(1)));
    assert_eq!(&record.body[..], b"a.bNATS/1.0\r\nX: y\r\n\r\nbody");
    assert_eq!((record.subject_len, record.headers_len), (3, 18));
}

#[test]
fn an_id_is_stored_once_within_the_window() {
    let mut bench = Bench::new(config());
    let id = ["Nats-Msg-Id: 1"];
    assert_eq!(bench.publish("a", &id, ""), PublishOutcome::Stored { seq: 1 });
    bench.now = 1000;
    // The answer is the first sequence, whatever else the publish expects.
    let repeated = bench.publish("a", &["Nats-Msg-Id: 1", "Nats-Expected-Last-Sequence: 9"], "");
    assert_eq!(repeated, PublishOutcome::Duplicate { seq: 1 });
    bench.now = 1001;
    assert_eq!(bench.publish("a", &id, ""), PublishOutcome::Stored { seq: 2 });
    // A stamp from a slower clock does not turn time back.
    bench.now = 500;
    assert_eq!(bench.publish("a", &id, ""), PublishOutcome::Duplicate { seq: 2 });
    assert_eq!(bench.stream.applied_time(), Timestamp(1001));
}

#[test]
fn a_window_of_zero_turns_deduplication_off() {
    let mut bench = Bench::new(StreamConfig { duplicate_window: 0, ..config() });
    for seq in 1..=2 {
        assert_eq!(bench.publish("a", &["Nats-Msg-Id: 1"], ""), PublishOutcome::Stored { seq });
    }
}

#[test]
fn expectations_are_checked_against_the_stream_as_it_is_at_apply() {
    let mut bench = Bench::new(config());
    bench.publish("a.1", &["Nats-Msg-Id: x"], "");
    bench.publish("a.2", &[], "");
    let wrong = |last| refused(PublishError::WrongLastSequence { last });
    let cases: [(&[&str], PublishOutcome); 9] = [
        (&["Nats-Expected-Stream: T"], refused(PublishError::StreamMismatch)),
        (&["Nats-Expected-Last-Sequence: 1"], wrong(2)),
        (&["Nats-Expected-Last-Sequence: no"], wrong(2)),
        (
            &["Nats-Expected-Last-Msg-Id: x"],
            refused(PublishError::WrongLastMsgId { last: String::new() }),
        ),
        (&["Nats-Expected-Last-Subject-Sequence: 0"], wrong(1)),
        (
            &[
                "Nats-Expected-Last-Subject-Sequence: 1",
                "Nats-Expected-Last-Subject-Sequence-Subject: a.*",
            ],
            wrong(2),
        ),
        (
            &["Nats-Expected-Last-Subject-Sequence-Subject: a.*"],
            refused(PublishError::ExpectedSubjectWithoutSequence),
        ),
        (&["Nats-Rollup: some"], refused(PublishError::RollupInvalid { value: "some".to_owned() })),
        (
            &[
                "Nats-Expected-Stream: S",
                "Nats-Expected-Last-Sequence: 2",
                "Nats-Expected-Last-Subject-Sequence: 0",
                "Nats-Expected-Last-Subject-Sequence-Subject: b",
            ],
            PublishOutcome::Stored { seq: 3 },
        ),
    ];
    for (headers, expected) in cases {
        assert_eq!(bench.publish("a.1", headers, ""), expected, "{headers:?}");
    }
}

#[test]
fn a_second_create_in_the_same_batch_is_refused() {
    let mut bench = Bench::new(config());
    let mut batch = crate::PublishBatchBuilder::new();
    let headers = super::block(&["Nats-Expected-Last-Subject-Sequence: 0"]);
    batch.push("k", &headers, b"1").unwrap();
    batch.push("k", &headers, b"2").unwrap();
    bench.apply(&batch.finish(Timestamp(1)));
    let wrong = refused(PublishError::WrongLastSequence { last: 1 });
    assert_eq!(bench.applied.outcomes, [PublishOutcome::Stored { seq: 1 }, wrong]);
    assert_eq!(bench.applied.stored.len(), 1);
}

#[test]
fn a_rollup_keeps_only_itself() {
    let mut bench = Bench::new(config());
    for subject in ["a", "b", "a"] {
        bench.stored(subject, "");
    }
    assert_eq!(bench.publish("a", &["Nats-Rollup: SUB"], ""), PublishOutcome::Stored { seq: 4 });
    assert_eq!(bench.sequences(), [2, 4]);
    assert_eq!(bench.applied.removed, [1, 3].map(SequenceRange::single));
    bench.publish("c", &["Nats-Rollup: all"], "");
    assert_eq!(bench.sequences(), [5]);

    let mut strict = Bench::new(StreamConfig { deny_purge: true, ..config() });
    let outcome = strict.publish("a", &["Nats-Rollup: sub"], "");
    assert_eq!(outcome, refused(PublishError::RollupNotPermitted));
}

#[test]
fn sizes_are_checked_before_anything_else() {
    let mut bench = Bench::new(StreamConfig { max_msg_size: Some(30), ..config() });
    let outcome = bench.publish("a", &["Nats-Expected-Stream: T"], "0123456789");
    assert_eq!(outcome, refused(PublishError::MessageTooLarge));
    assert_eq!(bench.stored("a", &"x".repeat(30)), 1);
    bench.change(crate::StreamChange::Update(Box::new(StreamConfig { sealed: true, ..config() })));
    assert_eq!(bench.publish("a", &[], &"x".repeat(31)), refused(PublishError::Sealed));
}
