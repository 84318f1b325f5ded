//! The messages that wait for an acknowledgement.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::Timestamp;

/// A message that was delivered and not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The sequence of its first delivery.
    pub consumer_seq: u64,
    /// When it was delivered last, or last reported to be in progress.
    pub delivered_at: Timestamp,
    /// How often it was delivered.
    pub deliveries: u64,
    /// When the client wants it again, if it said so since.
    pub redeliver_at: Option<Timestamp>,
}

/// So many places may be empty, or half of them; and there may be room for so many, or for eight times as many.
const FEW: usize = 64;

/// Pending messages by stream sequence. They come in ascending order, and mostly go in it; most of them are neighbours. So
/// they stand in a queue, from which what was settled out of order is missing until what is before it is settled, too.
#[derive(Debug, Default)]
pub(super) struct PendingMessages {
    /// Ascending. The first place is never empty.
    places: VecDeque<(u64, Option<Pending>)>,
    len: usize,
}

impl PendingMessages {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds the message `seq`, which is behind all others.
    pub(super) fn push(&mut self, seq: u64, pending: Pending) {
        debug_assert!(
            self.places.back().is_none_or(|(last, _)| *last < seq),
            "{seq} is not behind"
        );
        self.places.push_back((seq, Some(pending)));
        self.len += 1;
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Pending> {
        self.places.get(self.find(seq).ok()?)?.1.as_ref()
    }

    pub(super) fn get_mut(&mut self, seq: u64) -> Option<&mut Pending> {
        let at = self.find(seq).ok()?;
        self.places.get_mut(at)?.1.as_mut()
    }

    /// Takes the message `seq` out.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Pending> {
        let at = self.find(seq).ok()?;
        let pending = self.places.get_mut(at)?.1.take()?;
        self.len -= 1;
        while self.places.pop_front_if(|(_, place)| place.is_none()).is_some() {}
        if self.places.len() > FEW.max(2 * self.len) {
            self.places.retain(|(_, place)| place.is_some());
        }
        if self.places.capacity() > FEW.max(8 * self.places.len()) {
            self.places.shrink_to(2 * self.places.len());
        }
        Some(pending)
    }

    /// The first one.
    pub(super) fn first(&self) -> Option<(u64, &Pending)> {
        self.iter().next()
    }

    /// All, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Pending)> {
        self.places.iter().filter_map(|(seq, place)| Some((*seq, place.as_ref()?)))
    }

    /// Those in `range`, ascending.
    pub(super) fn range(
        &self,
        range: RangeInclusive<u64>,
    ) -> impl Iterator<Item = (u64, &Pending)> {
        let (Ok(from) | Err(from)) = self.find(*range.start());
        let all = self.places.range(from.min(self.places.len())..);
        all.take_while(move |(seq, _)| range.contains(seq))
            .filter_map(|(seq, place)| Some((*seq, place.as_ref()?)))
    }

    /// Gives back memory that it does not need at rest.
    pub(super) fn shrink(&mut self) {
        self.places.retain(|(_, place)| place.is_some());
        self.places.shrink_to_fit();
    }

    /// The place of `seq`, or where it would be.
    fn find(&self, seq: u64) -> Result<usize, usize> {
        let Some((first, _)) = self.places.front() else { return Err(0) };
        // Where it is if none is missing between the first one and it.
        let guess = usize::try_from(seq.saturating_sub(*first)).unwrap_or(usize::MAX);
        match self.places.get(guess) {
            Some((at, _)) if *at == seq => Ok(guess),
            _ => self.places.binary_search_by_key(&seq, |(at, _)| *at),
        }
    }
}

impl FromIterator<(u64, Pending)> for PendingMessages {
    fn from_iter<I: IntoIterator<Item = (u64, Pending)>>(messages: I) -> Self {
        let mut all = Self::default();
        messages.into_iter().for_each(|(seq, pending)| all.push(seq, pending));
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn pending(n: u64) -> Pending {
        Pending { consumer_seq: n, delivered_at: Timestamp(0), deliveries: 1, redeliver_at: None }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push(u64),
        Remove(usize),
        Change(usize),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => prop_oneof![Just(1), 1..5_u64].prop_map(Step::Push),
            5 => (0..200_usize).prop_map(Step::Remove),
            1 => (0..200_usize).prop_map(Step::Change),
            1 => Just(Step::Shrink),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(steps in proptest::collection::vec(step(), 0..400)) {
            let (mut all, mut expected) = (PendingMessages::default(), BTreeMap::new());
            let mut last = 10;
            let nth = |expected: &BTreeMap<u64, Pending>, n: usize| {
                // One that is there, or one that is not.
                let seq = expected.keys().nth(n % (expected.len() + 1)).copied();
                seq.unwrap_or(n as u64)
            };
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(distance) => {
                        last += distance;
                        all.push(last, pending(n as u64));
                        expected.insert(last, pending(n as u64));
                    }
                    Step::Remove(at) => {
                        let seq = nth(&expected, at);
                        prop_assert_eq!(all.remove(seq), expected.remove(&seq));
                    }
                    Step::Change(at) => {
                        let seq = nth(&expected, at);
                        let (one, other) = (all.get_mut(seq), expected.get_mut(&seq));
                        prop_assert_eq!(one.is_some(), other.is_some());
                        one.into_iter().chain(other).for_each(|pending| pending.deliveries += 1);
                    }
                    Step::Shrink => all.shrink(),
                }
                prop_assert_eq!(all.len(), expected.len());
                prop_assert!(all.places.len() - all.len() <= FEW.max(all.len()));
                prop_assert!(all.places.capacity() <= FEW.max(8 * all.places.len()));
                let first = expected.first_key_value().map(|(seq, pending)| (*seq, pending));
                prop_assert_eq!(all.first(), first);
            }
            prop_assert!(all.iter().eq(expected.iter().map(|(seq, pending)| (*seq, pending))));
            for (first, end) in [(0, last), (12, 20), (last / 2, last + 5), (last + 1, last + 2)] {
                let part = expected.range(first..=end).map(|(seq, pending)| (*seq, pending));
                prop_assert!(all.range(first..=end).eq(part));
                prop_assert_eq!(all.get(end), expected.get(&end));
            }
        }
    }
}
