//! Which messages are delivered, when, and with which numbers.

use super::{Bench, Heard, config, request, stream_config};
use crate::{
    AckKind, AckPolicy, ConsumerConfig, ConsumerInput, DeliverPolicy, Stream, StreamChange,
    StreamConfig, Timestamp, encode_consumer_update,
};

/// What one request for everything gets.
fn all(bench: &mut Bench) -> Vec<u64> {
    bench.pull(request("all", 1000));
    bench.settle();
    let heard = bench.take_heard().into_iter();
    heard
        .filter_map(|heard| match heard {
            Heard::Message(send) => Some(send.delivery.stream_seq),
            _ => None,
        })
        .collect()
}

#[test]
fn a_message_is_sent_once_its_delivery_is_committed() {
    let mut bench = Bench::started(config(), &["a", "b"]);
    bench.pull(request("r", 1));
    bench.step(ConsumerInput::Tick);
    assert_eq!(bench.log.len(), 1);
    assert!(bench.take_heard().is_empty());
    bench.commit_one();
    let heard = bench.take_heard();
    let [Heard::Message(send)] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((send.delivery.stream_seq, send.delivery.consumer_seq, send.pending), (1, 1, 1));
    assert_eq!(bench.state.delivered().stream_seq, 1);
}

#[test]
fn planning_goes_on_while_a_proposal_is_under_way() {
    let mut bench = Bench::started(config(), &["a", "a"]);
    bench.pull(request("r", 10));
    bench.step(ConsumerInput::Tick);
    bench.publish("a");
    bench.step(ConsumerInput::Tick);
    bench.publish("a");
    bench.step(ConsumerInput::Tick);
    assert_eq!(bench.log.len(), 3);
    bench.settle();
    assert_eq!(bench.words(), ["1*1>r", "2*1>r", "3*1>r", "4*1>r"]);
    assert_eq!(bench.pending(), [1, 2, 3, 4]);
}

#[test]
fn requests_take_turns() {
    let mut bench = Bench::started(config(), &["a"; 5]);
    bench.pull(request("x", 2));
    bench.pull(request("y", 9));
    bench.settle();
    assert_eq!(bench.words(), ["1*1>x", "2*1>y", "3*1>x", "4*1>y", "5*1>y"]);
    assert_eq!(bench.leader.num_waiting(), 1);
}

#[test]
fn each_policy_begins_where_it_says() {
    let subjects = ["a", "b", "a", "c", "b"];
    let cases = [
        (DeliverPolicy::All, vec![1, 2, 3, 4, 5, 6]),
        (DeliverPolicy::Last, vec![5, 6]),
        (DeliverPolicy::New, vec![6]),
        (DeliverPolicy::LastPerSubject, vec![3, 4, 5, 6]),
        (DeliverPolicy::ByStartSequence(4), vec![4, 5, 6]),
        (DeliverPolicy::ByStartSequence(9), vec![]),
        (DeliverPolicy::ByStartTime(Timestamp(3)), vec![4, 5, 6]),
        (DeliverPolicy::ByStartTime(Timestamp(99)), vec![6]),
    ];
    for (deliver, expected) in cases {
        let mut bench = Bench::new(ConsumerConfig { deliver, ..config() });
        for (time, subject) in subjects.iter().enumerate() {
            bench.now = time as i64;
            bench.publish(subject);
        }
        bench.settle();
        bench.publish("a");
        assert_eq!(all(&mut bench), expected, "{deliver:?}");
    }
}

#[test]
fn filters_pass_over_the_rest() {
    let filters = vec!["a.*".to_owned(), "c".to_owned()];
    let mut bench = Bench::started(
        ConsumerConfig { filters, ..config() },
        &["b", "a.1", "b", "c", "a.1.2", "a.2", "b"],
    );
    assert_eq!(bench.leader.num_pending(&bench.stream), 3);
    assert_eq!(all(&mut bench), [2, 4, 6]);
    assert_eq!(bench.leader.num_pending(&bench.stream), 0);

    let last =
        ConsumerConfig { deliver: DeliverPolicy::Last, filters: vec!["b".to_owned()], ..config() };
    let mut bench = Bench::started(last, &["b", "a", "b", "a"]);
    assert_eq!(all(&mut bench), [3]);
}

#[test]
fn a_new_leader_goes_on_within_the_last_of_each_subject() {
    let last = ConsumerConfig { deliver: DeliverPolicy::LastPerSubject, ..config() };
    let mut bench = Bench::started(last, &["a", "b", "c", "a", "d"]);
    assert_eq!(bench.leader.num_pending(&bench.stream), 4);
    bench.pull(request("r", 2));
    bench.settle();
    assert_eq!(bench.words(), ["2*1>r", "3*1>r"]);
    bench.publish("c");
    bench.publish("d");
    bench.change_leader(false);
    assert_eq!(bench.leader.num_pending(&bench.stream), 4);
    assert_eq!(all(&mut bench), [4, 5, 6, 7]);
}

