//! The clocks of this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use flotilla_host::Now;
use flotilla_stream::Timestamp;

/// One that only goes forward, and the time of day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(self) -> Now {
        let mono = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now { mono, wall: wall() }
    }

    pub(crate) fn instant(self, mono: u64) -> Instant {
        self.start + Duration::from_nanos(mono)
    }
}

/// The time of day.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// Since when the shard is at work on its present turn; for the rule that a server with a shard that hangs does not beat.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Nanoseconds on the process's clock; 0 while it waits.
    busy_since: AtomicU64,
}

impl Pulse {
    /// A turn begins.
    pub(crate) fn begin(&self, now: Now) {
        self.busy_since.store(now.mono.max(1), Ordering::Relaxed);
    }

    /// It has ended.
    pub(crate) fn end(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }

    /// For how long the present turn has lasted.
    pub(crate) fn busy_for(&self, clock: Clock) -> Duration {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(clock.now().mono.saturating_sub(since)),
        }
    }
}
