//! What one reader remembers of a sublist.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::{Found, Generations, Matches};
use crate::grammar::{SEPARATOR, is_publishable};

/// How many beginnings of subjects are remembered. Each message that waits for its acknowledgement has a subject of its own
/// for that, and so has each request for its reply; but few beginnings.
const SHARED: usize = 4;

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
    /// What all subjects with the same beginning match.
    shared: Vec<Shared<T>>,
    /// Which of these is the next to be forgotten.
    oldest: usize,
}

#[derive(Debug)]
struct Remembered<T> {
    literal: Arc<str>,
    generation: u64,
    matches: Matches<T>,
}

#[derive(Debug)]
struct Shared<T> {
    beginning: Box<str>,
    /// Whether one token follows, or several.
    one: bool,
    generation: u64,
    matches: Matches<T>,
}

impl<T> MatchCache<T> {
    /// A cache that holds up to `capacity` subjects and targets together, and starts over when it is full. One
    /// match is remembered even if it is larger than that, and a few beginnings of subjects are beside it.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            held: 0,
            slots: HashMap::default(),
            remembered: Vec::new(),
            last: 0,
            shared: Vec::new(),
            oldest: 0,
        }
    }

    /// What `literal` matches: remembered, or found by `find` in the list that `generations` belong to.
    pub fn get(
        &mut self,
        generations: &Generations,
        literal: &str,
        find: impl FnOnce() -> Found<T>,
    ) -> &Matches<T> {
        // The number is read before the list: a change in between makes the new entry stale, never falsely fresh.
        let generation = generations.of(literal);
        let is_last = self.remembered.get(self.last).is_some_and(|last| *last.literal == *literal);
        if !is_last {
            let covers = |shared: &Shared<T>| shared.covers(literal, generation);
            if let Some(at) = self.shared.iter().position(covers) {
                return &self.shared[at].matches;
            }
        }
        let known = if is_last { Some(self.last) } else { self.slots.get(literal).copied() };
        match known {
            Some(slot) if self.remembered[slot].generation == generation => self.last = slot,
            stale => {
                let Found { matches, decided_by } = find();
                if decided_by < literal.len() {
                    let (beginning, rest) = literal.split_at(decided_by);
                    let (beginning, one) = (beginning.into(), !rest.contains(SEPARATOR));
                    return self.share(Shared { beginning, one, generation, matches });
                }
                self.last = self.remember(literal, stale, generation, matches);
            }
        }
        &self.remembered[self.last].matches
    }

    /// Forgets everything. To be called when the cache is to be used with another list.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.remembered.clear();
        self.shared.clear();
        self.held = 0;
    }

    /// How many subjects are remembered.
    pub fn len(&self) -> usize {
        self.remembered.len()
    }

    /// Is no subject remembered?
    pub fn is_empty(&self) -> bool {
        self.remembered.is_empty()
    }

    fn share(&mut self, new: Shared<T>) -> &Matches<T> {
        let is_same = |old: &Shared<T>| old.beginning == new.beginning && old.one == new.one;
        let at = match self.shared.iter().position(is_same) {
            Some(stale) => stale,
            None if self.shared.len() < SHARED => self.shared.len(),
            None => {
                self.oldest = (self.oldest + 1) % SHARED;
                self.oldest
            }
        };
        if at == self.shared.len() {
            self.shared.push(new);
        } else {
            self.shared[at] = new;
        }
        &self.shared[at].matches
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

impl<T> Shared<T> {
    /// Whether `literal` matches this. All that is no subject matches nothing, however it begins.
    fn covers(&self, literal: &str, generation: u64) -> bool {
        let Some(rest) = literal.strip_prefix(&*self.beginning) else { return false };
        self.generation == generation
            && rest.contains(SEPARATOR) != self.one
            && is_publishable(rest)
    }
}
