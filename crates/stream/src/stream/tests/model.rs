//! Random commands, applied to the stream and to a list of messages that is searched every time.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Bench, block, config};
use crate::{
    ChangeOutcome, Discard, FilterSet, PublishBatchBuilder, PublishError, PublishOutcome,
    StreamChange, StreamConfig, Timestamp, message_size,
};

#[derive(Clone, Debug)]
struct Kept {
    seq: u64,
    time: i64,
    subject: String,
    size: u64,
}

#[derive(Debug)]
struct Model {
    config: StreamConfig,
    kept: Vec<Kept>,
    last: u64,
    ids: BTreeMap<String, (u64, i64)>,
}

#[derive(Clone, Debug)]
struct Message {
    subject: String,
    id: Option<u8>,
    rollup: bool,
    length: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Publish(Vec<Message>),
    Delete(u64),
    Purge(Option<String>, Option<u64>, Option<u64>),
    Limit(Box<StreamConfig>),
    Expire,
}

impl Model {
    fn advance(&mut self, now: i64) {
        let window = self.config.duplicate_window as i64;
        self.ids.retain(|_, (_, time)| now - *time < window);
        if let Some(max_age) = self.config.max_age {
            self.kept.retain(|kept| now - kept.time < max_age as i64);
        }
    }

    fn of(&self, subject: &str) -> Vec<&Kept> {
        self.kept.iter().filter(|kept| kept.subject == subject).collect()
    }

    fn bytes(&self) -> u64 {
        self.kept.iter().map(|kept| kept.size).sum()
    }

    fn room(&self, message: &Message, size: u64) -> Result<(), PublishError> {
        if self.config.discard == Discard::Old {
            return Ok(());
        }
        let same = self.of(&message.subject);
        let full = self.config.max_msgs_per_subject.is_some_and(|max| same.len() as u64 >= max);
        if full && self.config.discard_new_per_subject && !message.rollup {
            return Err(PublishError::MaxMessagesPerSubject);
        }
        if !full && self.config.max_msgs.is_some_and(|max| self.kept.len() as u64 >= max) {
            return Err(PublishError::MaxMessages);
        }
        let fits = self.config.max_bytes.is_none_or(|max| self.bytes() + size <= max);
        let replaces = full && same[0].size >= size;
        if fits || replaces { Ok(()) } else { Err(PublishError::MaxBytes) }
    }

    fn enforce(&mut self) {
        if let Some(max) = self.config.max_msgs_per_subject {
            let mut newer: BTreeMap<String, u64> = BTreeMap::new();
            let mut keep: Vec<bool> = Vec::new();
            for kept in self.kept.iter().rev() {
                let count = newer.entry(kept.subject.clone()).or_default();
                *count += 1;
                keep.push(*count <= max);
            }
            keep.reverse();
            let mut keep = keep.into_iter();
            self.kept.retain(|_| keep.next().unwrap());
        }
        if self.config.discard == Discard::Old {
            let max_bytes = self.config.max_bytes.unwrap_or(u64::MAX);
            let max_msgs = self.config.max_msgs.unwrap_or(u64::MAX);
            while self.kept.len() as u64 > max_msgs || self.bytes() > max_bytes {
                self.kept.remove(0);
            }
        }
    }

    fn publish(&mut self, message: &Message, headers: usize, now: i64) -> PublishOutcome {
        let size =
            message_size(self.config.storage, message.subject.len(), headers, message.length);
        let id = message.id.map(|id| id.to_string());
        if let Some((seq, _)) = id.as_ref().and_then(|id| self.ids.get(id)) {
            return PublishOutcome::Duplicate { seq: *seq };
        }
        if let Err(error) = self.room(message, size) {
            return PublishOutcome::Refused(error);
        }
        self.last += 1;
        let seq = self.last;
        self.kept.push(Kept { seq, time: now, subject: message.subject.clone(), size });
        if let Some(id) = id {
            self.ids.insert(id, (seq, now));
        }
        self.enforce();
        if message.rollup {
            self.kept.retain(|kept| kept.seq == seq || kept.subject != message.subject);
        }
        PublishOutcome::Stored { seq }
    }

