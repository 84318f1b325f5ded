//! A replica stops taking part only for a reason.

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct HonestStops;

impl Invariant for HonestStops {
    fn name(&self) -> &'static str {
        "I14 honest stops"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        // No disk of this run was damaged: nothing may have been lost.
        let Seen::Server { store, totals } = seen else { return Ok(()) };
        match totals.ended.first() {
            Some((group, why)) => Err(format!("{store}: a replica of group {group} ended: {why}")),
            None => Ok(()),
        }
    }
}
