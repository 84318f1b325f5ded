//! The `Nats-Msg-Id`s of a stream's recent past.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use crate::Timestamp;

/// A remembered id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) id: Arc<[u8]>,
    pub(super) seq: u64,
    pub(super) time: Timestamp,
}

/// Which ids were stored within the window, and under which sequence. Time in here is applied time,
/// so every replica forgets an id at the same command. As in NATS an id is remembered for the whole
/// window, also when its message is removed earlier.
#[derive(Debug, Default)]
pub(super) struct Dedup {
    /// A tree, so that no choice of ids makes it slow.
    by_id: BTreeMap<Arc<[u8]>, u64>,
    /// In the order of their times.
    in_order: VecDeque<Seen>,
}

impl Dedup {
    /// The sequence that `id` was stored under.
    pub(super) fn get(&self, id: &[u8]) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    /// Remembers `id`, which is not remembered yet, at a time not before any other.
    pub(super) fn insert(&mut self, id: &[u8], seq: u64, time: Timestamp) {
        let id: Arc<[u8]> = id.into();
        self.by_id.insert(id.clone(), seq);
        self.in_order.push_back(Seen { id, seq, time });
    }

    /// Forgets what is `window` nanoseconds old, or older, at `now`.
    pub(super) fn expire(&mut self, now: Timestamp, window: u64) {
        while let Some(oldest) = self.in_order.front()
            && now.since(oldest.time) >= window
        {
            self.by_id.remove(&oldest.id);
            self.in_order.pop_front();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// What is remembered, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.in_order.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_the_window_and_no_longer() {
        let mut dedup = Dedup::default();
        dedup.insert(b"a", 1, Timestamp(100));
        dedup.insert(b"b", 2, Timestamp(150));
        dedup.expire(Timestamp(199), 100);
        assert_eq!(dedup.get(b"a"), Some(1));
        dedup.expire(Timestamp(200), 100);
        assert_eq!((dedup.get(b"a"), dedup.get(b"b")), (None, Some(2)));
        dedup.insert(b"a", 3, Timestamp(200));
        dedup.expire(Timestamp(250), 100);
        assert_eq!((dedup.get(b"a"), dedup.len()), (Some(3), 1));
    }
}
