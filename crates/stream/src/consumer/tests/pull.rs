//! Pull requests, and the statuses that end them.

use super::{Bench, Heard, config, request};
use crate::{AckKind, Closing, ConsumerConfig, ConsumerInput, PullRequest, Timestamp};

fn statuses(bench: &mut Bench) -> Vec<String> {
    let heard = bench.take_heard().into_iter();
    heard
        .filter_map(|heard| match heard {
            Heard::Status(status) => Some(status.header_block().replace("\r\n", "|")),
            _ => None,
        })
        .collect()
}

#[test]
fn a_request_times_out_with_what_it_did_not_get() {
    let mut bench = Bench::started(config(), &["a"]);
    let max_bytes = Some(1000);
    bench.pull(PullRequest { expires: Some(50), max_bytes, ..request("r", 5) });
    bench.settle();
    bench.take_heard();
    assert_eq!(bench.leader.next_deadline(&bench.state), Some(Timestamp(50)));
    bench.now = 50;
    bench.settle();
    // The message was 11 bytes and `$JS.ACK.S.C.1.1.1.0.0` 21.
    assert_eq!(
        statuses(&mut bench),
        ["NATS/1.0 408 Request Timeout|Nats-Pending-Messages: 4|Nats-Pending-Bytes: 968||"]
    );
    assert_eq!(bench.leader.num_waiting(), 0);
}

#[test]
fn a_timeout_comes_after_the_messages_under_way() {
    let mut bench = Bench::started(config(), &["a"]);
    bench.pull(PullRequest { expires: Some(50), ..request("r", 5) });
    bench.step(ConsumerInput::Tick);
    bench.now = 60;
    bench.step(ConsumerInput::Tick);
    assert!(bench.words().is_empty());
    bench.commit_one();
    assert_eq!(bench.words(), ["1*1>r", "408 Request Timeout>r"]);
}

#[test]
fn requests_that_do_not_wait() {
    let mut bench = Bench::started(config(), &[]);
    let no_wait = |reply, batch| PullRequest { no_wait: true, ..request(reply, batch) };
    bench.pull(no_wait("r", 2));
    assert_eq!(bench.words(), ["404 No Messages>r"]);
    // With an expiry it waits for a first message, and then takes what there is.
    bench.pull(PullRequest { expires: Some(100), ..no_wait("s", 5) });
    bench.settle();
    assert!(bench.words().is_empty());
    bench.publish("a");
    bench.publish("a");
    bench.settle();
    assert_eq!(bench.words(), ["1*1>s", "2*1>s", "404 No Messages>s"]);

    bench.publish("a");
    bench.pull(no_wait("t", 5));
    bench.settle();
    assert_eq!(bench.words(), ["3*1>t", "404 No Messages>t"]);
    // All there is goes to those who waited before.
    bench.pull(request("u", 5));
    bench.publish("a");
    bench.pull(no_wait("v", 1));
    bench.settle();
    assert_eq!(bench.words(), ["408 Requests Pending>v", "4*1>u"]);
}

#[test]
fn without_room_for_acknowledgements_a_request_that_does_not_wait_waits() {
    let mut bench =
        Bench::started(ConsumerConfig { max_ack_pending: Some(1), ..config() }, &["a"; 2]);
    bench.pull(PullRequest { no_wait: true, ..request("r", 2) });
    bench.settle();
    assert_eq!(bench.words(), ["1*1>r"]);
    bench.ack(1, AckKind::Ack, None);
    bench.settle();
    assert_eq!(bench.words(), ["2*1>r"]);
}

#[test]
fn bytes_end_a_request_before_they_are_exceeded() {
    let mut bench = Bench::started(config(), &["a"; 4]);
    // 32 bytes each, ack subject included.
    bench.pull(PullRequest { max_bytes: Some(70), ..request("r", 9) });
    bench.settle();
    let heard = bench.take_heard();
    assert_eq!(
        heard.iter().map(super::word).collect::<Vec<_>>(),
        ["1*1>r", "2*1>r", "409 Message Size Exceeds MaxBytes>r"]
    );
    bench.pull(PullRequest { max_bytes: Some(100), ..request("s", 1) });
    bench.settle();
    assert_eq!(
        statuses(&mut bench),
        ["NATS/1.0 409 Batch Completed|Nats-Pending-Messages: 0|Nats-Pending-Bytes: 68||"]
    );
    // Exactly enough: nothing to say.
    bench.pull(PullRequest { max_bytes: Some(32), ..request("t", 5) });
    bench.settle();
    assert_eq!(bench.words(), ["4*1>t"]);
    assert_eq!(bench.leader.num_waiting(), 0);
}

