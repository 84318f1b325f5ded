//! The frames that wait on one lane.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::Notify;

/// One frame in parts that need not lie together in memory.
pub type Parts = SmallVec<[Bytes; 4]>;

/// Bytes handed to a writer at a time.
const BATCH: usize = 512 * 1024;

/// What a place in the queue counts.
const ENTRY: usize = size_of::<Parts>();

/// A bounded queue of frames: any thread pushes, one writer takes.
#[derive(Debug)]
pub(crate) struct Outbox {
    limit: usize,
    state: Mutex<State>,
    /// Wakes the writer.
    ready: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Parts>,
    /// Bytes in `frames` and in the batch that the writer holds.
    queued: usize,
    /// No frame may follow; the writer ends the stream when all are written.
    finished: bool,
}

/// A frame was not accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    Full { queued: usize },
    Finished,
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default(), ready: Notify::new() }
    }

    /// Queues a frame of `length` bytes in all, unless that takes the queue above its limit. An
    /// empty queue takes any frame.
    pub(crate) fn push(&self, frame: Parts, length: usize) -> Result<(), PushError> {
        let mut state = self.state();
        if state.finished {
            return Err(PushError::Finished);
        }
        if state.queued > 0 && state.queued.saturating_add(weight(length)) > self.limit {
            return Err(PushError::Full { queued: state.queued });
        }
        state.queued += weight(length);
        state.frames.push_back(frame);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Bytes not yet taken over by QUIC.
    pub(crate) fn queued(&self) -> usize {
        self.state().queued
    }

    /// Lets the writer write what waits, then end.
    pub(crate) fn finish(&self) {
        self.state().finished = true;
        self.ready.notify_one();
    }

    /// Drops what waits and lets the writer end.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.finished = true;
        state.frames.clear();
        drop(state);
        self.ready.notify_one();
    }

    /// Waits for frames and moves the oldest of them to `batch`; `None` after the last one. They
    /// count as queued until [`written`](Self::written). For one caller at a time; nothing is lost
    /// when the future is dropped.
    pub(crate) async fn take(&self, batch: &mut Vec<Parts>) -> Option<usize> {
        loop {
            match self.take_now(batch) {
                Some(0) => self.ready.notified().await,
                other => return other,
            }
        }
    }

    /// As [`take`](Self::take); `Some(0)` if nothing waits.
    fn take_now(&self, batch: &mut Vec<Parts>) -> Option<usize> {
        let mut state = self.state();
        if state.frames.is_empty() {
            return if state.finished { None } else { Some(0) };
        }
        let mut bytes = 0;
        while bytes < BATCH {
            let Some(frame) = state.frames.pop_front() else { break };
            bytes += weight(length(&frame));
            batch.push(frame);
        }
        Some(bytes)
    }

    /// Forgets `frames` that QUIC has taken over.
    pub(crate) fn written(&self, bytes: usize) {
        let mut state = self.state();
        state.queued = state.queued.saturating_sub(bytes);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves the counters right: each update is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a frame counts towards a limit: its length and something for its place in the queue, so
/// that the queue is bounded for empty frames too.
fn weight(length: usize) -> usize {
    length + ENTRY
}

/// Length of a frame.
pub(crate) fn length(frame: &[Bytes]) -> usize {
    frame.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use smallvec::smallvec;

    fn frame(length: usize) -> Parts {
        smallvec![Bytes::from(vec![0; length])]
    }

    #[test]
    fn a_full_queue_refuses_and_an_empty_one_takes_anything() {
        let outbox = Outbox::new(10);
        assert_eq!(outbox.push(frame(50), 50), Ok(()));
        assert_eq!(outbox.push(frame(1), 1), Err(PushError::Full { queued: 50 + ENTRY }));
        let mut batch = Vec::new();
        assert_eq!(outbox.take_now(&mut batch), Some(50 + ENTRY));
        assert!(outbox.push(frame(1), 1).is_err(), "the writer still holds it");
        outbox.written(50 + ENTRY);
        assert_eq!(outbox.push(frame(1), 1), Ok(()));
    }

    #[test]
    fn a_finished_queue_is_emptied_first() {
        let outbox = Outbox::new(10);
        outbox.push(frame(3), 3).unwrap();
        outbox.finish();
        assert_eq!(outbox.push(frame(1), 1), Err(PushError::Finished));
        let mut batch = Vec::new();
        assert_eq!(outbox.take_now(&mut batch), Some(3 + ENTRY));
        assert_eq!(outbox.take_now(&mut batch), None);
    }

    #[test]
    fn a_batch_is_bounded() {
        let outbox = Outbox::new(10 * BATCH);
        for _ in 0..4 {
            outbox.push(frame(BATCH / 2), BATCH / 2).unwrap();
        }
        let mut batch = Vec::new();
        assert_eq!(outbox.take_now(&mut batch), Some(BATCH + 2 * ENTRY));
        assert_eq!(batch.len(), 2);
    }
}
