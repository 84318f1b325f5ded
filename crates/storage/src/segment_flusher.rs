//! The thread behind the acknowledgements: flushes, removals, compactions and erasures of segments.
//!
//! It is limited in bytes per second, so that the log's syncs are not held up by a backlog; what it has not written yet
//! is safe in the log.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flotilla_disk::{Disk, DiskError, SegmentJob};
use thiserror::Error;

/// How fast the flusher may be. What waits has no limit of its own: a stream has one flush under way, and its records
/// are in memory until it has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlusherOptions {
    /// Bytes per second; 0 is no limit.
    pub bytes_per_second: u64,
}

/// The end of a job: for [`SegmentStore::finished`](flotilla_disk::SegmentStore::finished).
#[derive(Clone, Debug)]
pub struct FlushDone {
    /// The job.
    pub job: SegmentJob,
    /// How it ended.
    pub result: Result<(), DiskError>,
}

/// The flusher has ended; the job comes back.
#[derive(Debug, Error)]
#[error("the segment flusher has ended")]
pub struct FlushRefused(pub SegmentJob);

#[derive(Default)]
struct State {
    waiting: VecDeque<(SegmentJob, DoneCallback)>,
    bytes: usize,
    closing: bool,
}

type DoneCallback = Arc<dyn Fn(FlushDone) + Send + Sync>;

struct Queue {
    options: FlusherOptions,
    state: Mutex<State>,
    wake: Condvar,
}

/// The running flusher. Dropping it finishes what waits, without regard to the limit of speed.
pub struct SegmentFlusher {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl SegmentFlusher {
    /// Starts the thread.
    pub fn start(disk: Arc<dyn Disk>, options: FlusherOptions) -> Result<Self, DiskError> {
        let queue = Queue { options, state: Mutex::default(), wake: Condvar::new() };
        let queue = Arc::new(queue);
        let shared = Arc::clone(&queue);
        let spawned = std::thread::Builder::new().name("segment-flusher".into());
        let spawned = spawned.spawn(move || shared.run(&*disk));
        let thread = spawned.map_err(|error| DiskError::Io {
            operation: "start",
            path: "segment-flusher".into(),
            reason: error.to_string(),
        })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues a job; jobs run in the order in which they come. `done` is called on the flusher's thread; it
    /// must be quick and must not wait.
    pub fn submit(
        &self,
        job: SegmentJob,
        done: Arc<dyn Fn(FlushDone) + Send + Sync>,
    ) -> Result<(), FlushRefused> {
        let mut state = self.queue.state();
        if state.closing {
            return Err(FlushRefused(job));
        }
        state.bytes = state.bytes.saturating_add(job.byte_len());
        state.waiting.push_back((job, done));
        drop(state);
        self.queue.wake.notify_one();
        Ok(())
    }

    /// Bytes of jobs that wait.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.queue.state().bytes
    }
}

impl Drop for SegmentFlusher {
    fn drop(&mut self) {
        self.queue.state().closing = true;
        self.queue.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A callback that panicked; the jobs behind it were never confirmed.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for SegmentFlusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentFlusher")
            .field("options", &self.queue.options)
            .finish_non_exhaustive()
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, disk: &dyn Disk) {
        while let Some((job, done)) = self.next() {
            let started = Instant::now();
            let result = job.run(disk);
            let bytes = job.byte_len();
            done(FlushDone { job, result });
            self.rest(bytes, started);
        }
    }

    fn next(&self) -> Option<(SegmentJob, DoneCallback)> {
        let state = self.state();
        let idle = |state: &mut State| state.waiting.is_empty() && !state.closing;
        let waited = self.wake.wait_while(state, idle);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        let (job, done) = state.waiting.pop_front()?;
        state.bytes = state.bytes.saturating_sub(job.byte_len());
        Some((job, done))
    }

    /// Waits until so many bytes have taken as long as they should.
    fn rest(&self, bytes: usize, started: Instant) {
        let Some(micros) = pause_micros(bytes, self.options.bytes_per_second) else { return };
        let until = started + Duration::from_micros(micros);
        let left = until.saturating_duration_since(Instant::now());
        // A job that comes in meanwhile waits too; only closing ends the pause.
        let resting = |state: &mut State| !state.closing;
        drop(self.wake.wait_timeout_while(self.state(), left, resting));
    }
}

/// How long `bytes` should take; `None` without a limit.
fn pause_micros(bytes: usize, per_second: u64) -> Option<u64> {
    (bytes as u64).saturating_mul(1_000_000).checked_div(per_second)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use bytes::Bytes;
    use flotilla_disk::{MemDisk, SegmentOptions, SegmentRecord, SegmentStore};
    use flotilla_raft::GroupId;

    use super::*;

    fn store(disk: &MemDisk) -> SegmentStore {
        let options = SegmentOptions { segment_size: 500, flush_size: 300, block_size: 300 };
        let mut store =
            SegmentStore::open(disk, GroupId(5), 0, options, &mut |_| ()).unwrap().store;
        for seq in 1..=40 {
            let body = Bytes::from([&b"a"[..], &[1; 50]].concat());
            let (subject_len, headers_len) = (1, 0);
            store.append(SegmentRecord { seq, time: 0, body, subject_len, headers_len }).unwrap();
        }
        store
    }

    #[test]
    fn what_it_confirms_is_durable() {
        let disk = MemDisk::new();
        let mut store = store(&disk);
        let flusher =
            SegmentFlusher::start(Arc::new(disk.clone()), FlusherOptions::default()).unwrap();
        let (sender, confirmed) = channel();
        let done: DoneCallback = Arc::new(move |done| drop(sender.send(done)));
        while let Some(job) = store.take_flush() {
            flusher.submit(job, Arc::clone(&done)).unwrap();
            let ended = confirmed.recv().unwrap();
            store.finished(ended.job.id(), &ended.result);
        }
        assert_eq!((store.flushed_through(), flusher.waiting_bytes()), (40, 0));
        disk.power_loss(1);
        let options = SegmentOptions::default();
        let opened = SegmentStore::open(&disk, GroupId(5), 40, options, &mut |_| ()).unwrap();
        assert_eq!(opened.damage, []);
    }

    #[test]
    fn a_failure_comes_back_with_its_job() {
        let disk = MemDisk::new();
        let mut store = store(&disk);
        disk.set_capacity(10);
        let flusher = SegmentFlusher::start(Arc::new(disk), FlusherOptions::default()).unwrap();
        let (sender, confirmed) = channel();
        let job = store.take_flush().unwrap();
        flusher.submit(job, Arc::new(move |done| drop(sender.send(done)))).unwrap();
        let ended = confirmed.recv().unwrap();
        assert!(matches!(ended.result, Err(DiskError::NoSpace { .. })));
        store.finished(ended.job.id(), &ended.result);
        assert!(store.take_flush().is_some(), "it is offered again");
    }

    #[test]
    fn the_pause_follows_the_limit() {
        assert_eq!(pause_micros(500, 1000), Some(500_000));
        assert_eq!(pause_micros(500, 0), None);
    }
}
