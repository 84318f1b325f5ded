//! A consumer, its leader and a stream, with the log between them cranked by hand.

mod acks;
mod delivery;
mod machine;
mod pull;
mod swarm;

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    Ack, AckKind, Consumer, ConsumerAdvisory, ConsumerApplied, ConsumerEffect, ConsumerInput,
    Leader, PlannedSend, PullRequest, Status,
};
use crate::{
    AckPolicy, Applied, ConsumerConfig, DeliverPolicy, Discard, PublishBatchBuilder, Retention,
    StorageKind, Stream, StreamChange, StreamCommand, StreamConfig, Timestamp,
};

fn stream_config() -> StreamConfig {
    StreamConfig {
        name: "S".to_owned(),
        description: None,
        subjects: vec![">".to_owned()],
        retention: Retention::Limits,
        max_consumers: None,
        max_msgs: None,
        max_bytes: None,
        max_age: None,
        max_msgs_per_subject: None,
        max_msg_size: None,
        discard: Discard::Old,
        discard_new_per_subject: false,
        storage: StorageKind::File,
        replicas: 1,
        no_ack: false,
        duplicate_window: 0,
        placement: None,
        sealed: false,
        deny_delete: false,
        deny_purge: false,
        allow_rollup: false,
        allow_direct: false,
        first_seq: None,
        consumer_limits: Default::default(),
        metadata: Default::default(),
    }
}

/// A durable consumer `C` of everything, with explicit acknowledgements due within 100 ns.
fn config() -> ConsumerConfig {
    ConsumerConfig {
        name: "C".to_owned(),
        durable: true,
        description: None,
        deliver: DeliverPolicy::All,
        ack: AckPolicy::Explicit,
        ack_wait: 100,
        max_deliver: None,
        backoff: Vec::new(),
        filters: Vec::new(),
        filter_list: false,
        replay_original: false,
        sample_percent: None,
        max_waiting: 10,
        max_ack_pending: None,
        headers_only: false,
        max_request_batch: None,
        max_request_expires: None,
        max_request_max_bytes: None,
        inactive_threshold: None,
        replicas: 1,
        memory_storage: false,
        metadata: Default::default(),
    }
}

/// What clients heard, in order.
#[derive(Clone, Debug, PartialEq)]
enum Heard {
    Message(PlannedSend),
    Status(Status),
    Answer(Arc<str>),
}

struct Bench {
    stream: Stream,
    state: Consumer,
    leader: Leader,
    term: u64,
    now: i64,
    /// Proposed and not committed.
    log: VecDeque<Bytes>,
    heard: Vec<Heard>,
    advisories: Vec<ConsumerAdvisory>,
    inactive: u32,
    /// Every entry ever committed.
    committed: Vec<Bytes>,
}

impl Bench {
    fn new(config: ConsumerConfig) -> Self {
        Self::over(Stream::new(stream_config(), Timestamp(0)), config)
    }

    fn over(stream: Stream, config: ConsumerConfig) -> Self {
        let state = Consumer::new(config, Timestamp(0));
        let leader = Leader::new(1, Timestamp(0), &stream, &state);
        Self {
            stream,
            state,
            leader,
            term: 1,
            now: 0,
            log: VecDeque::new(),
            heard: Vec::new(),
            advisories: Vec::new(),
            inactive: 0,
            committed: Vec::new(),
        }
    }

    /// The same with messages on `subjects` in the stream, and the start committed.
    fn started(config: ConsumerConfig, subjects: &[&str]) -> Self {
        let mut bench = Self::new(config);
        subjects.iter().for_each(|subject| bench.publish(subject));
        bench.settle();
        bench
    }

    fn publish(&mut self, subject: &str) {
        let mut batch = PublishBatchBuilder::new();
        batch.push(subject, b"", b"0123456789").unwrap();
        let mut applied = Applied::default();
        self.stream.apply(&batch.finish(Timestamp(self.now)), &mut applied).unwrap();
        self.step(ConsumerInput::Shrank(&applied.removed));
    }