#[test]
fn unacknowledged_messages_come_again_with_growing_counts() {
    let mut bench = Bench::started(config(), &["a", "a"]);
    bench.pull(request("r", 100));
    bench.settle();
    bench.ack(1, AckKind::Ack, None);
    bench.settle();
    assert_eq!(bench.leader.next_deadline(&bench.state), Some(Timestamp(100)));
    bench.take_heard();
    for deliveries in 2..=3 {
        bench.now += 99;
        bench.settle();
        assert!(bench.take_heard().is_empty());
        bench.now += 1;
        bench.settle();
        assert_eq!(bench.words(), [format!("2*{deliveries}>r")]);
    }
    // Each delivery has its own number, and the floor waits before the first of them.
    assert_eq!(bench.state.delivered().consumer_seq, 4);
    assert_eq!(bench.state.ack_floor().consumer_seq, 1);
    assert_eq!(bench.state.num_redelivered(), 1);
}

#[test]
fn a_backoff_gives_each_delivery_its_wait() {
    let backoff = vec![10, 50];
    let mut bench = Bench::started(ConsumerConfig { backoff, ..config() }, &["a"]);
    bench.pull(request("r", 100));
    bench.settle();
    let mut times = Vec::new();
    for _ in 0..4 {
        let deadline = bench.leader.next_deadline(&bench.state).unwrap();
        times.push(deadline.since(Timestamp(bench.now)));
        bench.now = deadline.0;
        bench.settle();
    }
    assert_eq!(times, [10, 50, 50, 50]);
}

#[test]
fn a_message_is_given_up_after_its_last_delivery() {
    let mut bench =
        Bench::started(ConsumerConfig { max_deliver: Some(2), ..config() }, &["a", "b"]);
    bench.pull(request("r", 100));
    for _ in 0..4 {
        bench.settle();
        bench.now += 100;
    }
    assert_eq!(bench.words(), ["1*1>r", "2*1>r", "1*2>r", "2*2>r"]);
    assert_eq!(bench.advisories.len(), 2);
    assert_eq!(bench.pending(), [0u64; 0]);
    assert_eq!(bench.state.given_up().collect::<Vec<_>>(), [(1, 2), (2, 2)]);
    assert_eq!(bench.state.ack_floor().stream_seq, 2);
    // A late acknowledgement still counts.
    bench.ack(1, AckKind::Ack, Some("x"));
    bench.settle();
    assert_eq!(bench.words(), ["+x"]);
    assert_eq!(bench.state.num_redelivered(), 1);
}

#[test]
fn max_ack_pending_holds_back_new_messages_until_acknowledged() {
    let mut bench =
        Bench::started(ConsumerConfig { max_ack_pending: Some(2), ..config() }, &["a"; 5]);
    bench.pull(request("r", 100));
    // Also while the deliveries are not committed.
    bench.step(ConsumerInput::Tick);
    bench.step(ConsumerInput::Tick);
    assert_eq!(bench.log.len(), 1);
    bench.settle();
    assert_eq!(bench.words(), ["1*1>r", "2*1>r"]);
    bench.ack(1, AckKind::Ack, None);
    bench.settle();
    assert_eq!(bench.words(), ["3*1>r"]);
    bench.now = 100;
    bench.settle();
    assert_eq!(bench.words(), ["2*2>r", "3*2>r"]);
}

#[test]
fn removed_messages_need_no_acknowledgement() {
    let mut bench = Bench::started(config(), &["a"; 4]);
    bench.pull(request("r", 2));
    bench.settle();
    bench.delete(1);
    bench.delete(3);
    assert_eq!(bench.leader.num_pending(&bench.stream), 1);
    bench.settle();
    assert_eq!(bench.pending(), [2]);
    assert_eq!(bench.state.ack_floor().stream_seq, 1);
    assert_eq!(bench.advisories.len(), 1);
    // Also what went while nobody led, and what went between its delivery's plan and its commit.
    bench.pull(request("s", 1));
    bench.step(ConsumerInput::Tick);
    bench.change(StreamChange::Purge { filter: None, up_to: None, keep: None });
    bench.take_heard();
    bench.settle();
    assert!(bench.words().is_empty());
    bench.change_leader(false);
    bench.settle();
    assert_eq!(bench.pending(), [0u64; 0]);
    assert_eq!(bench.state.ack_floor().stream_seq, 4);
}

#[test]
fn without_acknowledgements_nothing_is_pending() {
    let mut bench = Bench::started(ConsumerConfig { ack: AckPolicy::None, ..config() }, &["a"; 3]);
    assert_eq!(all(&mut bench), [1, 2, 3]);
    assert_eq!(bench.state.num_ack_pending(), 0);
    assert_eq!(bench.state.ack_floor().stream_seq, 3);
    bench.now = 1000;
    bench.settle();
    assert!(bench.words().is_empty());
}

