//! The log does not grow without end, whoever is slow or gone.

use super::{Invariant, Seen};
use crate::history::History;
use crate::world::{INBOX, QUEUE};

/// What three shards and the log may have before them, and a file that was begun.
const SLACK: u64 = 2 * (2 * 3 * INBOX as u64 + QUEUE as u64);

pub(super) struct Bounds;

impl Invariant for Bounds {
    fn name(&self) -> &'static str {
        "I13 bounds"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            // At four times the cap nothing is taken but what makes room, with what was gathered with it: all that waits for
            // the log, and what one turn of each shard makes of all that waited for it.
            Seen::Log { store, used, cap, pins } if *used > cap * 6 + SLACK => Err(format!(
                "{store}: the log has {used} bytes, its cap is {cap}; pinned by {pins:?}"
            )),
            _ => Ok(()),
        }
    }
}
