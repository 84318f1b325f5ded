//! A leader's answer is never older than what anybody was told before it was asked, and of messages that expect a
//! sequence exactly those are stored that were right.

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct LeaderReads;

impl Invariant for LeaderReads {
    fn name(&self) -> &'static str {
        "I9 leaders' reads and expected sequences"
    }

    fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::LastSeq { stream, known, last_seq } if last_seq < known => Err(format!(
                "the leader of group {stream} said {last_seq} after {known} was acknowledged"
            )),
            Seen::Stored { id, seq, duplicate: false } => {
                let expected = history.publication(*id).and_then(|p| p.expected);
                match expected {
                    Some(expected) if expected + 1 != *seq => {
                        Err(format!("publication {id} expected {expected} and was stored at {seq}"))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
