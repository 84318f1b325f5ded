//! Runs of stream sequences.

use serde::{Deserialize, Serialize};

/// The greatest sequence a purge or a configuration may jump to. Sequences grow by one per message
/// from there, so no stream can run out of them, and no arithmetic on them overflows.
pub(crate) const MAX_JUMP: u64 = 1 << 62;
/// A sequence that no stream reaches; what claims one is damaged.
pub(crate) const UNREACHED: u64 = 1 << 63;

/// A run of sequences, both ends included; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SequenceRange {
    /// The first sequence of the run.
    pub first: u64,
    /// The last sequence of the run, not below `first`.
    pub last: u64,
}

impl SequenceRange {
    /// The run that holds only `seq`.
    #[must_use]
    pub fn single(seq: u64) -> Self {
        Self { first: seq, last: seq }
    }

    /// The run from `first` to `last`; `None` when that is empty.
    #[must_use]
    pub fn new(first: u64, last: u64) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// How many sequences it holds.
    #[must_use]
    pub fn count(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether `seq` is one of them.
    #[must_use]
    pub fn contains(self, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq)
    }
}

/// Adds `seq` to the end of `ranges`, growing the last range when it continues it.
pub(crate) fn push_sequence(ranges: &mut Vec<SequenceRange>, seq: u64) {
    push_range(ranges, SequenceRange::single(seq));
}

/// Adds `range` to the end of `ranges`, growing the last range when it continues it.
pub(crate) fn push_range(ranges: &mut Vec<SequenceRange>, range: SequenceRange) {
    match ranges.last_mut() {
        Some(last) if last.last.checked_add(1) == Some(range.first) => last.last = range.last,
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_grow_one_range_and_others_start_a_new_one() {
        let mut ranges = Vec::new();
        for seq in [1, 2, 3, 7, 8, 5] {
            push_sequence(&mut ranges, seq);
        }
        let expected = [(1, 3), (7, 8), (5, 5)].map(|(first, last)| SequenceRange { first, last });
        assert_eq!(ranges, expected);
        assert_eq!(ranges.iter().map(|range| range.count()).sum::<u64>(), 6);
    }
}
