//! NATS's configuration language: text in, a tree of values with places out.
//!
//! A configuration is a map; JSON is a part of the language. Keys and values are separated by `:`, `=` or
//! a blank, entries by a new line, `,` or `;`. See `docs/configuration.md` for the whole grammar. What
//! NATS lets pass by accident (a brace that closes nothing, text that is no UTF-8) is refused here.

mod cursor;
mod digest;
mod error;
mod limits;
mod parser;
mod position;
mod text;
mod value;
mod variable;
mod word;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::source::Source;

pub use error::{Fault, SyntaxError};
pub use limits::{
    MAX_DEPTH, MAX_FILE_BYTES, MAX_FILES, MAX_INCLUDE_DEPTH, MAX_TREE_BYTES, MAX_VARIABLE_DEPTH,
};
pub use position::Position;
pub use value::{Entry, Integer, Map, Value, ValueKind};

/// A parsed configuration, its includes and variables resolved.
#[derive(Clone, Debug)]
pub struct Document {
    /// The outermost map.
    pub root: Map,
    /// Keys that were given more than once; the last one counts.
    pub repeated: Vec<Repeated>,
}

/// A key that was given more than once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The key.
    pub key: String,
    /// Where it stands again.
    pub at: Position,
    /// Where it stood first.
    pub first: Position,
}

/// Reads a file and everything it includes.
///
/// # Errors
/// The first fault, with its place: unlike wrong options, faults of the text are not collected, since
/// what follows a fault cannot be told apart from its consequences.
pub fn parse(path: &Path, source: &dyn Source) -> Result<Document, SyntaxError> {
    let mut parser = parser::Parser::new(source);
    let root = parser.file(path, &Position::whole(path.display().to_string()), 0)?;
    let repeated =
        parser.repeated.into_iter().map(|(at, key, first)| Repeated { key, at, first }).collect();
    Ok(Document { root, repeated })
}

impl Document {
    /// `sha256:` and the hash, in hex, of what the configuration says: the tree as canonical JSON with
    /// sorted keys, so that comments, order and spelling do not matter, and includes and variables do.
    ///
    /// For the same file it is the digest that `nats-server -t` prints.
    pub fn digest(&self) -> String {
        digest::digest(&self.root)
    }
}