#[test]
fn limits_on_requests_are_named() {
    let strict = ConsumerConfig {
        max_request_batch: Some(2),
        max_request_expires: Some(90_000_000_000),
        max_request_max_bytes: Some(100),
        max_waiting: 1,
        ..config()
    };
    let mut bench = Bench::started(strict, &[]);
    bench.pull(request("r", 3));
    bench.pull(PullRequest { expires: Some(90_000_000_001), ..request("r", 1) });
    bench.pull(PullRequest { max_bytes: Some(101), ..request("r", 1) });
    bench.pull(request("waits", 1));
    bench.pull(request("r", 1));
    bench.pull(PullRequest { idle_heartbeat: Some(10), ..request("silent", 1) });
    assert_eq!(
        bench.words(),
        [
            "409 Exceeded MaxRequestBatch of 2>r",
            "409 Exceeded MaxRequestExpires of 1m30s>r",
            "409 Exceeded MaxRequestMaxBytes of 100>r",
            "409 Exceeded MaxWaiting>r",
        ]
    );
}

#[test]
fn an_expired_request_makes_room_for_the_next() {
    let mut bench = Bench::started(ConsumerConfig { max_waiting: 1, ..config() }, &[]);
    bench.pull(PullRequest { expires: Some(10), ..request("r", 1) });
    bench.now = 10;
    bench.pull(request("s", 1));
    assert_eq!(bench.words(), ["408 Request Timeout>r"]);
    assert_eq!(bench.leader.num_waiting(), 1);
}

#[test]
fn silence_is_broken_by_heartbeats() {
    let mut bench = Bench::started(config(), &["a"]);
    bench.pull(PullRequest { idle_heartbeat: Some(20), ..request("r", 5) });
    bench.now = 15;
    bench.settle();
    assert_eq!(bench.words(), ["1*1>r"]);
    bench.ack(1, AckKind::Ack, None);
    bench.settle();
    assert_eq!(bench.leader.next_deadline(&bench.state), Some(Timestamp(35)));
    bench.now = 35;
    bench.settle();
    assert_eq!(
        statuses(&mut bench),
        ["NATS/1.0 100 Idle Heartbeat|Nats-Last-Consumer: 1|Nats-Last-Stream: 1||"]
    );
    assert_eq!(bench.leader.next_deadline(&bench.state), Some(Timestamp(55)));
}

#[test]
fn whoever_is_gone_gets_nothing_and_others_get_it_at_once() {
    let mut bench = Bench::started(config(), &["a"]);
    bench.pull(request("r", 5));
    bench.step(ConsumerInput::Tick);
    bench.step(ConsumerInput::Gone("r"));
    assert_eq!(bench.leader.num_waiting(), 0);
    bench.pull(request("s", 5));
    bench.settle();
    assert_eq!(bench.words(), ["1*2>s"]);
}

#[test]
fn the_end_of_a_leader_is_told() {
    let cases = [
        (Closing::LeadershipChange, "NATS/1.0 409 Leadership Change||"),
        (Closing::Deleted, "NATS/1.0 409 Consumer Deleted||"),
        (
            Closing::ServerShutdown,
            "NATS/1.0 409 Server Shutdown|Nats-Pending-Messages: 3|Nats-Pending-Bytes: 0||",
        ),
    ];
    for (reason, expected) in cases {
        let mut bench = Bench::started(config(), &[]);
        bench.pull(request("r", 3));
        bench.settle();
        let mut effects = Vec::new();
        bench.leader.close(reason, &mut effects);
        bench.leader = super::Leader::new(2, Timestamp(0), &bench.stream, &bench.state);
        bench.carry_out(effects);
        assert_eq!(statuses(&mut bench), [expected]);
    }
}

#[test]
fn inactivity_is_reported_once_per_threshold() {
    let mut bench =
        Bench::started(ConsumerConfig { inactive_threshold: Some(1000), ..config() }, &[]);
    bench.pull(PullRequest { expires: Some(5000), ..request("r", 1) });
    bench.now = 4000;
    bench.settle();
    assert_eq!(bench.inactive, 0, "a waiting client is a client");
    bench.now = 5000;
    bench.settle();
    assert_eq!(bench.leader.next_deadline(&bench.state), Some(Timestamp(6000)));
    bench.now = 6000;
    bench.settle();
    assert_eq!(bench.inactive, 1);
    bench.settle();
    assert_eq!(bench.inactive, 1);
}
