//! A server's clocks: one that only goes forward, from the start of its process, and the time of day.

use flotilla_host::Now;
use flotilla_stream::Timestamp;

/// What is wrong with a machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wrong {
    /// By how many nanoseconds its time of day is off.
    pub(crate) offset: i64,
    /// By how many millionths it runs too fast.
    pub(crate) drift: i64,
}

/// The clock of one process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: u64,
    /// Its nanoseconds in a million of the world's.
    rate: u64,
}

impl Clock {
    pub(crate) fn start(now: u64, wrong: Wrong) -> Self {
        Self { started: now, rate: u64::try_from(1_000_000 + wrong.drift).unwrap_or(1_000_000) }
    }

    pub(crate) fn mono(self, now: u64) -> u64 {
        let since = u128::from(now - self.started) * u128::from(self.rate) / 1_000_000;
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    pub(crate) fn now(self, now: u64, wall: Timestamp) -> Now {
        Now { mono: self.mono(now), wall }
    }

    /// The world's time at which this clock shows `mono`.
    pub(crate) fn world(self, mono: u64) -> u64 {
        let since = (u128::from(mono) * 1_000_000).div_ceil(u128::from(self.rate));
        self.started.saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }
}
