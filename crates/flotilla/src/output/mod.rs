//! Output: data for people or for scripts on standard output, words about it on standard error.

pub(crate) mod block;
pub(crate) mod cluster;
pub(crate) mod duration;
pub(crate) mod paint;
pub(crate) mod quantity;
pub(crate) mod table;
pub(crate) mod time;

use std::io::{self, IsTerminal, Write};

use clap::ColorChoice;
use serde_json::Value;

use crate::exit::Failure;
use crate::reply::{Fields, Reply};
use paint::Paint;

/// How to show things: as JSON or not, in colour or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) paint: Paint,
    terminal: bool,
}

impl Output {
    pub(crate) fn new(json: bool, color: ColorChoice) -> Self {
        let terminal = io::stdout().is_terminal();
        Self { json, paint: Paint::new(color, terminal), terminal }
    }

    /// Prints data.
    ///
    /// # Errors
    /// Standard output is gone; a reader that closed the pipe is not worth a message ([`Failure`] knows).
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            stdout.write_all(b"\n")?;
        }
        Ok(stdout.flush()?)
    }

    /// Prints bytes as they are, and nothing after them.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn print_raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes)?;
        Ok(stdout.flush()?)
    }

    /// Prints a reply of the API byte for byte if JSON is wanted, else what `text` makes of it.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn reply(
        &self,
        reply: &Reply,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            self.print(&String::from_utf8_lossy(&reply.raw))
        } else {
            self.print(&text())
        }
    }

    /// Prints a JSON document on one line if JSON is wanted, else what `text` makes of it.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn document(
        &self,
        document: &Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json { self.print(&document.to_string()) } else { self.print(&text()) }
    }

    /// Prints the names of a listing: the listing itself as JSON, or one name per line.
    ///
    /// # Errors
    /// As [`Output::print`].
    pub(crate) fn names(&self, listing: &Value, entries: &str) -> Result<(), Failure> {
        if self.json {
            return self.print(&listing.to_string());
        }
        let names = Fields(listing).texts(entries);
        self.print_raw(names.iter().map(|name| format!("{name}\n")).collect::<String>().as_bytes())
    }

    /// Says what is going on, with the time of day, on standard error.
    pub(crate) fn progress(&self, text: &str) {
        eprintln!("{} {text}", time::of_day());
    }

    /// A table that fits this output: framed on a terminal, bare columns elsewhere.
    pub(crate) fn table(&self, header: &[&str]) -> table::Table {
        table::Table::new(header, self.terminal)
    }
}
