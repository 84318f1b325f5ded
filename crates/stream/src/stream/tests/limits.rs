//! Limits, purges and deletes by example; `model` has them at random.

use super::{Bench, config};
use crate::{
    ChangeError, ChangeOutcome, Discard, FilterSet, PublishError, PublishOutcome, SequenceRange,
    StreamChange, StreamConfig, Timestamp,
};

fn purge(filter: Option<&str>, up_to: Option<u64>, keep: Option<u64>) -> StreamChange {
    StreamChange::Purge { filter: filter.map(str::to_owned), up_to, keep }
}

#[test]
fn a_new_stream_says_what_nats_says() {
    let mut bench = Bench::new(config());
    assert_eq!(bench.stream.state(), Default::default());
    assert_eq!(bench.change(purge(None, None, None)), ChangeOutcome::Purged { messages: 0 });
    assert_eq!(bench.stream.state().first_seq, 1);

    let mut later = Bench::new(StreamConfig { first_seq: Some(100), ..config() });
    assert_eq!((later.stream.first_seq(), later.stream.last_seq()), (100, 99));
    assert_eq!(later.stored("a", ""), 100);
}

#[test]
fn age_is_counted_in_committed_time() {
    let mut bench = Bench::new(StreamConfig { max_age: Some(100), ..config() });
    bench.stored("a", "");
    bench.now = 50;
    bench.stored("a", "");
    assert_eq!(bench.stream.next_expiry(), Some(Timestamp(101)));
    bench.now = 100;
    bench.change(StreamChange::Expire);
    assert_eq!(bench.sequences(), [1, 2]);
    bench.now = 101;
    assert_eq!(bench.change(StreamChange::Expire), ChangeOutcome::Expired);
    assert_eq!(bench.applied.removed, [SequenceRange::single(1)]);
    bench.now = 1000;
    bench.stored("b", "");
    assert_eq!(bench.sequences(), [3]);
}

#[test]
fn a_message_beyond_all_bytes_is_stored_and_gone_at_once() {
    let mut bench = Bench::new(StreamConfig { max_bytes: Some(100), ..config() });
    bench.stored("a", "");
    assert_eq!(bench.stored("a", &"x".repeat(200)), 2);
    assert_eq!(bench.applied.stored.len(), 1);
    assert_eq!(bench.applied.removed, [SequenceRange { first: 1, last: 2 }]);
    assert_eq!((bench.stream.first_seq(), bench.stream.last_seq()), (3, 2));
}

#[test]
fn discard_new_refuses_but_a_subject_may_replace_its_oldest() {
    let full = StreamConfig {
        discard: Discard::New,
        max_msgs: Some(2),
        max_msgs_per_subject: Some(1),
        ..config()
    };
    let mut bench = Bench::new(full.clone());
    bench.stored("a", "");
    bench.stored("b", "");
    let refused = PublishOutcome::Refused(PublishError::MaxMessages);
    assert_eq!(bench.publish("c", &[], ""), refused);
    assert_eq!(bench.stored("a", ""), 3);
    assert_eq!(bench.sequences(), [2, 3]);

    let mut strict = Bench::new(StreamConfig { discard_new_per_subject: true, ..full.clone() });
    strict.stored("a", "");
    let refused = PublishOutcome::Refused(PublishError::MaxMessagesPerSubject);
    assert_eq!(strict.publish("a", &[], ""), refused);
    assert_eq!(strict.publish("a", &["Nats-Rollup: sub"], ""), PublishOutcome::Stored { seq: 2 });
    assert_eq!(strict.sequences(), [2]);

    let mut bytes = Bench::new(StreamConfig { max_msgs: None, max_bytes: Some(40), ..full });
    bytes.stored("a", "12");
    let refused = PublishOutcome::Refused(PublishError::MaxBytes);
    assert_eq!(bytes.publish("a", &[], "1234567890"), refused);
    assert_eq!(bytes.stored("a", "34"), 2);
}