    fn purge(&mut self, filter: Option<&str>, up_to: Option<u64>, keep: Option<u64>) -> u64 {
        let before = self.kept.len() as u64;
        if up_to == Some(1) {
            return 0;
        }
        let matching: Vec<u64> = self
            .kept
            .iter()
            .filter(|kept| filter.is_none_or(|f| flotilla_subject::matches(f, &kept.subject)))
            .map(|kept| kept.seq)
            .collect();
        let keep = if filter.is_none() && up_to.is_some() { 0 } else { keep.unwrap_or(0) };
        let most = matching.len().saturating_sub(keep as usize);
        let end = up_to.unwrap_or(u64::MAX);
        let gone: Vec<u64> = matching.into_iter().filter(|seq| *seq < end).take(most).collect();
        self.kept.retain(|kept| !gone.contains(&kept.seq));
        if filter.is_none() && up_to.is_some() {
            self.last = self.last.max(end - 1);
        }
        before - self.kept.len() as u64
    }
}

fn subject() -> impl Strategy<Value = String> {
    (0..3u8, 0..4u8).prop_map(|(first, second)| format!("{first}.{second}"))
}

fn message() -> impl Strategy<Value = Message> {
    let id = proptest::option::weighted(0.3, 0..6u8);
    (subject(), id, proptest::bool::weighted(0.1), 0..40usize)
        .prop_map(|(subject, id, rollup, length)| Message { subject, id, rollup, length })
}

fn limits() -> impl Strategy<Value = StreamConfig> {
    use proptest::option::of;
    (of(1..12u64), of(40..600u64), of(20..200u64), of(1..4u64), any::<bool>(), any::<bool>())
        .prop_map(|(max_msgs, max_bytes, max_age, per_subject, new, new_per_subject)| {
            StreamConfig {
                max_msgs,
                max_bytes,
                max_age,
                max_msgs_per_subject: per_subject,
                discard: if new { Discard::New } else { Discard::Old },
                discard_new_per_subject: new_per_subject,
                duplicate_window: 60,
                ..config()
            }
        })
}

fn purge() -> impl Strategy<Value = Step> {
    let filter = prop_oneof![Just("0.*"), Just("*.1"), Just("1.>"), Just("2.2")];
    let filter = proptest::option::of(filter.prop_map(str::to_owned));
    (filter, proptest::option::of(1..60u64), proptest::option::of(1..5u64))
        .prop_map(|(filter, up_to, keep)| Step::Purge(filter, up_to, keep))
}

fn step() -> impl Strategy<Value = (i64, Step)> {
    let step = prop_oneof![
        8 => proptest::collection::vec(message(), 1..5).prop_map(Step::Publish),
        2 => (0..60u64).prop_map(Step::Delete),
        1 => purge(),
        1 => limits().prop_map(|limits| Step::Limit(Box::new(limits))),
        1 => Just(Step::Expire),
    ];
    (-5..20i64, step)
}

