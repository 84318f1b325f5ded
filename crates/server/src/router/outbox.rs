//! What waits to be written to one client.
//!
//! Publishers append whole batches; one writer task takes everything there is and writes it. The lock is held for a
//! copy of at most [`HAND_OVER`] bytes; larger batches change their owner instead. The writer is woken only if it
//! sleeps, so once per batch at most.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::CloseReason;
use crate::lock::lock;

/// A batch of this size is not copied but handed over, in bytes.
const HAND_OVER: usize = 16 * 1024;
/// Small batches are joined to chunks of up to this size, in bytes.
const CHUNK: usize = 64 * 1024;
/// The first allocation for a chunk, in bytes.
const SMALLEST_CHUNK: usize = 512;

/// The queue between publishers and the writer of one connection. Bounded in bytes: beyond `max_pending` the client
/// is a slow consumer, and the connection closes.
pub(crate) struct Outbox {
    max_pending: usize,
    state: Mutex<State>,
    /// Repeats `state.closing.is_some()` for those who only need a hint.
    is_closed: AtomicBool,
    work: Notify,
    reader: Notify,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<Vec<u8>>,
    queued: usize,
    in_flight: usize,
    writer_sleeps: bool,
    closing: Option<CloseReason>,
}

/// What became of an appended batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    Queued,
    /// It is queued, and so much waits that publishers should pause.
    Crowded,
    /// The connection is closed; the batch is gone.
    Closed,
    /// It was this batch that made the client a slow consumer.
    Overflow,
}

impl Outbox {
    pub(crate) fn new(max_pending: usize) -> Self {
        Self {
            max_pending,
            state: Mutex::default(),
            is_closed: AtomicBool::new(false),
            work: Notify::new(),
            reader: Notify::new(),
        }
    }

    /// Queues `batch` and leaves it empty, with or without its memory.
    pub(crate) fn append(&self, batch: &mut Vec<u8>) -> Appended {
        let (wake, appended) = {
            let mut state = lock(&self.state);
            if state.closing.is_some() {
                batch.clear();
                return Appended::Closed;
            }
            let pending = state.queued + state.in_flight + batch.len();
            if pending > self.max_pending {
                drop(state);
                batch.clear();
                self.close(CloseReason::SlowConsumerPendingBytes);
                return Appended::Overflow;
            }
            state.push(batch);
            let is_crowded = pending > self.max_pending / 4 * 3;
            let appended = if is_crowded { Appended::Crowded } else { Appended::Queued };
            (std::mem::take(&mut state.writer_sleeps), appended)
        };
        if wake {
            self.work.notify_one();
        }
        appended
    }

    /// Ends the connection: the writer writes what waits, unless that is pointless, and closes. The first reason
    /// counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        {
            let mut state = lock(&self.state);
            if state.closing.is_none() {
                state.closing = Some(reason);
            }
            if reason.discards_output() {
                state.chunks = VecDeque::new();
                state.queued = 0;
            }
            self.is_closed.store(true, Ordering::Release);
        }
        self.work.notify_one();
        self.reader.notify_one();
    }

    /// Why the connection is closing, if it is.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        lock(&self.state).closing
    }

    /// A cheap look whether the connection is closing.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Bytes that wait, those being written included.
    pub(crate) fn pending(&self) -> usize {
        let state = lock(&self.state);
        state.queued + state.in_flight
    }

    /// Wakes the reader, for another reason than the end.
    pub(crate) fn nudge_reader(&self) {
        self.reader.notify_one();
    }

    /// For the one reader: waits until the connection is closing, or there is another reason to look up.
    pub(crate) async fn nudged(&self) {
        self.reader.notified().await;
    }

    /// For the one writer: gives back an empty queue whose chunks were written, and waits for chunks to write.
    /// `None`: nothing more will come.
    pub(crate) async fn take(&self, mut written: VecDeque<Vec<u8>>) -> Option<VecDeque<Vec<u8>>> {
        loop {
            {
                let mut state = lock(&self.state);
                state.in_flight = 0;
                if !state.chunks.is_empty() {
                    written.clear();
                    std::mem::swap(&mut state.chunks, &mut written);
                    state.in_flight = std::mem::take(&mut state.queued);
                    return Some(written);
                }
                if state.closing.is_some() {
                    return None;
                }
                state.writer_sleeps = true;
            }
            self.work.notified().await;
        }
    }
}

impl State {
    fn push(&mut self, batch: &mut Vec<u8>) {
        self.queued += batch.len();
        if batch.len() >= HAND_OVER {
            self.chunks.push_back(std::mem::take(batch));
            return;
        }
        match self.chunks.back_mut().filter(|last| last.len() + batch.len() <= CHUNK) {
            Some(last) => last.extend_from_slice(batch),
            None => {
                let mut chunk = Vec::with_capacity(batch.len().max(SMALLEST_CHUNK));
                chunk.extend_from_slice(batch);
                self.chunks.push_back(chunk);
            }
        }
        batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(outbox: &Outbox) -> Option<Vec<u8>> {
        let mut take = std::pin::pin!(outbox.take(VecDeque::new()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match take.as_mut().poll(&mut context) {
            std::task::Poll::Ready(chunks) => {
                Some(chunks.map_or_else(Vec::new, |chunks| Vec::from(chunks).concat()))
            }
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn batches_come_out_in_order_whatever_their_size() {
        let outbox = Outbox::new(1 << 20);
        assert_eq!(taken(&outbox), None);
        let mut expected = Vec::new();
        for (fill, size) in (b'a'..).zip([1, 700, HAND_OVER, 3, CHUNK - 1, CHUNK + 1, 2]) {
            let mut batch = vec![fill; size];
            expected.extend_from_slice(&batch);
            assert_eq!(outbox.append(&mut batch), Appended::Queued);
            assert!(batch.is_empty());
        }
        assert_eq!(outbox.pending(), expected.len());
        assert_eq!(taken(&outbox), Some(expected));
        assert_eq!(taken(&outbox), None);
        assert_eq!(outbox.pending(), 0);
    }

    #[test]
    fn what_is_being_written_counts_as_pending() {
        let outbox = Outbox::new(100);
        assert_eq!(outbox.append(&mut vec![0; 60]), Appended::Queued);
        assert!(taken(&outbox).is_some());
        assert_eq!(outbox.append(&mut vec![0; 20]), Appended::Crowded);
        assert_eq!(outbox.append(&mut vec![0; 30]), Appended::Overflow);
        assert_eq!(outbox.close_reason(), Some(CloseReason::SlowConsumerPendingBytes));
        assert_eq!(outbox.append(&mut vec![0; 1]), Appended::Closed);
        assert_eq!(taken(&outbox), Some(Vec::new()), "what waited for a slow consumer is gone");
    }

    #[test]
    fn a_farewell_is_still_written() {
        let outbox = Outbox::new(100);
        outbox.append(&mut b"-ERR 'x'\r\n".to_vec());
        outbox.close(CloseReason::ParseError);
        outbox.close(CloseReason::ProtocolViolation);
        assert_eq!(outbox.close_reason(), Some(CloseReason::ParseError));
        assert_eq!(taken(&outbox), Some(b"-ERR 'x'\r\n".to_vec()));
        assert_eq!(taken(&outbox), Some(Vec::new()));
    }
}
