//! What is damaged on some copies is repaired from the others; what is damaged on all is reported.

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct DamageIsRepaired;

impl Invariant for DamageIsRepaired {
    fn name(&self) -> &'static str {
        "I15 damage is repaired"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Final(end) = seen else { return Ok(()) };
        for (group, replicas) in &end.streams {
            for (store, held) in replicas {
                if let Some(seq) = held.unreadable.first() {
                    return Err(format!("{store}: message {seq} of group {group} cannot be read"));
                }
            }
        }
        Ok(())
    }
}
