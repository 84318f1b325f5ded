//! A set of sequences that grows, mostly at its lower end.

use std::collections::BTreeMap;

use crate::SequenceRange;

/// All sequences below a floor, and runs above it that do not touch each other or the floor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RangeSet {
    floor: u64,
    /// First to last.
    above: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Everything below `floor`.
    pub(super) fn below(floor: u64) -> Self {
        Self { floor, above: BTreeMap::new() }
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        seq < self.floor
            || self.above.range(..=seq).next_back().is_some_and(|(_, last)| seq <= *last)
    }

    /// Adds `range`; what it overlaps or touches becomes one run with it.
    pub(super) fn insert(&mut self, range: SequenceRange) {
        let SequenceRange { mut first, mut last } = range;
        let reach = last.saturating_add(1);
        while let Some((have_first, have_last)) =
            self.above.range(..=reach).next_back().map(|(first, last)| (*first, *last))
        {
            if have_last.saturating_add(1) < first {
                break;
            }
            self.above.remove(&have_first);
            first = first.min(have_first);
            last = last.max(have_last);
        }
        if first <= self.floor {
            self.floor = self.floor.max(last.saturating_add(1));
        } else {
            self.above.insert(first, last);
        }
    }

    /// Adds everything below `floor`.
    pub(super) fn raise(&mut self, floor: u64) {
        if let Some(range) = floor.checked_sub(1).and_then(|last| SequenceRange::new(0, last)) {
            self.insert(range);
        }
    }

    /// The floor, and the runs above it.
    pub(super) fn parts(&self) -> (u64, Vec<SequenceRange>) {
        let above =
            self.above.iter().map(|(first, last)| SequenceRange { first: *first, last: *last });
        (self.floor, above.collect())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_was_added(
            floor in 0..5u64,
            ranges in proptest::collection::vec((0..60u64, 0..6u64, any::<bool>()), 0..40),
        ) {
            let mut set = RangeSet::below(floor);
            let mut model: BTreeSet<u64> = (0..floor).collect();
            for (first, length, raise) in ranges {
                let last = first + length;
                if raise && length == 0 {
                    set.raise(first);
                    model.extend(0..first);
                } else {
                    set.insert(SequenceRange { first, last });
                    model.extend(first..=last);
                }
                for seq in 0..80 {
                    prop_assert_eq!(set.contains(seq), model.contains(&seq), "{}", seq);
                }
                let (floor, above) = set.parts();
                let mut end = floor;
                for range in above {
                    prop_assert!(range.first > end, "runs do not touch");
                    end = range.last + 1;
                }
            }
        }
    }
}
