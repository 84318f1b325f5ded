//! A stream's state at one applied index, without what its segments say themselves.

use bytes::Bytes;
use flotilla_mutation::{Mutation, is_on};
use serde::{Deserialize, Serialize};

use super::{
    dedup::Dedup,
    filter::FilterSet,
    interest::{Interest, Interests},
    machine::Stream,
    messages::Messages,
    ranges::RangeSet,
};
use crate::{
    DamagedCommand, RecordMeta, SequenceRange, StorageKind, StreamConfig, Timestamp, codec,
    hash::RunningHash, sequence::UNREACHED,
};

/// The kind byte of a stream's base.
const KIND_STREAM_BASE: u8 = 16;

/// A base and records that do not make a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The base does not decode.
    #[error("the stream's base is damaged: {0}")]
    Base(#[from] DamagedCommand),
    /// The base contradicts itself.
    #[error("the stream's base is damaged: {0}")]
    Contradiction(&'static str),
    /// The records do not come in the order of their sequences.
    #[error("record {seq} comes after record {previous}")]
    OutOfOrder {
        /// The record.
        seq: u64,
        /// The one before.
        previous: u64,
    },
    /// A record's subject is not UTF-8.
    #[error("the subject of record {seq} is not UTF-8")]
    Subject {
        /// The record.
        seq: u64,
    },
    /// Records that must be there are not: fetch exactly these from a peer, and restore again.
    #[error("{} ranges of records are missing, the first is {:?}", .0.len(), .0.first())]
    Missing(Vec<SequenceRange>),
    /// All records are there, but their sum is not the base's.
    #[error("the records hold {found} bytes, the base says {expected}")]
    Bytes {
        /// The base's sum.
        expected: u64,
        /// The records' sum.
        found: u64,
    },
}

/// What is written: with field names, so that a field may be added with a default.
#[derive(Serialize, Deserialize)]
struct Base {
    config: StreamConfig,
    created: Timestamp,
    applied_time: Timestamp,
    first_seq: u64,
    last_seq: u64,
    last_time: Option<Timestamp>,
    messages: u64,
    bytes: u64,
    last_msg_id: Bytes,
    /// (id, sequence, time), in the order of times.
    dedup: Vec<(Bytes, u64, Timestamp)>,
    /// For each gap between the first and the last message: how many messages come before it since
    /// the gap before, and how many sequences it has. Small numbers take one byte each.
    gaps: Vec<(u64, u64)>,
    #[serde(default)]
    interests: Vec<InterestRow>,
    hash: u64,
}

/// What a registered consumer asks for, and is done with.
#[derive(Serialize, Deserialize)]
struct InterestRow {
    consumer: u64,
    filters: Vec<String>,
    done_below: u64,
    done: Vec<SequenceRange>,
}

impl InterestRow {
    fn new(consumer: u64, interest: &Interest) -> Self {
        let (done_below, done) = interest.done.parts();
        Self { consumer, filters: interest.filter.filters().to_vec(), done_below, done }
    }

    fn restore(self) -> (u64, Interest) {
        let mut done = RangeSet::below(self.done_below);
        let ranges = self.done.iter().filter_map(|run| SequenceRange::new(run.first, run.last));
        ranges.for_each(|range| done.insert(range));
        (self.consumer, Interest { filter: FilterSet::new(self.filters), done })
    }
}

impl Base {
    /// The runs of sequences that hold messages.
    fn live_ranges(&self) -> Result<Vec<SequenceRange>, RestoreError> {
        const GAPS: RestoreError = RestoreError::Contradiction("its gaps pass its last sequence");
        if self.first_seq.max(self.last_seq) >= UNREACHED {
            return Err(RestoreError::Contradiction("its sequences are out of reach"));
        }
        let mut live = Vec::new();
        let mut next = self.first_seq.max(1);
        for (messages, gap) in &self.gaps {
            let end = next.checked_add(*messages).ok_or(GAPS)?;
            live.extend(SequenceRange::new(next, end - 1));
            next = end.checked_add(*gap).ok_or(GAPS)?;
        }
        if next > self.last_seq.saturating_add(1) {
            return Err(GAPS);
        }
        live.extend(SequenceRange::new(next, self.last_seq));
        let held = live.iter().map(|range| range.count()).fold(0u64, u64::saturating_add);
        if held == self.messages {
            Ok(live)
        } else {
            Err(RestoreError::Contradiction("its gaps do not leave as many messages as it counts"))
        }
    }
}

impl Stream {
    /// All of the state but the messages themselves, to be kept with the applied index.
    #[must_use]
    pub fn base(&self) -> Bytes {
        let mut next = self.messages.first_seq.max(1);
        let gaps = self.messages.gaps().into_iter().map(|gap| {
            let before = gap.first - next;
            next = gap.last + 1;
            (before, gap.count())
        });
        let dedup = self.dedup.iter();
        let base = Base {
            gaps: gaps.collect(),
            config: self.config.clone(),
            created: self.created,
            applied_time: self.applied_time,
            first_seq: self.messages.first_seq,
            last_seq: self.messages.last_seq,
            last_time: self.messages.last_time,
            messages: self.messages.len(),
            bytes: self.messages.bytes,
            last_msg_id: Bytes::copy_from_slice(&self.last_msg_id),
            dedup: dedup
                .map(|seen| (Bytes::copy_from_slice(&seen.id), seen.seq, seen.time))
                .collect(),
            interests: self
                .interests
                .0
                .iter()
                .map(|(id, row)| InterestRow::new(*id, row))
                .collect(),
            hash: self.hash.value(),
        };
        codec::encode(KIND_STREAM_BASE, &base)
    }

    /// The first and the last sequence that a base knows of, and where its messages are kept. What segments hold
    /// outside is not part of it.
    ///
    /// # Errors
    /// When the base is damaged.
    pub fn extent_of_base(base: &[u8]) -> Result<(u64, u64, StorageKind), RestoreError> {
        let (kind, body) = codec::split(base)?;
        if kind != KIND_STREAM_BASE {
            return Err(DamagedCommand::UnknownKind(kind).into());
        }
        let base: Base = codec::decode_body(kind, body)?;
        Ok((base.first_seq, base.last_seq, base.config.storage))
    }

    /// The stream that gave `base`, from it and from what the segments hold. The host applies the log
    /// strictly after the base's index then.
    ///
    /// `records` come in the order of sequences. They may include messages that were removed before
    /// the base, or stored after it: those are passed over.
    ///
    /// # Errors
    /// When base or records are damaged. [`RestoreError::Missing`] names every range to repair.
    pub fn restore(
        base: &[u8],
        records: impl IntoIterator<Item = RecordMeta>,
    ) -> Result<Self, RestoreError> {
        let (kind, body) = codec::split(base)?;
        if kind != KIND_STREAM_BASE {
            return Err(DamagedCommand::UnknownKind(kind).into());
        }
        let base: Base = codec::decode_body(kind, body)?;
        let live = base.live_ranges()?;
        let mut messages = Messages::new(None, base.config.max_msgs_per_subject.is_some());
        messages.first_seq = base.first_seq;
        messages.last_seq = base.last_seq;
        messages.last_time = base.last_time;
        let missing = fill(&mut messages, live, records)?;
        if !missing.is_empty() {
            return Err(RestoreError::Missing(missing));
        }
        if messages.bytes != base.bytes {
            let (expected, found) = (base.bytes, messages.bytes);
            return Err(RestoreError::Bytes { expected, found });
        }
        let mut dedup = Dedup::default();
        let remembered = base.dedup.into_iter().filter(|_| !is_on(Mutation::WindowForgotten));
        for (id, seq, time) in remembered {
            dedup.insert(&id, seq, time);
        }
        Ok(Self {
            config: base.config,
            created: base.created,
            applied_time: base.applied_time,
            messages,
            dedup,
            interests: Interests(base.interests.into_iter().map(InterestRow::restore).collect()),
            last_msg_id: base.last_msg_id.to_vec(),
            hash: RunningHash::from_value(base.hash),
        })
    }
}

/// Adds the `records` that lie in the `live` ranges, and returns the parts of those without records.
fn fill(
    messages: &mut Messages,
    live: Vec<SequenceRange>,
    records: impl IntoIterator<Item = RecordMeta>,
) -> Result<Vec<SequenceRange>, RestoreError> {
    let mut live = live.into_iter();
    let mut wanted = live.next();
    let mut missing = Vec::new();
    let mut previous = None;
    for record in records {
        if let Some(previous) = previous.filter(|previous| *previous >= record.seq) {
            return Err(RestoreError::OutOfOrder { seq: record.seq, previous });
        }
        previous = Some(record.seq);
        while let Some(range) = wanted.filter(|range| range.last < record.seq) {
            missing.push(range);
            wanted = live.next();
        }
        let Some(range) = wanted.filter(|range| range.contains(record.seq)) else { continue };
        missing.extend(SequenceRange::new(range.first, record.seq - 1));
        let subject = std::str::from_utf8(&record.subject)
            .map_err(|_| RestoreError::Subject { seq: record.seq })?;
        messages.insert(record.seq, record.time, subject, record.size);
        wanted = SequenceRange::new(record.seq + 1, range.last).or_else(|| live.next());
    }
    missing.extend(wanted.into_iter().chain(live));
    Ok(missing)
}