#[test]
fn original_replay_keeps_the_pace_of_publication() {
    let mut bench = Bench::new(ConsumerConfig { replay_original: true, ..config() });
    for time in [0, 10, 40] {
        bench.now = time;
        bench.publish("a");
    }
    bench.leader = super::Leader::new(1, Timestamp(40), &bench.stream, &bench.state);
    bench.settle();
    bench.pull(request("r", 10));
    bench.settle();
    assert_eq!(bench.words(), ["1*1>r"]);
    assert_eq!(bench.leader.next_deadline(&bench.state), Some(Timestamp(50)));
    bench.now = 50;
    bench.settle();
    assert_eq!(bench.words(), ["2*1>r"]);
    bench.now = 79;
    bench.publish("a");
    bench.settle();
    assert!(bench.words().is_empty());
    bench.now = 80;
    bench.settle();
    assert_eq!(bench.words(), ["3*1>r", "4*1>r"]);
}

#[test]
fn new_filters_hold_from_the_cursor_on() {
    let mut bench = Bench::started(config(), &["a", "b", "a", "b"]);
    bench.pull(request("r", 1));
    bench.settle();
    bench.take_heard();
    let other = ConsumerConfig { filters: vec!["b".to_owned()], ..config() };
    bench.commit(encode_consumer_update(Timestamp(1), other));
    assert_eq!(bench.leader.num_pending(&bench.stream), 2);
    assert_eq!(all(&mut bench), [2, 4]);
}

#[test]
fn an_idle_filter_does_not_fill_the_log() {
    let filters = vec!["never".to_owned()];
    let mut bench = Bench::started(ConsumerConfig { filters, ..config() }, &[]);
    bench.pull(request("r", 1));
    bench.settle();
    let before = bench.committed.len();
    for _ in 0..100 {
        bench.publish("a");
        bench.settle();
    }
    assert_eq!(bench.committed.len(), before);
    for _ in 0..20_000 {
        bench.publish("a");
    }
    bench.settle();
    assert_eq!(bench.committed.len(), before + 1);
    assert_eq!(bench.state.delivered().stream_seq, 20_100);
}

#[test]
fn what_a_leader_lost_is_delivered_by_the_next() {
    for keep_log in [false, true] {
        let mut bench = Bench::started(config(), &["a"; 3]);
        bench.pull(request("r", 3));
        bench.step(ConsumerInput::Tick);
        bench.change_leader(keep_log);
        bench.now = 100;
        bench.pull(request("s", 3));
        bench.settle();
        // Recorded and never sent: again after the wait. Not recorded: as if new.
        let nth = if keep_log { 2 } else { 1 };
        assert_eq!(bench.words(), [1, 2, 3].map(|seq| format!("{seq}*{nth}>s")));
    }
}

#[test]
fn a_lost_proposal_is_planned_again() {
    let mut bench = Bench::started(config(), &["a"; 3]);
    bench.pull(request("r", 1));
    bench.step(ConsumerInput::Tick);
    bench.pull(request("s", 2));
    bench.step(ConsumerInput::Tick);
    bench.log.pop_front();
    bench.settle();
    // The second was planned behind the first: stale, and so planned again too.
    let mut words = bench.words();
    words.sort();
    assert_eq!(words.len(), 3, "{words:?}");
    assert!(words.iter().zip(["1*1", "2*1", "3*1"]).all(|(word, start)| word.starts_with(start)));
    assert_eq!(bench.leader.num_waiting(), 0);

    bench.publish("a");
    bench.pull(request("t", 1));
    bench.step(ConsumerInput::Tick);
    bench.log.clear();
    bench.step(ConsumerInput::Lost);
    bench.settle();
    assert_eq!(bench.words(), ["4*1>t"]);
}

#[test]
fn a_stream_replica_that_is_behind_holds_nothing_back_for_ever() {
    let mut bench = Bench::started(config(), &["a"; 3]);
    bench.pull(request("r", 3));
    bench.settle();
    bench.take_heard();
    // The next leader's replica of the stream has only the first message so far.
    let full = std::mem::replace(
        &mut bench.stream,
        Stream::new(StreamConfig { ..stream_config() }, Timestamp(0)),
    );
    bench.publish("a");
    bench.change_leader(false);
    bench.now = 100;
    bench.pull(request("s", 3));
    bench.settle();
    assert_eq!(bench.words(), ["1*2>s"]);
    assert_eq!(bench.pending(), [1, 2, 3], "what is not there yet is not removed");
    bench.stream = full;
    bench.settle();
    assert_eq!(bench.words(), ["2*2>s", "3*2>s"]);
}

/// A stream's replica is destroyed and another one begins on the same server, beside the consumer's leader.
#[test]
fn what_is_pending_is_right_when_the_stream_here_begins_anew() {
    let mut bench = Bench::started(config(), &["a", "a", "a"]);
    assert_eq!(bench.leader.num_pending(&bench.stream), 3);
    let young = Stream::new(stream_config(), Timestamp(0));
    assert_eq!(bench.leader.num_pending(&young), 0);
    assert_eq!(bench.leader.num_pending(&bench.stream), 3);
}
