//! A stream on this server: its machine, its segments, and what its leader owes to clients.
//!
//! `publish` is the way of a message from a client into an entry and of its acknowledgement back; `apply` what a
//! committed entry does; `answer` what the API asks; `checkpoint` how the log is let go; `compare` whether replicas hold the
//! same.

mod answer;
mod apply;
mod checkpoint;
mod compare;
mod inbound;
mod pace;
mod publish;
mod room;
pub(crate) mod staging;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use flotilla_disk::{Disk, SegmentError, SegmentOptions, SegmentStore, Staging, StagingError};
use flotilla_raft::GroupId;
use flotilla_stream::{RecordMeta, RestoreError, SequenceRange, Stream, Timestamp, message_size};

use crate::request::CallId;
use crate::time::GroupTime;
use crate::turn::Cx;

pub use inbound::{Capacity, Inbound, InboundMessage};

/// The machine of a stream's group.
pub(crate) struct StreamMachine {
    group: GroupId,
    pub(crate) account: Arc<str>,
    pub(crate) stream: Stream,
    pub(crate) segments: SegmentStore,
    /// Messages of clients that are not yet in an entry.
    queue: VecDeque<Inbound>,
    pub(crate) queue_bytes: usize,
    queue_messages: usize,
    pace: pace::Pace,
    /// What waits for the entry at an index to be applied, and the term it must have.
    pending: BTreeMap<u64, (u64, Owed)>,
    pending_bytes: usize,
    /// Whether messages came or went since the consumers were last told.
    pub(crate) touched: bool,
    /// What went since then.
    pub(crate) removed: Vec<SequenceRange>,
    /// The index through which it was applied when some last went.
    pub(crate) removed_at: u64,
    /// A message that the index has cannot be read here: somebody else is to lead.
    pub(crate) unreadable: bool,
    /// Messages to be erased from the disk, and where in the log they were removed, ascending.
    erasures: Vec<(u64, u64)>,
    /// Whether an entry that moves time is on its way.
    expiring: bool,
    /// Whether a configuration is on its way.
    pub(crate) updating: bool,
    pub(crate) led_since: Option<Timestamp>,
    checkpoint: checkpoint::Checkpoint,
    comparison: compare::Comparison,
    time: GroupTime,
}

/// What is owed for an entry.
enum Owed {
    /// Acknowledgements, of the messages of a batch.
    Acks {
        /// Where to, for each of them.
        replies: publish::Replies,
        /// The bytes of the entry.
        bytes: usize,
        /// When it was proposed.
        at: u64,
    },
    /// The answer to a call.
    Answer(CallId),
    /// Nothing; the leader proposed it by itself.
    Nothing,
}

impl StreamMachine {
    pub(crate) fn new(
        account: Arc<str>,
        group: GroupId,
        stream: Stream,
        segments: SegmentStore,
    ) -> Self {
        Self {
            group,
            account,
            stream,
            segments,
            queue: VecDeque::new(),
            queue_bytes: 0,
            queue_messages: 0,
            pace: pace::Pace::default(),
            pending: BTreeMap::new(),
            pending_bytes: 0,
            touched: false,
            removed: Vec::new(),
            removed_at: 0,
            unreadable: false,
            erasures: Vec::new(),
            expiring: false,
            updating: false,
            led_since: None,
            checkpoint: checkpoint::Checkpoint::default(),
            comparison: compare::Comparison::default(),
            time: GroupTime::default(),
        }
    }

    /// The time in this group.
    fn now(&mut self, cx: &Cx) -> Timestamp {
        self.time.now(cx.now, self.stream.applied_time())
    }
}

/// Why a stream does not open, and what would help.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Messages are missing: the segment that holds the first of them has to come from a peer.
    #[error("its segments lost messages, the first is {seq}")]
    Segment {
        /// That one.
        seq: u64,
        /// The last message that the base knows of.
        through: u64,
    },
    /// Base and segments contradict each other: both have to come from a peer.
    #[error("its state is damaged: {0}")]
    State(String),
    /// A peer's copy would not help.
    #[error("{0}")]
    Hopeless(String),
}

impl From<SegmentError> for OpenError {
    fn from(error: SegmentError) -> Self {
        Self::Hopeless(error.to_string())
    }
}

/// Opens a stream at a base: its segments through the base's last sequence, and the index that they give.
pub(crate) fn open(
    disk: &dyn Disk,
    group: GroupId,
    index: u64,
    state: &Bytes,
    options: SegmentOptions,
) -> Result<(Stream, SegmentStore), OpenError> {
    let damaged = |error: RestoreError| OpenError::State(error.to_string());
    Staging::new(group).switch(disk, index).map_err(|error| match error {
        StagingError::Disk(error) => OpenError::Hopeless(error.to_string()),
        error => OpenError::State(error.to_string()),
    })?;
    let (_, last, storage) = Stream::extent_of_base(state).map_err(damaged)?;
    let mut records = Vec::new();
    let opened = SegmentStore::open(disk, group, last, options, &mut |meta| {
        let (headers, payload) = (meta.headers_len as usize, meta.payload_len as usize);
        let size = message_size(storage, meta.subject.len(), headers, payload);
        let time = Timestamp(meta.time);
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        records.push(RecordMeta { seq: meta.seq, time, subject: meta.subject, size });
    })?;
    if let Some(damage) = opened.damage.first() {
        return Err(OpenError::Segment { seq: damage.first, through: last });
    }
    match Stream::restore(state, records) {
        Ok(stream) => Ok((stream, opened.store)),
        Err(RestoreError::Missing(ranges)) => {
            let seq = ranges.first().map_or(1, |range| range.first);
            Err(OpenError::Segment { seq, through: last })
        }
        Err(error) => Err(damaged(error)),
    }
}

/// The groups that have files here.
pub(crate) fn folders(disk: &dyn Disk) -> impl Iterator<Item = GroupId> {
    let names = disk.list("streams").unwrap_or_default().into_iter();
    let number = |name: String| u64::from_str_radix(&name, 16).ok().filter(|_| name.len() == 16);
    names.filter_map(number).map(GroupId)
}

/// The segments of a stream that has not begun: whatever lies there belongs to nobody.
pub(crate) fn open_empty(
    disk: &dyn Disk,
    group: GroupId,
    options: SegmentOptions,
) -> Result<SegmentStore, OpenError> {
    Ok(SegmentStore::open(disk, group, 0, options, &mut |_| ())?.store)
}
