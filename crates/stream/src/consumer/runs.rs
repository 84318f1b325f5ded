//! Sets of stream sequences in a command: mostly neighbours, so mostly two bytes for many.

use serde::{Deserialize, Serialize};

use crate::{DamagedCommand, sequence::UNREACHED};

/// The most sequences one command may name. What claims more is damaged.
const MAX_SEQUENCES: u64 = 1 << 24;

/// Ascending sequences as (distance from the end of the run before, length).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Runs(Vec<(u64, u64)>);

impl Runs {
    /// The runs of `sequences`, which ascend; the first distance is from `base`.
    pub(super) fn new(base: u64, sequences: impl IntoIterator<Item = u64>) -> Self {
        let (mut runs, mut end) = (Vec::<(u64, u64)>::new(), base);
        for seq in sequences {
            match runs.last_mut().filter(|_| seq == end) {
                Some((_, length)) => *length += 1,
                None => runs.push((seq - end, 1)),
            }
            end = seq + 1;
        }
        Self(runs)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The sequence after the last; `base` if there is none.
    ///
    /// # Errors
    /// When the runs name more than a command may, or sequences out of reach. Only checked runs may be
    /// iterated.
    pub(super) fn check(&self, base: u64) -> Result<u64, DamagedCommand> {
        let (mut end, mut named) = (base, 0u64);
        for (distance, length) in &self.0 {
            end = end.saturating_add(*distance).saturating_add(*length);
            named = named.saturating_add(*length);
        }
        if named > MAX_SEQUENCES {
            return Err(DamagedCommand::Contradiction("it names too many sequences"));
        }
        if end > UNREACHED {
            return Err(DamagedCommand::Contradiction("it names sequences out of reach"));
        }
        Ok(end)
    }

    /// The sequences, ascending from `base`.
    pub(super) fn iter(&self, base: u64) -> impl Iterator<Item = u64> {
        let mut end = base;
        self.0.iter().flat_map(move |(distance, length)| {
            let first = end + distance;
            end = first + length;
            first..end
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn runs_are_the_sequences(
            base in 0..50u64,
            distances in proptest::collection::btree_set(0..200u64, 0..60),
        ) {
            let sequences: BTreeSet<u64> = distances.into_iter().map(|seq| seq + base).collect();
            let runs = Runs::new(base, sequences.iter().copied());
            let end = sequences.last().map_or(base, |last| last + 1);
            prop_assert_eq!(runs.check(base), Ok(end));
            prop_assert_eq!(runs.iter(base).collect::<BTreeSet<_>>(), sequences);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(Runs(vec![(0, u64::MAX)]).check(0).is_err());
        assert!(Runs(vec![(u64::MAX, 1)]).check(0).is_err());
        assert!(Runs(vec![(1, MAX_SEQUENCES), (0, 1)]).check(0).is_err());
    }
}
