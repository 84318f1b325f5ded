//! The thread that owns the log: gather what waits, one write, one sync, tell everybody.

mod queue;
mod stats;
#[cfg(test)]
mod tests;
mod thread;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flotilla_disk::{Disk, DiskError, Pressure, RoomReport, Wal, WalBatch, WalError};

use queue::{Item, Queue};
pub use stats::{WalStats, WalStatus};
use thread::Thread;

/// What the writer may hold and how it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalWriterOptions {
    /// Bytes that should wait at most: beyond, [`Submitter::is_full`] asks for no more.
    pub queue_bytes: usize,
    /// A write takes at least one batch and not many more bytes than this.
    pub gather_bytes: usize,
    /// After so long without work the log is sealed.
    pub idle: Duration,
    /// How long it waits, with a log or a disk that is full, before it tries again; and how often it looks at the disk
    /// while nothing is written.
    pub retry: Duration,
}

impl Default for WalWriterOptions {
    /// 64 MiB of queue, writes of 4 MiB, a seal after 50 ms, a retry each second.
    fn default() -> Self {
        Self {
            queue_bytes: 64 << 20,
            gather_bytes: 4 << 20,
            idle: Duration::from_millis(50),
            retry: Duration::from_secs(1),
        }
    }
}

/// What became of batches of one submitter that were written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalCompletion {
    /// Their tickets, in the order of submission.
    pub tickets: Vec<u64>,
    /// The LSN through which the log is durable, or why they are not. [`WalError::Refused`] concerns this one
    /// ticket; any other error is the end of the log.
    pub result: Result<u64, WalError>,
    /// Whether more batches wait: the thread that calls has something to do, and must not be kept.
    pub more_waits: bool,
}

/// Called on the writer's thread for each [`WalCompletion`] of a submitter, in order. It must not wait, and must be quick
/// while more waits.
pub type WalCallback = Arc<dyn Fn(WalCompletion) + Send + Sync>;

/// Called on the writer's thread while the log is above its soft limit: when its size has changed, and once
/// per retry interval.
pub type PressureCallback = Arc<dyn Fn(Pressure) + Send + Sync>;

/// Called on the writer's thread when the room on the disk has changed, and once per retry interval while it has too
/// little.
pub type RoomCallback = Arc<dyn Fn(RoomReport) + Send + Sync>;

/// Who is told of what concerns no batch. They must be quick and must not wait.
#[derive(Clone)]
pub struct WalReports {
    /// Of a log that has grown too large.
    pub pressure: PressureCallback,
    /// Of the room on its disk.
    pub room: RoomCallback,
}

impl fmt::Debug for WalReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalReports").finish_non_exhaustive()
    }
}

/// The running writer. Dropping it writes what waits and ends it.
pub struct WalWriter {
    queue: Arc<Queue>,
    submitters: AtomicU64,
    thread: Option<JoinHandle<()>>,
    spares: Option<JoinHandle<()>>,
}

impl WalWriter {
    /// Starts the thread that owns `wal` from now on, and one beside it that prepares files.
    pub fn start(
        disk: Arc<dyn Disk>,
        wal: Wal,
        options: WalWriterOptions,
        reports: WalReports,
    ) -> Result<Self, DiskError> {
        let queue = Arc::new(Queue::new(options));
        let (jobs, spares) = thread::start_spares(Arc::clone(&disk), Arc::clone(&queue))?;
        let thread = Thread::new(disk, wal, Arc::clone(&queue), reports, jobs);
        let thread = thread::named("wal-writer", move || thread.run())?;
        let submitters = AtomicU64::new(0);
        Ok(Self { queue, submitters, thread: Some(thread), spares: Some(spares) })
    }

    /// A way in for one shard, with its own callback. Batches of one submitter are written in order; a group must
    /// always use the same one.
    #[must_use]
    pub fn submitter(&self, callback: WalCallback) -> Submitter {
        let id = self.submitters.fetch_add(1, Ordering::Relaxed);
        Submitter { id, callback, queue: Arc::clone(&self.queue) }
    }

    /// Since when the oldest batch waits that is not durable yet; `None` if none does. For the rule that
    /// beats leave only while the disk moves.
    #[must_use]
    pub fn oldest_queued_since(&self) -> Option<Instant> {
        self.queue.oldest()
    }

    /// When a write was last made durable, or the writer started.
    #[must_use]
    pub fn last_finished(&self) -> Instant {
        self.queue.last_finished()
    }

    /// Why nothing is written at present although something waits: the log or the disk is full.
    #[must_use]
    pub fn stalled(&self) -> Option<WalError> {
        self.queue.stalled()
    }

    /// Why the log has ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<WalError> {
        self.queue.ended()
    }

    /// How the log stands, and how much room its disk has, as of the last look.
    #[must_use]
    pub fn status(&self) -> WalStatus {
        self.queue.status()
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> WalStats {
        self.queue.stats()
    }
}

impl Drop for WalWriter {
    fn drop(&mut self) {
        self.queue.close();
        for thread in [self.thread.take(), self.spares.take()].into_iter().flatten() {
            // Its panic, if any, has ended the log and was reported to all who waited.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for WalWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalWriter").field("ended", &self.ended()).finish_non_exhaustive()
    }
}

/// One shard's way into the log.
#[derive(Clone)]
pub struct Submitter {
    id: u64,
    callback: WalCallback,
    queue: Arc<Queue>,
}

impl Submitter {
    /// Queues a batch; `ticket` comes back in a completion. Never waits, and never refuses while the log lives: behind
    /// what has no room may come what makes room. Whoever submits takes no new work while [`is_full`](Self::is_full).
    ///
    /// # Errors
    /// The log is poisoned or closed.
    pub fn submit(&self, batch: WalBatch, ticket: u64) -> Result<(), WalError> {
        self.queue.push(Item::new(self.id, &self.callback, batch, ticket))
    }

    /// Whether more waits than should, of all submitters. It ends with a completion of one of them.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter").field("id", &self.id).finish_non_exhaustive()
    }
}
