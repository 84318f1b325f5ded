//! A shard's thread: waits, turns, and hands on what the turn left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use flotilla_host::{Now, SECOND, Shard, Totals};
use flotilla_stream::Timestamp;

use crate::hands::Hands;

/// The clocks of this process: one that only goes forward, and the time of day.
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

    fn instant(self, mono: u64) -> Instant {
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
    /// For how long the present turn has lasted.
    pub(crate) fn busy_for(&self, clock: Clock) -> Duration {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(clock.now().mono.saturating_sub(since)),
        }
    }
}

/// How soon a shard looks again whether the log has room.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How often the shard counts what it holds, for monitoring.
const TOTALS_EVERY: u64 = SECOND;
/// Counting takes no more than this part of the time, however much there is.
const TOTALS_SHARE: u64 = 500;

/// Runs the shard until its inbox is closed.
pub(crate) fn run(
    mut shard: Shard,
    mut hands: Hands,
    clock: Clock,
    pulse: &Pulse,
    totals: &Mutex<Totals>,
) {
    let inbox = Arc::clone(&hands.inbox);
    let mut inputs = Vec::new();
    let mut next_totals = 0;
    loop {
        let mut deadline = shard.next_deadline().map(|at| clock.instant(at));
        let hold = hands.log_is_full();
        if hold {
            // Another shard may have filled it; then nobody tells this one that there is room again.
            let soon = Instant::now() + LOOK_AGAIN;
            deadline = Some(deadline.map_or(soon, |at| at.min(soon)));
        }
        let goes_on = inbox.take(deadline, hold, &mut inputs);
        let now = clock.now();
        pulse.busy_since.store(now.mono.max(1), Ordering::Relaxed);
        let output = shard.turn(now, inputs.drain(..));
        hands.carry_out(output);
        if now.mono >= next_totals {
            let began = clock.now().mono;
            *totals.lock().unwrap_or_else(PoisonError::into_inner) = shard.totals();
            let took = clock.now().mono.saturating_sub(began);
            next_totals = now.mono + TOTALS_EVERY.max(took.saturating_mul(TOTALS_SHARE));
        }
        pulse.busy_since.store(0, Ordering::Relaxed);
        if !goes_on {
            return;
        }
    }
}
