//! Reading characters, with line and column counted along the way.

use std::sync::Arc;

use super::error::{Fault, SyntaxError};
use super::position::Position;

/// A place in a text that moves forward only.
pub(super) struct Cursor<'t> {
    file: Arc<str>,
    rest: &'t str,
    line: u32,
    column: u32,
}

impl<'t> Cursor<'t> {
    pub(super) fn new(file: Arc<str>, text: &'t str) -> Self {
        Self { file, rest: text, line: 1, column: 1 }
    }

    /// Where the next character stands.
    pub(super) fn position(&self) -> Position {
        Position::new(Arc::clone(&self.file), self.line, self.column)
    }

    /// A fault at the next character.
    pub(super) fn fault(&self, fault: Fault) -> SyntaxError {
        SyntaxError { at: self.position(), fault }
    }

    /// The next character, which stays.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// The next character, which is passed.
    pub(super) fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(next)
    }

    /// Passes the next character if it is `wanted`.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    /// Passes characters while they please, and gives them.
    pub(super) fn take_while(&mut self, mut pleases: impl FnMut(char) -> bool) -> &'t str {
        let start = self.rest;
        while self.peek().is_some_and(&mut pleases) {
            self.next();
        }
        // `rest` is always a tail of `start`, on a character boundary.
        start.get(..start.len() - self.rest.len()).unwrap_or_default()
    }

    /// Passes blanks on this line.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(is_blank);
    }

    /// Passes blanks and line ends; says whether a line ended.
    pub(super) fn skip_lines(&mut self) -> bool {
        self.take_while(|c| is_blank(c) || is_line_end(c)).contains(is_line_end)
    }

    /// Passes blanks, line ends and comments; says whether a line ended or a comment began.
    pub(super) fn skip_space(&mut self) -> bool {
        let mut broke = false;
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(c) if is_line_end(c) => {
                    self.next();
                }
                _ if self.at_comment() => {
                    self.take_while(|c| !is_line_end(c));
                }
                _ => return broke,
            }
            broke = true;
        }
    }

    /// Whether a comment begins here.
    pub(super) fn at_comment(&self) -> bool {
        self.rest.starts_with('#') || self.rest.starts_with("//")
    }

    /// Passes `)` alone on its line, which ends a block; says whether it stood here.
    pub(super) fn take_block_end(&mut self) -> bool {
        let found = self
            .rest
            .strip_prefix(')')
            .is_some_and(|behind| behind.is_empty() || behind.starts_with(is_line_end));
        if found {
            self.next();
        }
        found
    }
}

pub(super) fn is_blank(c: char) -> bool {
    c == ' ' || c == '\t'
}

pub(super) fn is_line_end(c: char) -> bool {
    c == '\n' || c == '\r'
}
