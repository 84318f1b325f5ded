//! NATS subjects: their grammar, wildcard matching, and the subscription trie.
//!
//! A subject is a list of tokens joined by `.`, for example `orders.eu.new`. In a *pattern* the token `*` stands
//! for exactly one token and `>`, as the last token, for one or more. A subject without such tokens is a *literal*.
//!
//! * [`grammar`] says which text is a subject at all.
//! * [`pattern`] compares two subjects: does one match, overlap or contain the other?
//! * [`PatternIndex`] answers "which of many patterns overlap with this one?".
//! * [`sublist`] answers "who subscribed to this literal?" for many subscriptions at once, with queue groups.
//!
//! The crate has no I/O, no clock and no randomness; equal inputs give equal outputs, order included.

pub mod grammar;
pub mod pattern;
mod pattern_index;
pub mod sublist;

pub use grammar::{
    InvalidSubject, has_wildcards, is_literal, is_publishable, is_subscribable, tokens,
};
pub use pattern::{is_subset, matches, overlap};
pub use pattern_index::PatternIndex;
pub use sublist::{EntryId, Found, Generations, MatchCache, Matches, QueueGroup, Sublist};
