//! What waits for the writer, and what others may know of it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flotilla_disk::{DiskError, SpareJob, WalBatch, WalError};

use super::stats::{WalStats, WalStatus};
use super::{WalCallback, WalWriterOptions};

/// A batch on its way, and who waits for it.
pub(super) struct Item {
    pub(super) waiter: Waiter,
    pub(super) batch: WalBatch,
}

/// Who waits for a batch.
pub(super) struct Waiter {
    pub(super) submitter: u64,
    pub(super) callback: WalCallback,
    pub(super) ticket: u64,
    since: Instant,
    bytes: usize,
}

impl Item {
    pub(super) fn new(
        submitter: u64,
        callback: &WalCallback,
        batch: WalBatch,
        ticket: u64,
    ) -> Self {
        let callback = Arc::clone(callback);
        let (since, bytes) = (Instant::now(), batch.byte_len());
        Self { waiter: Waiter { submitter, callback, ticket, since, bytes }, batch }
    }
}

/// What the writer does next.
pub(super) enum Next {
    Write(Vec<Item>),
    SpareMade(SpareJob, Result<(), DiskError>),
    /// Nothing came for the idle time.
    Idle,
    Close,
}

struct State {
    waiting: VecDeque<Item>,
    bytes: usize,
    /// When the oldest batch of the write in progress came.
    writing: Option<Instant>,
    spare_made: Option<(SpareJob, Result<(), DiskError>)>,
    /// Something came since the writer last looked.
    news: bool,
    closing: bool,
    ended: Option<WalError>,
    stalled: Option<WalError>,
    last_finished: Instant,
    stats: WalStats,
    status: WalStatus,
}

pub(super) struct Queue {
    pub(super) options: WalWriterOptions,
    state: Mutex<State>,
    wake: Condvar,
    /// Whether a file that is being prepared is waited for, or will be soon.
    hurry: AtomicBool,
}

impl Queue {
    pub(super) fn new(options: WalWriterOptions) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            writing: None,
            spare_made: None,
            news: false,
            closing: false,
            ended: None,
            stalled: None,
            last_finished: Instant::now(),
            stats: WalStats::default(),
            status: WalStatus::default(),
        };
        Self {
            options,
            state: Mutex::new(state),
            wake: Condvar::new(),
            hurry: AtomicBool::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, item: Item) -> Result<(), WalError> {
        let mut state = self.state();
        if let Some(ended) = &state.ended {
            return Err(ended.clone());
        }
        state.bytes = state.bytes.saturating_add(item.waiter.bytes);
        state.waiting.push_back(item);
        state.news = true;
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn has_some(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.state().bytes > self.options.queue_bytes
    }

    /// Waits for something to do, in a log that is `sealed` at most for the time between two looks at the disk.
    pub(super) fn next(&self, sealed: bool) -> Next {
        let mut state = self.state();
        loop {
            if let Some((job, result)) = state.spare_made.take() {
                return Next::SpareMade(job, result);
            }
            let stalled = state.stalled.is_some();
            if !state.waiting.is_empty() && (!stalled || state.news || state.closing) {
                return Next::Write(state.take(stalled, self.options.gather_bytes));
            }
            if state.closing {
                return Next::Close;
            }
            state.news = false;
            let time = if stalled || sealed { self.options.retry } else { self.options.idle };
            let waited = self.wake.wait_timeout(state, time);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = next;
            if timeout.timed_out() && stalled {
                state.news = true;
            } else if timeout.timed_out() && state.waiting.is_empty() && !state.closing {
                return Next::Idle;
            }
        }
    }

    /// Puts back what could not be written, in its place.
    pub(super) fn put_back(&self, items: Vec<Item>, why: WalError) {
        let mut state = self.state();
        state.writing = None;
        for item in items.into_iter().rev() {
            state.bytes = state.bytes.saturating_add(item.waiter.bytes);
            state.waiting.push_front(item);
        }
        if state.closing {
            // Nobody will make room any more.
            state.ended = Some(why);
        } else {
            state.stalled = Some(why);
        }
    }

    /// Puts back what came behind the first one, which stalled.
    pub(super) fn put_behind_first(&self, mut items: Vec<Item>, why: WalError) {
        let first = self.state().waiting.pop_front();
        if let Some(first) = first {
            let mut state = self.state();
            state.bytes = state.bytes.saturating_sub(first.waiter.bytes);
            items.insert(0, first);
        }
        self.put_back(items, why);
    }

    /// A write has ended, well or not.
    pub(super) fn finish(&self, note: impl FnOnce(&mut WalStats)) {
        let mut state = self.state();
        state.writing = None;
        state.stalled = None;
        state.last_finished = Instant::now();
        note(&mut state.stats);
    }

    /// The log ends here; gives what still waits.
    pub(super) fn end(&self, why: WalError) -> Vec<Item> {
        let mut state = self.state();
        state.ended.get_or_insert(why);
        state.writing = None;
        state.stalled = None;
        state.bytes = 0;
        state.waiting.drain(..).collect()
    }

    pub(super) fn spare_made(&self, job: SpareJob, result: Result<(), DiskError>) {
        self.state().spare_made = Some((job, result));
        self.wake.notify_one();
    }

    pub(super) fn set_hurry(&self, hurry: bool) {
        self.hurry.store(hurry, Ordering::Relaxed);
    }

    pub(super) fn is_in_hurry(&self) -> bool {
        self.hurry.load(Ordering::Relaxed) || self.state().closing
    }

    pub(super) fn close(&self) {
        self.state().closing = true;
        self.wake.notify_one();
    }

    pub(super) fn oldest(&self) -> Option<Instant> {
        let state = self.state();
        let waiting = state.waiting.front().map(|item| item.waiter.since);
        state.writing.into_iter().chain(waiting).min()
    }

    pub(super) fn last_finished(&self) -> Instant {
        self.state().last_finished
    }

    pub(super) fn stalled(&self) -> Option<WalError> {
        self.state().stalled.clone()
    }

    pub(super) fn ended(&self) -> Option<WalError> {
        self.state().ended.clone()
    }

    pub(super) fn stats(&self) -> WalStats {
        self.state().stats.clone()
    }

    pub(super) fn set_status(&self, status: WalStatus) {
        self.state().status = status;
    }

    pub(super) fn status(&self) -> WalStatus {
        self.state().status
    }
}

impl State {
    /// Takes the next write's batches. When the log is full, all of them: among them may be one that makes room, and
    /// the order must stay.
    fn take(&mut self, all: bool, gather_bytes: usize) -> Vec<Item> {
        let mut taken = Vec::new();
        let mut bytes = 0_usize;
        while all || taken.is_empty() || bytes < gather_bytes {
            let Some(item) = self.waiting.pop_front() else { break };
            bytes = bytes.saturating_add(item.waiter.bytes);
            taken.push(item);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        self.writing = taken.iter().map(|item| item.waiter.since).min();
        self.news = false;
        taken
    }
}
