//! The running hash, by which replicas notice that they drifted apart.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::Timestamp;

/// What a fold is about; part of the hash, so the numbers never change.
#[derive(Clone, Copy)]
pub(crate) enum Fold {
    Time = 1,
    Record = 2,
    Removal = 3,
    Outcome = 4,
    Config = 5,
    Delivery = 6,
    Settled = 7,
    Cursor = 8,
    Postponed = 9,
    Interest = 10,
    Skipped = 11,
}

/// A hash over everything applied so far. It is a function of the applied commands only, so two
/// replicas with equal applied index have equal hashes, or are not equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunningHash(u64);

impl RunningHash {
    pub(crate) fn from_value(value: u64) -> Self {
        Self(value)
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }

    /// Folds in numbers.
    pub(crate) fn fold(&mut self, what: Fold, numbers: [u64; 3]) {
        let mut bytes = [0; 32];
        bytes[0] = what as u8;
        for (place, number) in bytes[8..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        self.0 = xxh3_64_with_seed(&bytes, self.0);
    }

    /// Folds in bytes, with their length.
    pub(crate) fn fold_bytes(&mut self, what: Fold, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
        self.fold(what, [bytes.len() as u64, 0, 0]);
    }

    /// Folds in the applied time.
    pub(crate) fn fold_time(&mut self, time: Timestamp) {
        self.fold(Fold::Time, [time.0.cast_unsigned(), 0, 0]);
    }

    /// Folds in a record: its content, where in it the subject and the headers end, and its place.
    pub(crate) fn fold_record(
        &mut self,
        seq: u64,
        time: Timestamp,
        body: &[u8],
        (subject_len, headers_len): (usize, usize),
    ) {
        self.0 = xxh3_64_with_seed(body, self.0);
        self.fold(Fold::Record, [body.len() as u64, subject_len as u64, headers_len as u64]);
        self.fold(Fold::Record, [seq, time.0.cast_unsigned(), 0]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_one_part_ends_and_the_next_begins_counts() {
        let folded = |lengths| {
            let mut hash = RunningHash::default();
            hash.fold_record(1, Timestamp(2), b"abc", lengths);
            hash.value()
        };
        assert_ne!(folded((2, 0)), folded((1, 1)));
        assert_ne!(folded((1, 0)), folded((0, 1)));
        assert_eq!(folded((1, 1)), folded((1, 1)));
    }
}