    fn change(&mut self, change: StreamChange) {
        let command = StreamCommand { time: Timestamp(self.now), change };
        let mut applied = Applied::default();
        self.stream.apply(&command.encode(), &mut applied).unwrap();
        self.step(ConsumerInput::Shrank(&applied.removed));
    }

    fn delete(&mut self, seq: u64) {
        self.change(StreamChange::Delete { seq, erase: false });
    }

    fn step(&mut self, input: ConsumerInput<'_>) {
        let mut effects = Vec::new();
        self.leader.step(Timestamp(self.now), input, &self.stream, &self.state, &mut effects);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<ConsumerEffect>) {
        for effect in effects {
            match effect {
                ConsumerEffect::Propose(entry) => self.log.push_back(entry),
                ConsumerEffect::Send(send) => self.heard.push(Heard::Message(send)),
                ConsumerEffect::Status(status) => self.heard.push(Heard::Status(status)),
                ConsumerEffect::AnswerAck(reply) => self.heard.push(Heard::Answer(reply)),
                ConsumerEffect::Advisory(advisory) => self.advisories.push(advisory),
                ConsumerEffect::Inactive => self.inactive += 1,
            }
        }
    }

    fn pull(&mut self, request: PullRequest) {
        self.step(ConsumerInput::Pull(request));
    }

    /// Commits the oldest proposal; `false` when there is none.
    fn commit_one(&mut self) -> bool {
        let Some(entry) = self.log.pop_front() else { return false };
        self.commit(entry);
        true
    }

    fn commit(&mut self, entry: Bytes) {
        let mut applied = ConsumerApplied::default();
        self.state.apply(&entry, &mut applied).unwrap();
        self.committed.push(entry);
        self.step(ConsumerInput::Committed(&applied));
    }

    /// Ends turns and commits until nothing happens any more.
    fn settle(&mut self) {
        for _ in 0..1000 {
            self.step(ConsumerInput::Tick);
            if !self.commit_one() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Another server leads, with what is in the log or without.
    fn change_leader(&mut self, keep_log: bool) {
        let log = std::mem::take(&mut self.log);
        if keep_log {
            for entry in log {
                let mut applied = ConsumerApplied::default();
                self.state.apply(&entry, &mut applied).unwrap();
                self.committed.push(entry);
            }
        }
        self.term += 1;
        self.leader = Leader::new(self.term, Timestamp(self.now), &self.stream, &self.state);
    }

    /// What was heard since the last call.
    fn take_heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// The same, shortened: `seq*deliveries>reply`, `code text>reply`, `+reply`.
    fn words(&mut self) -> Vec<String> {
        self.take_heard().iter().map(word).collect()
    }

    fn ack(&mut self, stream_seq: u64, kind: AckKind, reply: Option<&str>) {
        let pending = self.state.pending_message(stream_seq);
        let ack = Ack {
            stream_seq,
            consumer_seq: pending.map_or(1, |pending| pending.consumer_seq),
            deliveries: pending.map_or(1, |pending| pending.deliveries),
            kind,
            reply: reply.map(Into::into),
        };
        self.step(ConsumerInput::Ack(ack));
    }

    fn pending(&self) -> Vec<u64> {
        self.state.pending().map(|(seq, _)| seq).collect()
    }
}

fn word(heard: &Heard) -> String {
    match heard {
        Heard::Message(send) => {
            format!("{}*{}>{}", send.delivery.stream_seq, send.delivery.deliveries, send.reply)
        }
        Heard::Status(status) => format!("{} {}>{}", status.code, status.text, status.reply),
        Heard::Answer(reply) => format!("+{reply}"),
    }
}

/// A request of `batch` messages that waits for ever.
fn request(reply: &str, batch: u64) -> PullRequest {
    PullRequest {
        reply: reply.into(),
        batch,
        max_bytes: None,
        expires: None,
        no_wait: false,
        idle_heartbeat: None,
    }
}
