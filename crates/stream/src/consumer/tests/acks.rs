//! What clients answer, and what they hear of it.

use super::{Bench, config, request};
use crate::{Ack, AckKind, AckPolicy, ConsumerAdvisory, ConsumerConfig, ConsumerInput, Timestamp};

/// `count` messages, all delivered to `r`.
fn delivered(config: ConsumerConfig, count: usize) -> Bench {
    let mut bench = Bench::started(config, &vec!["a"; count]);
    bench.pull(request("r", 100));
    bench.settle();
    bench.take_heard();
    bench
}

#[test]
fn an_acknowledgement_is_answered_after_its_commit() {
    let mut bench = delivered(config(), 3);
    bench.ack(2, AckKind::Ack, Some("x"));
    bench.step(ConsumerInput::Tick);
    assert!(bench.words().is_empty());
    bench.commit_one();
    assert_eq!(bench.words(), ["+x"]);
    assert_eq!(bench.state.ack_floor().stream_seq, 0);
    bench.ack(1, AckKind::Ack, None);
    bench.settle();
    assert_eq!(bench.state.ack_floor().stream_seq, 2);
    assert_eq!(bench.state.ack_floor().consumer_seq, 2);
    // What is committed is answered at once; what was never delivered, never.
    bench.ack(2, AckKind::Ack, Some("y"));
    bench.ack(9, AckKind::Ack, Some("z"));
    assert_eq!(bench.words(), ["+y"]);
}

#[test]
fn the_acknowledgements_of_a_turn_are_one_entry() {
    let mut bench = delivered(config(), 100);
    for seq in 1..=100 {
        bench.ack(seq, AckKind::Ack, None);
    }
    bench.step(ConsumerInput::Tick);
    assert_eq!(bench.log.len(), 1);
    assert!(bench.log[0].len() < 100, "{} bytes", bench.log[0].len());
    bench.settle();
    assert_eq!(bench.state.ack_floor().stream_seq, 100);
}

#[test]
fn with_policy_all_an_acknowledgement_covers_what_came_before() {
    let mut bench = delivered(ConsumerConfig { ack: AckPolicy::All, ..config() }, 5);
    bench.ack(3, AckKind::Ack, Some("x"));
    bench.settle();
    assert_eq!(bench.words(), ["+x"]);
    assert_eq!(bench.pending(), [4, 5]);
    bench.ack(2, AckKind::Ack, Some("y"));
    assert_eq!(bench.words(), ["+y"]);
    assert_eq!(bench.state.ack_floor().stream_seq, 3);
}

#[test]
fn refused_messages_come_again_at_once_or_after_a_delay() {
    let mut bench = delivered(config(), 3);
    bench.now = 10;
    bench.ack(2, AckKind::Nak { delay: 0 }, Some("x"));
    bench.ack(3, AckKind::Nak { delay: 20 }, None);
    bench.settle();
    assert_eq!(bench.words(), ["+x", "2*2>r"]);
    let numbers = |stream_seq| ConsumerAdvisory::Naked {
        stream_seq,
        consumer_seq: stream_seq,
        deliveries: 1,
    };
    assert_eq!(bench.advisories, [numbers(2), numbers(3)]);
    assert_eq!(bench.leader.next_deadline(&bench.state), Some(Timestamp(30)));
    // The delay is replicated: another leader keeps it.
    bench.change_leader(false);
    bench.pull(request("s", 10));
    bench.now = 29;
    bench.settle();
    assert!(bench.words().is_empty());
    bench.now = 30;
    bench.settle();
    assert_eq!(bench.words(), ["3*2>s"]);
}

#[test]
fn a_refusal_of_what_is_not_pending_is_answered_and_forgotten() {
    let mut bench = delivered(config(), 1);
    bench.ack(1, AckKind::Ack, None);
    bench.settle();
    let ack = Ack {
        stream_seq: 1,
        consumer_seq: 1,
        deliveries: 1,
        kind: AckKind::Nak { delay: 0 },
        reply: Some("x".into()),
    };
    bench.step(ConsumerInput::Ack(ack));
    bench.settle();
    assert_eq!(bench.words(), ["+x"]);
    assert!(bench.advisories.is_empty());
}

#[test]
fn progress_begins_the_wait_anew() {
    let mut bench = delivered(config(), 1);
    bench.now = 90;
    bench.ack(1, AckKind::Progress, None);
    bench.settle();
    bench.now = 189;
    bench.settle();
    assert!(bench.words().is_empty());
    bench.now = 190;
    bench.settle();
    assert_eq!(bench.words(), ["1*2>r"]);
}

#[test]
fn a_terminated_message_never_comes_again() {
    let mut bench = delivered(config(), 1);
    bench.ack(1, AckKind::Term { reason: "bad".to_owned() }, Some("x"));
    bench.settle();
    bench.now = 1000;
    bench.settle();
    assert_eq!(bench.words(), ["+x"]);
    let expected = ConsumerAdvisory::Terminated {
        stream_seq: 1,
        consumer_seq: 1,
        deliveries: 1,
        reason: "bad".to_owned(),
    };
    assert_eq!(bench.advisories, [expected]);
}

#[test]
fn next_acknowledges_and_asks_for_more() {
    let mut bench = Bench::started(config(), &["a"; 3]);
    bench.pull(request("r", 1));
    bench.settle();
    bench.ack(1, AckKind::Next(request("s", 2)), Some("s"));
    bench.settle();
    assert_eq!(bench.words(), ["1*1>r", "2*1>s", "3*1>s"]);
    assert_eq!(bench.pending(), [2, 3]);
}

#[test]
fn samples_say_how_long_it_took() {
    let mut bench = delivered(ConsumerConfig { sample_percent: Some(100), ..config() }, 1);
    bench.now = 7;
    bench.ack(1, AckKind::Ack, None);
    bench.settle();
    let expected =
        ConsumerAdvisory::Acknowledged { stream_seq: 1, consumer_seq: 1, deliveries: 1, delay: 7 };
    assert_eq!(bench.advisories, [expected]);
}

#[test]
fn acknowledgements_of_a_lost_proposal_are_proposed_again() {
    let mut bench = delivered(config(), 2);
    bench.ack(1, AckKind::Ack, Some("x"));
    bench.step(ConsumerInput::Tick);
    bench.log.clear();
    bench.step(ConsumerInput::Lost);
    bench.settle();
    assert_eq!(bench.words(), ["+x"]);
    assert_eq!(bench.pending(), [2]);
}
