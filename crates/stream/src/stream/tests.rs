//! The stream against a naive model, and each rule of publishing by itself.

mod interest;
mod limits;
mod model;
mod publish;
mod restore;

use bytes::Bytes;

use crate::{
    Applied, ChangeOutcome, Discard, PublishBatchBuilder, PublishOutcome, Record, RecordMeta,
    Retention, StorageKind, Stream, StreamChange, StreamCommand, StreamConfig, Timestamp,
};

/// A file stream `S` on all subjects, without limits, with a window of 1,000 ns for ids.
fn config() -> StreamConfig {
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
        duplicate_window: 1000,
        placement: None,
        sealed: false,
        deny_delete: false,
        deny_purge: false,
        allow_rollup: true,
        allow_direct: false,
        first_seq: None,
        consumer_limits: Default::default(),
        metadata: Default::default(),
    }
}

/// A stream with what its segments would hold, and a hand-cranked clock.
struct Bench {
    stream: Stream,
    records: Vec<Record>,
    now: i64,
    applied: Applied,
}

impl Bench {
    fn new(config: StreamConfig) -> Self {
        let stream = Stream::new(config, Timestamp(0));
        Self { stream, records: Vec::new(), now: 1, applied: Applied::default() }
    }

    fn apply(&mut self, command: &Bytes) {
        self.stream.apply(command, &mut self.applied).unwrap();
        self.records.extend(self.applied.stored.iter().cloned());
    }

    /// Publishes one message with `headers` as lines without CRLF.
    fn publish(&mut self, subject: &str, headers: &[&str], payload: &str) -> PublishOutcome {
        let mut batch = PublishBatchBuilder::new();
        batch.push(subject, &block(headers), payload.as_bytes()).unwrap();
        self.apply(&batch.finish(Timestamp(self.now)));
        self.applied.outcomes[0].clone()
    }

    fn stored(&mut self, subject: &str, payload: &str) -> u64 {
        match self.publish(subject, &[], payload) {
            PublishOutcome::Stored { seq } => seq,
            other => panic!("not stored: {other:?}"),
        }
    }

    fn change(&mut self, change: StreamChange) -> ChangeOutcome {
        let command = StreamCommand { time: Timestamp(self.now), change };
        self.apply(&command.encode());
        self.applied.change.clone().unwrap()
    }

    fn sequences(&self) -> Vec<u64> {
        self.stream.messages.index.iter_from(0).map(|(seq, _)| seq).collect()
    }

    /// What the segments say of all records ever stored, also of those removed since.
    fn metas(&self) -> Vec<RecordMeta> {
        self.records.iter().map(|record| meta(&self.stream, record)).collect()
    }
}

fn meta(stream: &Stream, record: &Record) -> RecordMeta {
    let (subject, headers) = (usize::from(record.subject_len), usize::from(record.headers_len));
    let size = stream.message_size(subject, headers, record.body.len() - subject - headers);
    RecordMeta {
        seq: record.seq,
        time: record.time,
        subject: record.body.slice(..subject),
        size: u32::try_from(size).unwrap(),
    }
}

fn block(headers: &[&str]) -> Vec<u8> {
    if headers.is_empty() {
        return Vec::new();
    }
    let mut block = "NATS/1.0\r\n".to_owned();
    for line in headers {
        block.push_str(line);
        block.push_str("\r\n");
    }
    (block + "\r\n").into_bytes()
}
