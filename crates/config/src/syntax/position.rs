//! Where in a configuration something stands.

use std::fmt;
use std::sync::Arc;

/// A place in a configuration file, so that every complaint can point at it.
///
/// Lines and columns start at one and count characters, not bytes. Line zero means "the source as a
/// whole": the command line, or a rule over several options.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    file: Arc<str>,
    line: u32,
    column: u32,
}

impl Position {
    /// A character of `file`.
    pub fn new(file: Arc<str>, line: u32, column: u32) -> Self {
        Self { file, line, column }
    }

    /// The source as a whole, such as `the command line`.
    pub fn whole(file: impl Into<Arc<str>>) -> Self {
        Self { file: file.into(), line: 0, column: 0 }
    }

    /// The file's name as it was given or included.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from one; zero for the source as a whole.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The column in characters, from one; zero for the source as a whole.
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return f.write_str(&self.file);
        }
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}
