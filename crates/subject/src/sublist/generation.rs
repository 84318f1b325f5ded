//! Counters that say whether a remembered match is still true.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::grammar::{ANY, REST, tokens};

/// Subjects are spread over this many counters by their first token, so that the coming and going of `_INBOX`
/// subscriptions does not make everyone forget what `orders.>` matches.
const BUCKETS: usize = 64;

/// The generation counters of one [`Sublist`](super::Sublist), shared with its readers.
///
/// A change to the list moves the counter of the changed subject's first token, or the counter of all if that token
/// is a wildcard, *after* the list has changed. A reader that sees an old number acts as if it came before the change.
#[derive(Debug)]
pub struct Generations {
    everywhere: AtomicU64,
    by_first_token: [AtomicU64; BUCKETS],
}

impl Default for Generations {
    fn default() -> Self {
        Self {
            everywhere: AtomicU64::new(0),
            by_first_token: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Generations {
    /// The generation of everything that `literal` may match. Two calls give the same number only if no
    /// subscription that matches `literal` came or went between them.
    pub fn of(&self, literal: &str) -> u64 {
        // Both counters only grow, so their sum stands still only if both do.
        let own = self.bucket(first_token(literal)).load(Ordering::Acquire);
        self.everywhere.load(Ordering::Acquire).wrapping_add(own)
    }

    pub(super) fn changed(&self, pattern: &str) {
        let counter = match first_token(pattern) {
            ANY | REST => &self.everywhere,
            token => self.bucket(token),
        };
        counter.fetch_add(1, Ordering::Release);
    }

    fn bucket(&self, token: &str) -> &AtomicU64 {
        // FNV-1a: the tokens are short. A collision costs a look-up in the trie, nothing else.
        let hash = token
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        &self.by_first_token[hash as usize % BUCKETS]
    }
}

fn first_token(subject: &str) -> &str {
    tokens(subject).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_by_those_it_may_concern() {
        let generations = Generations::default();
        let before = (generations.of("orders.eu"), generations.of("_INBOX.x"));
        generations.changed("_INBOX.>");
        assert_eq!(generations.of("orders.eu"), before.0);
        assert_ne!(generations.of("_INBOX.x"), before.1);

        let before = (generations.of("orders.eu"), generations.of("_INBOX.x"));
        generations.changed("*.eu");
        assert_ne!(generations.of("orders.eu"), before.0);
        assert_ne!(generations.of("_INBOX.x"), before.1);
    }
}
