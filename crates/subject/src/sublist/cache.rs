//! What one reader remembers of a sublist.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::{Generations, Matches};

/// One reader's bounded memory of matches, each valid for one generation of its subject.
///
/// It is not shared: every connection owns one, so a hit costs one comparison of generations and one look-up by
/// the borrowed subject, without a lock, an allocation or a reference count.
#[derive(Debug)]
pub struct MatchCache<T> {
    capacity: usize,
    /// Subjects and targets that are held.
    held: usize,
    /// Subject to slot. The hasher is fixed: the order of this map is never seen, and whoever finds colliding
    /// subjects slows down only the connection that publishes to them.
    slots: HashMap<Arc<str>, usize, BuildHasherDefault<DefaultHasher>>,
    remembered: Vec<Remembered<T>>,
    /// The slot of the last subject: most publishers stay with one.
    last: usize,
}

#[derive(Debug)]
struct Remembered<T> {
    literal: Arc<str>,
    generation: u64,
    matches: Matches<T>,
}

impl<T> MatchCache<T> {
    /// A cache that holds up to `capacity` subjects and targets together, and starts over when it is full. One
    /// match is remembered even if it is larger than that.
    pub fn new(capacity: usize) -> Self {
        Self { capacity, held: 0, slots: HashMap::default(), remembered: Vec::new(), last: 0 }
    }

    /// What `literal` matches: remembered, or found by `find` in the list that `generations` belong to.
    pub fn get(
        &mut self,
        generations: &Generations,
        literal: &str,
        find: impl FnOnce() -> Matches<T>,
    ) -> &Matches<T> {
        // The number is read before the list: a change in between makes the new entry stale, never falsely fresh.
        let generation = generations.of(literal);
        let is_last = self.remembered.get(self.last).is_some_and(|last| *last.literal == *literal);
        let known = if is_last { Some(self.last) } else { self.slots.get(literal).copied() };
        self.last = match known {
            Some(slot) if self.remembered[slot].generation == generation => slot,
            stale => self.remember(literal, stale, generation, find()),
        };
        &self.remembered[self.last].matches
    }

    /// Forgets everything. To be called when the cache is to be used with another list.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.remembered.clear();
        self.held = 0;
    }

    /// How many subjects are remembered.
    pub fn len(&self) -> usize {
        self.remembered.len()
    }

    /// Is nothing remembered?
    pub fn is_empty(&self) -> bool {
        self.remembered.is_empty()
    }

    /// Puts what was found into the place of a stale entry, or a new one, and answers where it is.
    fn remember(
        &mut self,
        literal: &str,
        stale: Option<usize>,
        generation: u64,
        matches: Matches<T>,
    ) -> usize {
        let literal =
            stale.map_or_else(|| literal.into(), |slot| self.remembered[slot].literal.clone());
        let new = Remembered { literal, generation, matches };
        let weight = new.weight();
        let freed = stale.map_or(0, |slot| self.remembered[slot].weight());
        let is_full = self.held - freed + weight > self.capacity;
        if let Some(slot) = stale.filter(|_| !is_full) {
            self.held = self.held - freed + weight;
            self.remembered[slot] = new;
            return slot;
        }
        if is_full {
            self.clear();
        }
        let slot = self.remembered.len();
        self.slots.insert(Arc::clone(&new.literal), slot);
        self.remembered.push(new);
        self.held += weight;
        slot
    }
}

impl<T> Remembered<T> {
    fn weight(&self) -> usize {
        let queued: usize = self.matches.queues.iter().map(|group| 1 + group.members.len()).sum();
        1 + self.matches.plain.len() + queued
    }
}
