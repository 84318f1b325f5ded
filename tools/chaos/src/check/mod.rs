//! What a history must keep to. Each invariant is a file; each takes a whole history and tells what broke it.
//!
//! An outcome that nobody knows (a timeout, a lost connection) binds nobody: it may have happened or not. What was
//! acknowledged must be there.

mod acknowledged;
mod consumer;
mod duplicates;
#[cfg(test)]
mod fixture;
mod linear;
mod sequences;

use std::fmt;

use serde::Serialize;

use crate::event::Micros;
use crate::history::History;

/// What was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Invariant {
    /// I1: what was acknowledged is readable at its sequence, unless a deletion explains its absence.
    Acknowledged,
    /// I15: a server whose files were damaged has everything again; it never says that nothing was there.
    Damage,
    /// I2: nothing is served that nobody sent, or not as it was sent.
    Unaltered,
    /// I3: one sequence, one message, for ever; the last sequence never goes back.
    Sequences,
    /// I6: what was confirmed as acknowledged does not come again; the floor never goes back; the rest comes again.
    Consumer,
    /// I8: one message for one id; "duplicate" is said only of what is stored.
    Duplicates,
    /// I9: writes that expect a sequence and reads from the leader are linearizable.
    Linearizable,
    /// I11: when nothing is wrong any more, everything works again.
    Liveness,
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Acknowledged => "I1 acknowledged and lost",
            Self::Damage => "I15 not given by a damaged server",
            Self::Unaltered => "I2 altered or never sent",
            Self::Sequences => "I3 sequences",
            Self::Consumer => "I6 consumer",
            Self::Duplicates => "I8 duplicated",
            Self::Linearizable => "I9 not linearizable",
            Self::Liveness => "I11 does not work again",
        })
    }
}

/// One thing that must not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it breaks.
    pub invariant: Invariant,
    /// When the operation concerned was answered.
    pub at: Micros,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    fn new(invariant: Invariant, at: Micros, what: impl Into<String>) -> Self {
        Self { invariant, at, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at as f64 / 1e6;
        write!(formatter, "{}: {} (at {seconds:.3} s)", self.invariant, self.what)
    }
}

/// Everything that is wrong with a history.
#[must_use]
pub fn check(history: &History) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(acknowledged::check(history));
    findings.extend(sequences::check(history));
    findings.extend(consumer::check(history));
    findings.extend(duplicates::check(history));
    findings.extend(linear::check(history));
    findings
}
