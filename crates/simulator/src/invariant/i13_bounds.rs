//! The log does not grow without end, whoever is slow or gone.

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct Bounds;

impl Invariant for Bounds {
    fn name(&self) -> &'static str {
        "I13 bounds"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            // At twice the cap nothing is taken but what makes room; a file more may have been begun.
            Seen::Log { store, used, cap } if *used > cap * 3 => {
                Err(format!("{store}: the log has {used} bytes, its cap is {cap}"))
            }
            _ => Ok(()),
        }
    }
}
