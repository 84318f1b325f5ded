//! Messages are there exactly as long as consumers need them.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_subject::matches;
use proptest::prelude::*;

use super::{Bench, config};
use crate::{
    ChangeOutcome, PublishOutcome, Retention, SequenceRange, Stream, StreamChange, StreamConfig,
};

fn set(consumer: u64, filter: &str, new_only: bool) -> StreamChange {
    StreamChange::SetInterest { consumer, filters: vec![filter.to_owned()], new_only }
}

fn done(consumer: u64, first: u64, last: u64) -> StreamChange {
    StreamChange::Acknowledge { consumer, done: vec![SequenceRange { first, last }] }
}

#[test]
fn without_interest_a_message_only_takes_its_sequence() {
    let mut bench = Bench::new(StreamConfig { retention: Retention::Interest, ..config() });
    assert_eq!(bench.stored("a", ""), 1);
    assert!(bench.applied.stored.is_empty());
    bench.change(set(1, "a", false));
    assert_eq!((bench.stored("a", ""), bench.stored("b", "")), (2, 3));
    assert_eq!(bench.sequences(), [2]);
    // It is remembered all the same.
    let id = ["Nats-Msg-Id: x"];
    assert_eq!(bench.publish("b", &id, ""), PublishOutcome::Stored { seq: 4 });
    assert_eq!(bench.publish("b", &id, ""), PublishOutcome::Duplicate { seq: 4 });
    assert_eq!((bench.stream.first_seq(), bench.stream.last_seq()), (2, 4));
}

#[test]
fn the_last_consumer_to_be_done_removes() {
    let mut bench = Bench::new(StreamConfig { retention: Retention::Interest, ..config() });
    bench.change(set(1, ">", false));
    bench.change(set(2, "a", false));
    for subject in ["a", "b", "a"] {
        bench.stored(subject, "");
    }
    bench.change(set(3, "a", true));
    bench.change(done(1, 1, 3));
    assert_eq!(bench.sequences(), [1, 3]);
    bench.change(done(2, 3, 3));
    assert_eq!(bench.applied.removed, [SequenceRange::single(3)]);
    // A consumer that goes needs nothing; one that is unknown says nothing.
    bench.change(done(9, 1, 9));
    assert_eq!(bench.sequences(), [1]);
    bench.change(StreamChange::DropInterest { consumer: 2 });
    assert_eq!(bench.sequences(), [0u64; 0]);
}

#[test]
fn a_work_queue_drops_what_its_consumer_is_done_with() {
    let mut bench = Bench::new(StreamConfig { retention: Retention::WorkQueue, ..config() });
    for subject in ["a", "b", "a"] {
        bench.stored(subject, "");
    }
    assert_eq!(bench.sequences(), [1, 2, 3], "it waits for consumers to come");
    bench.change(set(1, "a", false));
    bench.change(done(1, 1, 2));
    assert_eq!(bench.sequences(), [2, 3], "what it passed over belongs to others");
    assert_eq!(bench.change(StreamChange::DropInterest { consumer: 1 }), ChangeOutcome::Updated);
    assert_eq!(bench.sequences(), [2, 3]);
}

#[test]
fn a_change_to_interest_drops_what_nobody_needs() {
    let mut bench = Bench::new(config());
    for subject in ["a", "b"] {
        bench.stored(subject, "");
    }
    bench.change(set(1, "b", false));
    bench.change(done(1, 1, 1));
    let interest = StreamConfig { retention: Retention::Interest, ..config() };
    bench.change(StreamChange::Update(Box::new(interest)));
    assert_eq!(bench.sequences(), [2]);
}

#[derive(Clone, Debug)]
enum Step {
    Publish(u8),
    Set(u64, u8, bool),
    Drop(u64),
    Done(u64, u64, u64),
    Delete(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3u8).prop_map(Step::Publish),
        2 => (0..3u64, 0..4u8, any::<bool>()).prop_map(|(id, filter, new)| Step::Set(id, filter, new)),
        1 => (0..3u64).prop_map(Step::Drop),
        6 => (0..3u64, 0..30u64, 0..5u64).prop_map(|(id, first, more)| Step::Done(id, first, more)),
        1 => (0..30u64).prop_map(Step::Delete),
        1 => Just(Step::Restart),
    ]
}

const FILTERS: [&str; 4] = ["s.0", "s.1", "s.*", ">"];

#[derive(Default)]
struct Model {
    kept: BTreeMap<u64, String>,
    last: u64,
    /// The filter, and what each consumer is done with.
    consumers: BTreeMap<u64, (&'static str, BTreeSet<u64>)>,
}

impl Model {
    fn drop_unneeded(&mut self) {
        let consumers = &self.consumers;
        self.kept.retain(|seq, subject| {
            consumers.values().any(|(filter, done)| matches(filter, subject) && !done.contains(seq))
        });
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Publish(subject) => {
                self.last += 1;
                self.kept.insert(self.last, format!("s.{subject}"));
                self.drop_unneeded();
            }
            Step::Set(consumer, filter, new_only) => {
                let done = if *new_only { (0..=self.last).collect() } else { BTreeSet::new() };
                let entry = self.consumers.entry(*consumer).or_insert(("", done));
                entry.0 = FILTERS[usize::from(*filter)];
                self.drop_unneeded();
            }
            Step::Drop(consumer) => {
                self.consumers.remove(consumer);
                self.drop_unneeded();
            }
            Step::Done(consumer, first, more) => {
                if let Some((_, done)) = self.consumers.get_mut(consumer) {
                    done.extend(*first..=first + more);
                }
                self.drop_unneeded();
            }
            Step::Delete(seq) => {
                self.kept.remove(seq);
            }
            Step::Restart => {}
        }
    }
}

fn run(bench: &mut Bench, step: &Step) {
    match step {
        Step::Publish(subject) => {
            bench.stored(&format!("s.{subject}"), "");
        }
        Step::Set(consumer, filter, new_only) => {
            bench.change(set(*consumer, FILTERS[usize::from(*filter)], *new_only));
        }
        Step::Drop(consumer) => {
            bench.change(StreamChange::DropInterest { consumer: *consumer });
        }
        Step::Done(consumer, first, more) => {
            bench.change(done(*consumer, *first, first + more));
            let hash = bench.stream.state();
            bench.change(done(*consumer, *first, first + more));
            assert_eq!(bench.stream.state(), hash, "twice changes nothing");
        }
        Step::Delete(seq) => {
            bench.change(StreamChange::Delete { seq: *seq, erase: false });
        }
        Step::Restart => {
            let base = bench.stream.base();
            bench.stream = Stream::restore(&base, bench.metas()).unwrap();
            assert_eq!(bench.stream.base(), base);
        }
    }
}

proptest! {
    #[test]
    fn a_message_is_there_iff_a_consumer_needs_it(
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let interest = StreamConfig { retention: Retention::Interest, ..config() };
        let (mut bench, mut model) = (Bench::new(interest), Model::default());
        for step in &steps {
            // Only what was stored can be done with.
            let step = match step {
                Step::Done(_, first, _) if *first > model.last => continue,
                Step::Done(id, first, more) => {
                    Step::Done(*id, *first, (*more).min(model.last - first))
                }
                other => other.clone(),
            };
            run(&mut bench, &step);
            model.run(&step);
            let kept: Vec<u64> = model.kept.keys().copied().collect();
            prop_assert_eq!(bench.sequences(), kept, "{:?}", step);
            prop_assert_eq!(bench.stream.last_seq(), model.last);
        }
    }
}
