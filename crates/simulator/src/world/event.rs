//! What is to happen, and when.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use bytes::Bytes;
use flotilla_disk::SpareJob;
use flotilla_host::Answer;
use flotilla_raft::StoreId;

use super::calls::CallNumber;
use super::watch::Beat;

/// One event. Those of a server name the life that they belong to: a later one knows nothing of them.
#[derive(Debug)]
pub(crate) enum Event {
    Timer(u64),
    Turn {
        store: StoreId,
        boot: u64,
        shard: usize,
    },
    /// The disk has synced what was written to the log.
    Synced {
        store: StoreId,
        boot: u64,
    },
    /// The log's writer looks for something to write.
    LogWork {
        store: StoreId,
        boot: u64,
    },
    /// The log's writer had nothing to do since the write of that number.
    LogIdle {
        store: StoreId,
        boot: u64,
        writes: u64,
    },
    SpareDone {
        store: StoreId,
        boot: u64,
        job: SpareJob,
    },
    /// The oldest job on segments comes to its end.
    JobDone {
        store: StoreId,
        boot: u64,
    },
    Frame {
        to: StoreId,
        from: StoreId,
        epoch: u64,
        frame: Bytes,
    },
    /// A server sends its sign of life.
    Beat {
        store: StoreId,
        boot: u64,
    },
    BeatArrives {
        to: StoreId,
        from: StoreId,
        beat: Beat,
    },
    /// A server judges who lives.
    Watch {
        store: StoreId,
        boot: u64,
    },
    /// `store` notices that the link to `from` is gone.
    Unlinked {
        store: StoreId,
        from: StoreId,
    },
    /// A link on which nothing gets through for so long is given up.
    LinkStalls {
        a: StoreId,
        b: StoreId,
        epoch: u64,
    },
    LinkUp {
        a: StoreId,
        b: StoreId,
        epoch: u64,
    },
    CallArrives {
        to: StoreId,
        number: CallNumber,
    },
    AnswerArrives {
        number: CallNumber,
        answer: Option<Box<Answer>>,
    },
    CallExpires {
        number: CallNumber,
    },
    Register {
        store: StoreId,
        boot: u64,
    },
}

impl Event {
    /// The server that must be awake for it.
    pub(super) fn server(&self) -> Option<StoreId> {
        match self {
            Self::Turn { store, .. }
            | Self::Synced { store, .. }
            | Self::LogWork { store, .. }
            | Self::LogIdle { store, .. }
            | Self::SpareDone { store, .. }
            | Self::JobDone { store, .. }
            | Self::Beat { store, .. }
            | Self::Watch { store, .. }
            | Self::Unlinked { store, .. }
            | Self::Register { store, .. } => Some(*store),
            Self::Frame { to, .. }
            | Self::BeatArrives { to, .. }
            | Self::CallArrives { to, .. } => Some(*to),
            _ => None,
        }
    }
}

struct Scheduled {
    time: u64,
    order: u64,
    event: Event,
}

impl Scheduled {
    fn key(&self) -> (u64, u64) {
        (self.time, self.order)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// The events to come.
#[derive(Default)]
pub(super) struct Queue(BinaryHeap<Reverse<Scheduled>>);

impl Queue {
    pub(super) fn push(&mut self, time: u64, order: u64, event: Event) {
        self.0.push(Reverse(Scheduled { time, order, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Event)> {
        self.0.pop().map(|Reverse(next)| (next.time, next.event))
    }
}
