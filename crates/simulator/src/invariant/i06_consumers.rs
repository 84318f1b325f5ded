//! What a client knows to be acknowledged does not come again, and floors do not go back. A delivery may come late, as one
//! that was long on its way: who sent it stood still meanwhile, and was succeeded.

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct Consumers;

impl Invariant for Consumers {
    fn name(&self) -> &'static str {
        "I6 what is acknowledged does not come again"
    }

    fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Delivered { consumer, seq, deliveries, late: false, .. } => {
                let Some(life) = history.consumers.get(consumer) else { return Ok(()) };
                if life.confirmed.contains(seq) {
                    return Err(format!(
                        "consumer {} (group {consumer}) delivers {seq} for the {deliveries}th time, which was \
                         acknowledged and confirmed",
                        life.name
                    ));
                }
                Ok(())
            }
            Seen::Floor { consumer, known, floor } if floor < known => {
                Err(format!("group {consumer}: the floor went from {known} back to {floor}"))
            }
            _ => Ok(()),
        }
    }
}
