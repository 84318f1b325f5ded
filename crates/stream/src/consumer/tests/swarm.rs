//! Random clients, leaders and losses; what must hold at every step, and at the end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{Bench, Heard, config, request};
use crate::{
    AckKind, AckPolicy, Consumer, ConsumerApplied, ConsumerConfig, ConsumerInput, DeliverPolicy,
    PullRequest, StreamChange,
};

#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    Pull { batch: u64, expires: u64, no_wait: bool, max_bytes: Option<u64> },
    Ack(u64),
    Nak(u64, u64),
    Term(u64),
    Progress(u64),
    Delete(u64),
    Purge(u64),
    Commit,
    Tick,
    Pass(i64),
    NewLeader(bool),
    LoseOne,
    LoseAll,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let seq = 1..40u64;
    prop_oneof![
        6 => (0..4u8).prop_map(Step::Publish),
        4 => (1..5u64, 1..200u64, any::<bool>(), proptest::option::of(20..120u64))
            .prop_map(|(batch, expires, no_wait, max_bytes)| Step::Pull {
                batch, expires, no_wait, max_bytes
            }),
        6 => seq.clone().prop_map(Step::Ack),
        1 => (seq.clone(), 0..50u64).prop_map(|(seq, delay)| Step::Nak(seq, delay)),
        1 => seq.clone().prop_map(Step::Term),
        1 => seq.clone().prop_map(Step::Progress),
        1 => seq.clone().prop_map(Step::Delete),
        1 => seq.prop_map(Step::Purge),
        8 => Just(Step::Commit),
        8 => Just(Step::Tick),
        3 => (1..80i64).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::NewLeader),
        1 => Just(Step::LoseOne),
        1 => Just(Step::LoseAll),
        1 => Just(Step::Restart),
    ]
}

fn consumer() -> impl Strategy<Value = ConsumerConfig> {
    let filters = prop_oneof![
        Just(vec![]),
        Just(vec!["s.1".to_owned()]),
        Just(vec!["s.0".to_owned(), "s.3".to_owned()]),
    ];
    let deliver = prop_oneof![
        3 => Just(DeliverPolicy::All),
        1 => Just(DeliverPolicy::LastPerSubject),
        1 => Just(DeliverPolicy::Last),
    ];
    let ack = prop_oneof![4 => Just(AckPolicy::Explicit), 1 => Just(AckPolicy::All)];
    (filters, deliver, ack, proptest::option::of(1..4u64), proptest::option::of(2..5u64)).prop_map(
        |(filters, deliver, ack, max_deliver, max_ack_pending)| ConsumerConfig {
            filters,
            deliver,
            ack,
            max_deliver,
            max_ack_pending,
            ..config()
        },
    )
}

/// What the clients know.
#[derive(Default)]
struct Witness {
    /// Messages whose acknowledgement was answered.
    confirmed: BTreeSet<u64>,
    /// Messages delivered at least once.
    delivered: BTreeSet<u64>,
    asked: BTreeMap<String, u64>,
    got: BTreeMap<String, u64>,
    ended: BTreeSet<String>,
    requests: u64,
    floor: (u64, u64),
    last_number: u64,
}

impl Witness {
    fn hear(&mut self, bench: &mut Bench) {
        let config = bench.state.config().clone();
        for heard in bench.take_heard() {
            match heard {
                Heard::Message(send) => {
                    let seq = send.delivery.stream_seq;
                    assert!(!self.confirmed.contains(&seq), "{seq} again after its confirmation");
                    assert!(!self.ended.contains(&*send.reply), "{} was over", send.reply);
                    let got = self.got.entry(send.reply.to_string()).or_default();
                    *got += 1;
                    assert!(*got <= self.asked[&*send.reply], "more than asked");
                    assert!(config.max_deliver.is_none_or(|max| send.delivery.deliveries <= max));
                    assert!(send.delivery.consumer_seq > self.last_number, "numbers grow");
                    self.last_number = send.delivery.consumer_seq;
                    let subject = bench.stream.subject_of(seq).expect("only what is there");
                    let wanted = |filter: &String| flotilla_subject::matches(filter, subject);
                    assert!(config.filters.is_empty() || config.filters.iter().any(wanted));
                    self.delivered.insert(seq);
                }
                Heard::Status(status) => {
                    self.ended.insert(status.reply.to_string());
                }
                Heard::Answer(reply) => {
                    // `ack.<seq>`
                    self.confirmed.insert(reply[4..].parse().unwrap());
                }
            }
        }
    }

    fn check(&mut self, bench: &Bench) {
        let (floor, delivered) = (bench.state.ack_floor(), bench.state.delivered());
        assert!(floor.stream_seq <= delivered.stream_seq);
        assert!(floor.consumer_seq <= delivered.consumer_seq);
        assert!(floor.stream_seq >= self.floor.0 && floor.consumer_seq >= self.floor.1);
        self.floor = (floor.stream_seq, floor.consumer_seq);
        let max = bench.state.config().max_ack_pending.unwrap_or(u64::MAX);
        assert!(bench.state.num_ack_pending() as u64 <= max);
    }
}

