//! Many patterns, and the question which of them overlap with one more.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use crate::grammar::{ANY, REST, SEPARATOR, tokens};
use crate::pattern::overlap;

/// Patterns, each with a value. They are kept by their literal beginnings, so that a question looks only at patterns whose
/// beginning is one of the question's, or goes on where the question has a wildcard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternIndex<V> {
    by_beginning: BTreeMap<Box<str>, Vec<(Box<str>, V)>>,
}

impl<V> Default for PatternIndex<V> {
    fn default() -> Self {
        Self { by_beginning: BTreeMap::new() }
    }
}

impl<V: Ord> PatternIndex<V> {
    /// Adds a pattern with a value. The same one may be added several times, and is there as often.
    pub fn insert(&mut self, pattern: &str, value: V) {
        let patterns = self.by_beginning.entry(beginning(pattern).into()).or_default();
        let entry = (pattern.into(), value);
        // In order, so that what is in an index does not depend on how it came there.
        let at = patterns.partition_point(|other| *other < entry);
        patterns.insert(at, entry);
    }

    /// Takes a pattern with this value out, once. Returns whether it was there.
    pub fn remove(&mut self, pattern: &str, value: &V) -> bool {
        let Entry::Occupied(mut patterns) = self.by_beginning.entry(beginning(pattern).into())
        else {
            return false;
        };
        let is_it = |(p, v): &(Box<str>, V)| &**p == pattern && v == value;
        let Some(at) = patterns.get().iter().position(is_it) else { return false };
        patterns.get_mut().remove(at);
        if patterns.get().is_empty() {
            patterns.remove();
        }
        true
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_beginning.is_empty()
    }

    /// All patterns for which there is a literal that belongs to them and to `pattern`, with their values.
    pub fn overlapping<'a>(&'a self, pattern: &'a str) -> impl Iterator<Item = (&'a str, &'a V)> {
        let fixed = beginning(pattern);
        let ends = fixed.char_indices().filter(|(_, c)| *c == SEPARATOR).map(|(at, _)| at);
        // One that begins with nothing literal, one that begins as this does, and what is between.
        let whole = (!fixed.is_empty()).then_some(fixed.len());
        let shorter = std::iter::once(0).chain(ends).chain(whole);
        let shorter = shorter.filter_map(|end| self.by_beginning.get(&fixed[..end]));
        let open = fixed.len() < pattern.len();
        let longer = open.then(|| self.beyond(fixed)).into_iter().flatten();
        let candidates = shorter.chain(longer).flatten();
        candidates.filter(|(other, _)| overlap(other, pattern)).map(|(p, value)| (&**p, value))
    }

    /// What begins with all of `fixed` and more.
    fn beyond<'a>(&'a self, fixed: &'a str) -> impl Iterator<Item = &'a Vec<(Box<str>, V)>> {
        let after = self.by_beginning.range::<str, _>((Bound::Excluded(fixed), Bound::Unbounded));
        after.take_while(move |(other, _)| other.starts_with(fixed)).map(|(_, patterns)| patterns)
    }
}

/// The tokens of `pattern` before its first wildcard, joined.
fn beginning(pattern: &str) -> &str {
    let mut end: usize = 0;
    for token in tokens(pattern) {
        if token == ANY || token == REST {
            return &pattern[..end.saturating_sub(1)];
        }
        end += token.len() + 1;
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_beginning_ends_before_the_first_wildcard() {
        for (pattern, expected) in
            [("a.b", "a.b"), ("a.*.c", "a"), ("a.b.>", "a.b"), ("*", ""), (">", ""), ("a*.>", "a*")]
        {
            assert_eq!(beginning(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_taken_out_as_often_as_it_was_put_in_is_gone() {
        let mut index = PatternIndex::default();
        index.insert("a.*", 1);
        index.insert("a.*", 1);
        assert!(index.remove("a.*", &1));
        assert!(!index.remove("a.*", &2));
        assert_eq!(index.overlapping("a.b").collect::<Vec<_>>(), [("a.*", &1)]);
        assert!(index.remove("a.*", &1));
        assert!(index.is_empty());
    }

    fn pattern() -> impl Strategy<Value = String> {
        let token = prop_oneof![6 => "[ab]{1,2}", 2 => Just("*".to_owned())];
        (prop::collection::vec(token, 0..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest || tokens.is_empty() {
                tokens.push(">".to_owned());
            }
            tokens.join(".")
        })
    }

    proptest! {
        #[test]
        fn it_answers_as_a_look_at_all_of_them(
            patterns in prop::collection::vec(pattern(), 0..20),
            taken in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            question in pattern(),
        ) {
            let mut left: Vec<(String, usize)> =
                patterns.into_iter().enumerate().map(|(n, pattern)| (pattern, n % 3)).collect();
            let mut index = PatternIndex::default();
            for (pattern, value) in &left {
                index.insert(pattern, *value);
            }
            for at in taken {
                if !left.is_empty() {
                    let (pattern, value) = left.swap_remove(at.index(left.len()));
                    prop_assert!(index.remove(&pattern, &value));
                }
            }
            left.retain(|(pattern, _)| overlap(pattern, &question));
            left.sort();
            let mut found: Vec<(String, usize)> =
                index.overlapping(&question).map(|(p, v)| (p.to_owned(), *v)).collect();
            found.sort();
            prop_assert_eq!(found, left);
        }
    }
}
