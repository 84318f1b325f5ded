//! How far the opening of a store is, for those who wait for it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

/// How far it is. Whoever opens the store writes, and anybody reads.
#[derive(Debug, Default)]
pub struct Opening(Mutex<Stage>);

/// What is done now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The log is being read.
    #[default]
    Log,
    /// Groups are being opened; all of them, when both numbers are the same.
    Groups {
        /// Those that have been.
        open: usize,
        /// All that the store has.
        of: usize,
    },
}

impl Opening {
    /// What is done now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reached(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log => f.write_str("its log is being read"),
            Self::Groups { open, of } => write!(f, "{open} of {of} groups are open"),
        }
    }
}
