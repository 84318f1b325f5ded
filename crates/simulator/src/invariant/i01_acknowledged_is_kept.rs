//! What was acknowledged is there, with the same bytes, on every replica; unless somebody had it removed.

use super::{Invariant, Seen};
use crate::history::History;

pub(super) struct AcknowledgedIsKept;

impl Invariant for AcknowledgedIsKept {
    fn name(&self) -> &'static str {
        "I1 what was acknowledged is kept"
    }

    fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Final(end) = seen else { return Ok(()) };
        let whole = history.streams.iter().filter(|(group, _)| !end.beyond_repair.contains(group));
        for (group, life) in whole {
            let Some(replicas) = end.streams.get(group) else {
                if !life.may_be_gone {
                    return Err(format!("stream {} (group {group}) is gone", life.name));
                }
                continue;
            };
            for (store, held) in replicas {
                for (seq, id) in &life.acked {
                    let Some(publication) = history.publication(*id) else { continue };
                    match held.messages.get(seq) {
                        Some(message) if message.payload == publication.payload() => {}
                        Some(_) => {
                            return Err(format!(
                                "{store}: message {seq} of {} is not publication {id}",
                                life.name
                            ));
                        }
                        None if life.explains(*seq, publication.at, held.last_seq) => {}
                        None => {
                            return Err(format!(
                                "{store}: message {seq} of {} (publication {id}) is lost; last is {}",
                                life.name, held.last_seq
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
