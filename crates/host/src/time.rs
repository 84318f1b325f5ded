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

/// One millisecond, in nanoseconds.
pub const MILLISECOND: u64 = 1_000_000;
/// One second, in nanoseconds.
pub const SECOND: u64 = 1_000 * MILLISECOND;
/// How long a tick of Raft is.
pub(crate) const TICK: u64 = 50 * MILLISECOND;