fn run(bench: &mut Bench, witness: &mut Witness, step: &Step) {
    match step {
        Step::Publish(subject) => bench.publish(&format!("s.{subject}")),
        Step::Pull { batch, expires, no_wait, max_bytes } => {
            witness.requests += 1;
            let reply = format!("r{}", witness.requests);
            witness.asked.insert(reply.clone(), *batch);
            let request = request(&reply, *batch);
            let (expires, no_wait, max_bytes) = (Some(*expires), *no_wait, *max_bytes);
            bench.pull(PullRequest { expires, no_wait, max_bytes, ..request });
        }
        Step::Ack(seq) if witness.delivered.contains(seq) => {
            bench.ack(*seq, AckKind::Ack, Some(&format!("ack.{seq}")));
        }
        Step::Term(seq) if witness.delivered.contains(seq) => {
            bench.ack(*seq, AckKind::Term { reason: String::new() }, None);
        }
        Step::Nak(seq, delay) => bench.ack(*seq, AckKind::Nak { delay: *delay }, None),
        Step::Progress(seq) => bench.ack(*seq, AckKind::Progress, None),
        Step::Delete(seq) => bench.delete(*seq),
        Step::Purge(seq) => {
            // Only what exists: a jump beyond the end would leave the later steps nothing to do.
            let up_to = Some((*seq).min(bench.stream.last_seq()));
            bench.change(StreamChange::Purge { filter: None, up_to, keep: None });
        }
        Step::Commit => {
            bench.commit_one();
        }
        Step::Pass(time) => bench.now += time,
        Step::NewLeader(keep_log) => bench.change_leader(*keep_log),
        Step::LoseOne => {
            bench.log.pop_front();
        }
        Step::LoseAll => {
            bench.log.clear();
            bench.step(ConsumerInput::Lost);
        }
        Step::Restart => {
            bench.log.clear();
            bench.state = Consumer::restore(&bench.state.base()).unwrap();
            bench.change_leader(false);
        }
        Step::Tick | Step::Ack(_) | Step::Term(_) => bench.step(ConsumerInput::Tick),
    }
}

/// All faults off: a client that asks and acknowledges gets everything, once the waits are over.
fn quiesce(bench: &mut Bench, witness: &mut Witness) {
    bench.step(ConsumerInput::Lost);
    for _ in 0..200 {
        bench.now += 60;
        witness.requests += 1;
        let reply = format!("r{}", witness.requests);
        witness.asked.insert(reply.clone(), 100);
        bench.pull(PullRequest { no_wait: true, expires: Some(1), ..request(&reply, 100) });
        bench.settle();
        witness.hear(bench);
        witness.check(bench);
        for seq in bench.pending().into_iter().filter(|seq| witness.delivered.contains(seq)) {
            bench.ack(seq, AckKind::Ack, Some(&format!("ack.{seq}")));
        }
        bench.settle();
        witness.hear(bench);
    }
    assert_eq!(bench.pending(), [0u64; 0]);
    assert_eq!(bench.leader.num_pending(&bench.stream), 0);
    assert_eq!(bench.state.ack_floor().consumer_seq, bench.state.delivered().consumer_seq);
}

proptest! {
    #[test]
    fn clients_get_what_they_must_and_nothing_else(
        config in consumer(),
        before in proptest::collection::vec(0..4u8, 0..8),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut bench = Bench::new(config.clone());
        before.iter().for_each(|subject| bench.publish(&format!("s.{subject}")));
        let mut witness = Witness::default();
        for step in &steps {
            run(&mut bench, &mut witness, step);
            witness.hear(&mut bench);
            witness.check(&bench);
        }
        quiesce(&mut bench, &mut witness);

        // With every message wanted, none that is still there was left out. (With policy "all" an
        // acknowledgement covers what a lost leader recorded and never sent.)
        if config.deliver == DeliverPolicy::All && config.ack == AckPolicy::Explicit {
            let mut filter = crate::FilterSet::new(config.filters.clone());
            let there: Vec<u64> = bench.stream.matches_from(&mut filter, 0).collect();
            let given_up: BTreeSet<u64> = bench.state.given_up().map(|(seq, _)| seq).collect();
            for seq in there {
                prop_assert!(
                    witness.delivered.contains(&seq) || given_up.contains(&seq),
                    "{} was never delivered", seq
                );
            }
        }
        // What its entries said it is done with adds up to what it is done with.
        let open = |seq: &u64| {
            bench.state.pending_message(*seq).is_some() || bench.state.is_given_up(*seq)
        };
        let all: BTreeSet<u64> = (1..bench.state.cursor()).filter(|seq| !open(seq)).collect();
        let listed: BTreeSet<u64> =
            bench.state.done().iter().flat_map(|range| range.first..=range.last).collect();
        prop_assert_eq!(&listed, &all);
        let mut said = BTreeSet::new();
        // A replica that applied the same entries is the same.
        let mut twin = Consumer::new(config, crate::Timestamp(0));
        let mut applied = ConsumerApplied::default();
        for entry in &bench.committed {
            twin.apply(entry, &mut applied).unwrap();
            said.extend(applied.done.iter().flat_map(|range| range.first..=range.last));
        }
        prop_assert_eq!(said, all);
        prop_assert_eq!(twin.hash(), bench.state.hash());
        prop_assert_eq!(twin.base(), bench.state.base());
    }

    #[test]
    fn the_count_of_what_is_to_come_is_exact(
        config in consumer(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let mut bench = Bench::new(ConsumerConfig { deliver: DeliverPolicy::All, ..config });
        bench.settle();
        let mut witness = Witness::default();
        for step in &steps {
            run(&mut bench, &mut witness, step);
            witness.hear(&mut bench);
            let cursor = bench.leader.upcoming.cursor();
            let mut filter = crate::FilterSet::new(bench.state.config().filters.clone());
            let ahead = bench.stream.matches_from(&mut filter, cursor).count() as u64;
            prop_assert_eq!(bench.leader.num_pending(&bench.stream), ahead);
        }
    }
}
