//! The subscription trie: which subscriptions does a literal subject reach?
//!
//! [`Sublist`] is owned by one writer at a time. It changes a [generation counter](Generations) with every
//! subscription that comes or goes, so a reader may keep results in its own [`MatchCache`] and ask the trie only
//! when a counter moved. A cached look-up takes no lock and allocates nothing.

mod cache;
mod generation;
mod trie;

#[cfg(test)]
mod tests;

pub use cache::MatchCache;
pub use generation::Generations;
pub use trie::{Entry, EntryId, Sublist};

use std::sync::Arc;

/// Everything one literal subject reaches, in the order of insertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matches<T> {
    /// Subscriptions outside of queue groups: each gets every message.
    pub plain: Vec<T>,
    /// Queue groups, by their oldest matching member: one member of each gets a message.
    pub queues: Vec<QueueGroup<T>>,
}

impl<T> Matches<T> {
    /// Does nobody listen?
    pub fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.queues.is_empty()
    }
}

impl<T> Default for Matches<T> {
    fn default() -> Self {
        Self { plain: Vec::new(), queues: Vec::new() }
    }
}

/// What a literal subject reaches, and how much of it decided that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// What it reaches.
    pub matches: Matches<T>,
    /// So many bytes from its beginning, the separator behind them included, decided: all subjects that begin so reach the
    /// same, if one token follows there as here, or several do. Its length, if all of it did.
    pub decided_by: usize,
}

/// The members of one queue group that a literal subject reaches, whatever pattern each subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueGroup<T> {
    /// The group's name.
    pub name: Arc<str>,
    /// Its members, oldest first; never empty.
    pub members: Vec<T>,
}