#[test]
fn purges_take_the_oldest_first() {
    let mut bench = Bench::new(config());
    for subject in ["a", "b", "a", "b", "a", "a"] {
        bench.stored(subject, "");
    }
    assert_eq!(
        bench.change(purge(Some("a"), None, Some(3))),
        ChangeOutcome::Purged { messages: 1 }
    );
    assert_eq!(
        bench.change(purge(Some("a"), Some(5), None)),
        ChangeOutcome::Purged { messages: 1 }
    );
    assert_eq!(bench.sequences(), [2, 4, 5, 6]);
    assert_eq!(bench.change(purge(None, Some(5), None)), ChangeOutcome::Purged { messages: 2 });
    assert_eq!(bench.change(purge(None, None, Some(1))), ChangeOutcome::Purged { messages: 1 });
    assert_eq!(bench.change(purge(None, Some(1), None)), ChangeOutcome::Purged { messages: 0 });
    assert_eq!(bench.sequences(), [6]);
    // Beyond the end: the next message gets this sequence.
    assert_eq!(bench.change(purge(None, Some(50), None)), ChangeOutcome::Purged { messages: 1 });
    assert_eq!((bench.stream.first_seq(), bench.stream.last_seq()), (50, 49));
    assert_eq!(bench.stored("a", ""), 50);
    bench.change(purge(None, Some(u64::MAX), None));
    bench.stored("a", "");
}

#[test]
fn deletes_and_denials() {
    let mut bench = Bench::new(config());
    bench.stored("a", "");
    bench.stored("a", "");
    bench.stored("b", "");
    let delete = |seq| StreamChange::Delete { seq, erase: true };
    assert_eq!(bench.change(delete(2)), ChangeOutcome::Deleted { seq: 2, erase: true });
    assert_eq!(bench.change(delete(2)), ChangeOutcome::NotFound { seq: 2 });
    assert_eq!(bench.change(delete(u64::MAX)), ChangeOutcome::NotFound { seq: u64::MAX });
    assert_eq!(bench.stream.deleted(), [SequenceRange::single(2)]);
    assert_eq!(bench.stream.state().num_deleted, 1);
    assert_eq!(bench.stream.last_by_subject("a"), Some(1));

    let strict = StreamConfig { deny_delete: true, deny_purge: true, ..config() };
    bench.change(StreamChange::Update(Box::new(strict)));
    assert_eq!(bench.change(delete(1)), ChangeOutcome::Refused(ChangeError::DeleteDenied));
    let outcome = bench.change(purge(None, None, None));
    assert_eq!(outcome, ChangeOutcome::Refused(ChangeError::PurgeDenied));
    let other = StreamConfig { name: "T".to_owned(), ..config() };
    let outcome = bench.change(StreamChange::Update(Box::new(other)));
    assert_eq!(outcome, ChangeOutcome::Refused(ChangeError::Immutable("name")));
}

#[test]
fn a_lower_limit_is_enforced_when_it_is_set() {
    let mut bench = Bench::new(config());
    for subject in ["a", "a", "b", "a", "b", "b"] {
        bench.stored(subject, "");
    }
    let per_subject = StreamConfig { max_msgs_per_subject: Some(2), ..config() };
    assert_eq!(bench.change(StreamChange::Update(Box::new(per_subject))), ChangeOutcome::Updated);
    assert_eq!(bench.sequences(), [2, 4, 5, 6]);
    let fewer = StreamConfig { max_msgs: Some(1), ..config() };
    bench.change(StreamChange::Update(Box::new(fewer)));
    assert_eq!(bench.sequences(), [6]);
}

#[test]
fn a_filter_follows_subjects_that_come_and_go() {
    let mut bench = Bench::new(config());
    let mut filter = FilterSet::new(vec!["a.*".to_owned(), "b".to_owned()]);
    assert_eq!(bench.stream.next_match(&mut filter, 0), None);
    bench.stored("c", "");
    bench.stored("a.1", "");
    assert_eq!(bench.stream.next_match(&mut filter, 0), Some(2));
    // `c`'s number is given to `b`, and `a.1`'s to `d`.
    bench.change(purge(None, None, None));
    bench.stored("d", "");
    bench.stored("b", "");
    assert_eq!(bench.stream.next_match(&mut filter, 0), Some(4));
    assert_eq!(bench.stream.count_matching(&mut filter, 0), 1);
    assert_eq!(bench.stream.last_match(&mut filter), Some(4));
    assert_eq!(bench.stream.last_per_subject(&mut filter), [4]);
}
