//! Time, as it is handed to a turn.

use flotilla_stream::Timestamp;

/// The two clocks of a server at the beginning of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Nanoseconds on a clock that only goes forward, from an arbitrary start.
    pub mono: u64,
    /// The time of day. It may jump; what is stamped with it is made monotonic when it is applied.
    pub wall: Timestamp,
}

/// The time in a group, as its leader stamps it: the time of day, but never before what was stamped already. When a clock
/// that ran ahead has left it ahead, time goes on at half the pace until the day has caught up: what is due comes a little
/// late, and not only when the day gets there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GroupTime {
    last: Timestamp,
    at: u64,
}

impl GroupTime {
    /// The time now, in a group whose last stamp is `stamped`.
    pub(crate) fn now(&mut self, now: Now, stamped: Timestamp) -> Timestamp {
        if stamped > self.last {
            // Another leader gave it, or this one in an earlier life. How long ago is not known here: time goes on from now.
            (self.last, self.at) = (stamped, now.mono);
        }
        let passed = now.mono.saturating_sub(self.at) / 2;
        self.last = now.wall.max(self.last.after(passed));
        self.at += 2 * passed;
        self.last
    }
}

/// One millisecond, in nanoseconds.
pub const MILLISECOND: u64 = 1_000_000;
/// One second, in nanoseconds.
pub const SECOND: u64 = 1_000 * MILLISECOND;
/// How long a tick of Raft is.
pub(crate) const TICK: u64 = 50 * MILLISECOND;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_a_group_goes_on_behind_a_clock_that_ran_ahead() {
        let mut time = GroupTime::default();
        let mut at = |mono, wall, stamped| {
            time.now(Now { mono, wall: Timestamp(wall) }, Timestamp(stamped)).0
        };
        assert_eq!(at(0, 1_000, 0), 1_000);
        assert_eq!(at(100, 1_100, 0), 1_100);
        // Another leader, or this one, was ahead.
        assert_eq!(at(200, 1_200, 5_000), 5_000);
        assert_eq!(at(1_000, 2_000, 5_000), 5_400);
        assert_eq!(at(9_000, 10_000, 5_000), 10_000);
        assert_eq!(at(9_100, 10_100, 5_000), 10_100);
    }

    #[test]
    fn a_server_that_has_run_for_long_leads_a_group_into_no_future() {
        let day = 24 * 3_600 * SECOND;
        let wall = |seconds: i64| Timestamp(1_800_000_000_000_000_000 + seconds * 1_000_000_000);
        // A new group, whose beginning another server stamped a moment ago.
        let mut time = GroupTime::default();
        let now = Now { mono: 10 * day, wall: wall(1) };
        assert_eq!(time.now(now, wall(0)), wall(1));
        // Another leads it for a day, and this one again.
        let now = Now { mono: 11 * day, wall: wall(86_401) };
        assert_eq!(time.now(now, wall(86_400)), wall(86_401));
    }
}
