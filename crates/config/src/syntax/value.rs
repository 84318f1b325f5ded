//! The tree that the parser makes: values that remember where they were written.

use std::fmt;

use indexmap::IndexMap;

use super::position::Position;

/// A value and the place where it begins.
///
/// `Debug` shows the kind and the place but no content: a value may be a password.
#[derive(Clone, PartialEq)]
pub struct Value {
    /// Where the value begins; for a variable, where the variable is used.
    pub at: Position,
    /// What it is.
    pub kind: ValueKind,
}

/// What a value is.
#[derive(Clone, PartialEq)]
pub enum ValueKind {
    /// `true`, `yes`, `on`, or `false`, `no`, `off`, in any case.
    Bool(bool),
    /// A whole number, its suffix applied.
    Integer(Integer),
    /// A number with a fraction.
    Float(f64),
    /// A string: bare, quoted or a block.
    Text(String),
    /// A UTC date and time, `2026-11-20T12:00:00Z`, as it was written.
    Datetime(String),
    /// `[ ... ]`.
    Array(Vec<Value>),
    /// `{ ... }`.
    Map(Map),
}

/// A whole number with its suffix applied.
#[derive(Clone, PartialEq, Eq)]
pub struct Integer {
    /// The number: `8k` is 8000, `8kb` is 8192.
    pub number: i64,
    /// The word as it was written if it had a suffix: where a duration is wanted, `5m` is a mistake
    /// (five million) that deserves a better answer than "not a duration".
    pub suffixed: Option<Box<str>>,
}

/// A map's key and value.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// Where the key begins.
    pub at: Position,
    /// The value under the key.
    pub value: Value,
    /// Whether a `$NAME` referred to this entry: then the key need not be an option.
    pub used: bool,
}

/// A map in the order of its keys' first appearance; keys are exact, case included.
#[derive(Clone, Default, PartialEq)]
pub struct Map {
    entries: IndexMap<String, Entry>,
}

impl Map {
    /// The entry under exactly this key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    /// Sets a key, and gives back what it replaces.
    pub(super) fn insert(&mut self, key: String, entry: Entry) -> Option<Entry> {
        self.entries.insert(key, entry)
    }

    /// Keys and entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(key, entry)| (key.as_str(), entry))
    }

    pub(super) fn into_entries(self) -> impl Iterator<Item = (String, Entry)> {
        self.entries.into_iter()
    }
}

impl Value {
    /// What kind of value this is, for messages; never the content.
    pub fn describe(&self) -> &'static str {
        match self.kind {
            ValueKind::Bool(_) => "a boolean",
            ValueKind::Integer(_) => "an integer",
            ValueKind::Float(_) => "a number with a fraction",
            ValueKind::Text(_) => "a string",
            ValueKind::Datetime(_) => "a date",
            ValueKind::Array(_) => "an array",
            ValueKind::Map(_) => "a map",
        }
    }

    /// How deep the value nests: 1 for a scalar.
    pub(super) fn depth(&self) -> usize {
        1 + match &self.kind {
            ValueKind::Array(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            ValueKind::Map(map) => {
                map.iter().map(|(_, entry)| entry.value.depth()).max().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// About how many bytes the value takes, so that variables cannot multiply without limit.
    pub(super) fn weight(&self) -> usize {
        const NODE: usize = 64;
        NODE + match &self.kind {
            ValueKind::Text(text) | ValueKind::Datetime(text) => text.len(),
            ValueKind::Array(items) => items.iter().map(Self::weight).sum(),
            ValueKind::Map(map) => {
                map.iter().map(|(key, entry)| key.len() + entry.value.weight()).sum()
            }
            _ => 0,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.describe(), self.at)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, entry)| (key, &entry.value))).finish()
    }
}