fn headers(message: &Message) -> Vec<u8> {
    let mut lines = Vec::new();
    lines.extend(message.id.map(|id| format!("Nats-Msg-Id: {id}")));
    lines.extend(message.rollup.then(|| "Nats-Rollup: sub".to_owned()));
    block(&lines.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Applies `step` to both and compares what they answer.
fn run(bench: &mut Bench, model: &mut Model, step: &Step, now: i64) {
    model.advance(now);
    match step {
        Step::Publish(messages) => {
            let mut batch = PublishBatchBuilder::new();
            for message in messages {
                let payload = vec![b'x'; message.length];
                batch.push(&message.subject, &headers(message), &payload).unwrap();
            }
            bench.apply(&batch.finish(Timestamp(bench.now)));
            let expected: Vec<_> = messages
                .iter()
                .map(|message| model.publish(message, headers(message).len(), now))
                .collect();
            assert_eq!(bench.applied.outcomes, expected);
        }
        Step::Delete(seq) => {
            let found = model.kept.iter().any(|kept| kept.seq == *seq);
            model.kept.retain(|kept| kept.seq != *seq);
            let outcome = bench.change(StreamChange::Delete { seq: *seq, erase: false });
            assert_eq!(matches!(outcome, ChangeOutcome::Deleted { .. }), found);
        }
        Step::Purge(filter, up_to, keep) => {
            let expected = model.purge(filter.as_deref(), *up_to, *keep);
            let (filter, up_to, keep) = (filter.clone(), *up_to, *keep);
            let outcome = bench.change(StreamChange::Purge { filter, up_to, keep });
            assert_eq!(outcome, ChangeOutcome::Purged { messages: expected });
        }
        Step::Limit(config) => {
            model.config = (**config).clone();
            model.advance(now);
            model.enforce();
            bench.change(StreamChange::Update(config.clone()));
        }
        Step::Expire => {
            bench.change(StreamChange::Expire);
        }
    }
}

fn compare(bench: &Bench, model: &Model, filter: &mut FilterSet, from: u64) {
    let stream = &bench.stream;
    assert_eq!(bench.sequences(), model.kept.iter().map(|kept| kept.seq).collect::<Vec<_>>());
    let state = stream.state();
    assert_eq!((state.messages, state.bytes), (model.kept.len() as u64, model.bytes()));
    assert_eq!(state.last_seq, model.last);
    assert_eq!(state.first_time, model.kept.first().map(|kept| Timestamp(kept.time)));
    if let Some(first) = model.kept.first() {
        assert_eq!(state.first_seq, first.seq);
        assert_eq!(state.num_deleted, model.last - first.seq + 1 - state.messages);
    } else if model.last > 0 {
        assert_eq!(state.first_seq, model.last + 1);
    }
    let deleted: u64 = stream.deleted().iter().map(|range| range.count()).sum();
    assert_eq!(deleted, state.num_deleted);

    let wanted: Vec<&Kept> =
        model.kept.iter().filter(|kept| filter.matches(&kept.subject)).collect();
    let ahead: Vec<u64> = wanted.iter().map(|kept| kept.seq).filter(|seq| *seq >= from).collect();
    assert_eq!(stream.next_match(filter, from), ahead.first().copied());
    assert_eq!(stream.count_matching(filter, from), ahead.len() as u64);
    assert_eq!(stream.last_match(filter), wanted.last().map(|kept| kept.seq));
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for kept in &wanted {
        last.insert(&kept.subject, kept.seq);
        *counts.entry(&kept.subject).or_default() += 1;
    }
    let mut last: Vec<u64> = last.into_values().collect();
    last.sort_unstable();
    assert_eq!(stream.last_per_subject(filter), last);
    let listed: Vec<_> = stream.subjects_matching("1.*").collect();
    let expected: Vec<_> =
        counts.into_iter().filter(|(subject, _)| subject.starts_with("1.")).collect();
    assert_eq!(listed, expected);
    for kept in &model.kept {
        assert_eq!(stream.subject_of(kept.seq), Some(&*kept.subject));
    }
}

proptest! {
    #[test]
    fn the_stream_is_the_model(
        limits in limits(),
        steps in proptest::collection::vec(step(), 1..40),
        from in 0..60u64,
    ) {
        let mut bench = Bench::new(limits.clone());
        let mut model = Model { config: limits, kept: Vec::new(), last: 0, ids: BTreeMap::new() };
        let mut filter = FilterSet::new(vec!["1.*".to_owned(), "*.3".to_owned()]);
        let mut now = 0;
        for (passed, step) in steps {
            bench.now = now + passed;
            now = now.max(bench.now);
            run(&mut bench, &mut model, &step, now);
            compare(&bench, &model, &mut filter, from);
        }
    }

    #[test]
    fn a_restored_stream_is_the_one_that_never_stopped(
        limits in limits(),
        before in proptest::collection::vec(step(), 1..30),
        after in proptest::collection::vec(step(), 1..10),
    ) {
        let mut bench = Bench::new(limits.clone());
        let mut model = Model { config: limits, kept: Vec::new(), last: 0, ids: BTreeMap::new() };
        let mut now = 0;
        for (passed, step) in before {
            bench.now = now + passed;
            now = now.max(bench.now);
            run(&mut bench, &mut model, &step, now);
        }
        let base = bench.stream.base();
        let restored = crate::Stream::restore(&base, bench.metas()).unwrap();
        prop_assert_eq!(restored.base(), base);
        prop_assert_eq!(restored.state(), bench.stream.state());

        let mut again = Bench::new(config());
        again.stream = restored;
        let mut twin = Model {
            config: model.config.clone(),
            kept: model.kept.clone(),
            last: model.last,
            ids: model.ids.clone(),
        };
        for (passed, step) in after {
            bench.now = now + passed;
            again.now = bench.now;
            now = now.max(bench.now);
            run(&mut bench, &mut model, &step, now);
            run(&mut again, &mut twin, &step, now);
            prop_assert_eq!(again.stream.hash(), bench.stream.hash());
            prop_assert_eq!(&again.applied.removed, &bench.applied.removed);
            prop_assert_eq!(again.stream.base(), bench.stream.base());
        }
    }
}
