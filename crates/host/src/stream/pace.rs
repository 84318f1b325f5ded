//! How much of what is published to a stream is under way at once: as much as its members store in a moment.
//!
//! All groups of a server share its disk. A stream that handed the log all that its publishers send would make all others
//! wait behind it, when the disk is slow: with a second's worth of each of ten streams, ten seconds. What is not handed
//! over waits in the stream's own queue, and is refused when that is full.

use crate::time::MILLISECOND;

/// An entry that took longer than this to be committed asks for less.
const SLOW: u64 = 250 * MILLISECOND;
/// One that took less than this allows for more.
const QUICK: u64 = 100 * MILLISECOND;
/// So much is always allowed, in bytes.
const LEAST: usize = 32 << 10;
/// So much is allowed before anything is known of the disks: a few entries later it is as much as they take.
const FIRST: usize = 64 << 10;

/// What a stream's leader proposes before it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    bytes: usize,
    /// When it was last lowered: what was proposed before was proposed at the pace before.
    lowered: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { bytes: FIRST, lowered: 0 }
    }
}

impl Pace {
    /// How many bytes may be under way, of `most`.
    pub(super) fn limit(self, most: usize) -> usize {
        self.bytes.min(most)
    }

    /// An entry of so many bytes, proposed at `proposed`, was committed `now`.
    pub(super) fn committed(&mut self, bytes: usize, proposed: u64, now: u64, most: usize) {
        let took = now.saturating_sub(proposed);
        if took > SLOW && proposed >= self.lowered {
            self.bytes = (self.limit(most) / 2).max(LEAST);
            self.lowered = now;
        } else if took < QUICK {
            self.bytes = self.limit(most).saturating_add(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 16 << 20;

    #[test]
    fn the_pace_follows_a_disk_that_gets_slow_and_quick_again() {
        let mut pace = Pace::default();
        let mut now = 0;
        // A disk of 1 MB/s, and a queue that always has more.
        for _ in 0..40 {
            let bytes = pace.limit(MOST);
            let took = bytes as u64 * 1_000;
            pace.committed(bytes, now, now + took, MOST);
            now += took;
        }
        let limit = pace.limit(MOST);
        assert!((LEAST..=(256 << 10)).contains(&limit), "{limit} bytes of a quarter of a second");
        // And of 1 GB/s.
        for _ in 0..20 {
            let bytes = pace.limit(MOST);
            pace.committed(bytes, now, now + bytes as u64, MOST);
            now += bytes as u64;
        }
        assert_eq!(pace.limit(MOST), MOST);
    }

    #[test]
    fn what_was_under_way_together_counts_once() {
        let mut pace = Pace { bytes: MOST, lowered: 0 };
        for n in 0..8 {
            pace.committed(1 << 20, 0, SLOW + 1 + n, MOST);
        }
        assert_eq!(pace.limit(MOST), MOST / 2);
    }
}
