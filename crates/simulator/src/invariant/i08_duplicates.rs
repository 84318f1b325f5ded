//! Of messages with one id one is stored, and "duplicate" is said only of what is there.

use std::collections::BTreeMap;

use flotilla_raft::GroupId;

use super::{Invariant, Seen};
use crate::history::History;

#[derive(Default)]
pub(super) struct Duplicates {
    /// Where a message with the id is, as clients were told.
    stored: BTreeMap<(GroupId, String), u64>,
}

impl Invariant for Duplicates {
    fn name(&self) -> &'static str {
        "I8 duplicates"
    }

    fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), String> {
        if history.clocks_are_wrong {
            return Ok(());
        }
        match seen {
            Seen::Stored { id, seq, duplicate } => {
                let Some(publication) = history.publication(*id) else { return Ok(()) };
                let Some(msg_id) = &publication.msg_id else {
                    return match duplicate {
                        true => {
                            Err(format!("publication {id} has no id and is called a duplicate"))
                        }
                        false => Ok(()),
                    };
                };
                let key = (publication.stream, msg_id.clone());
                match *self.stored.entry(key).or_insert(*seq) {
                    before if before == *seq => Ok(()),
                    before => Err(format!("{msg_id} is stored at {before} and at {seq}")),
                }
            }
            Seen::Final(end) => {
                for ((group, msg_id), seq) in &self.stored {
                    let Some(life) = history.streams.get(group) else { continue };
                    for (store, held) in end.streams.get(group).into_iter().flatten() {
                        let there = held.messages.get(seq).is_some_and(|message| {
                            let headers = String::from_utf8_lossy(&message.headers);
                            headers.contains(&format!("Nats-Msg-Id: {msg_id}\r\n"))
                        });
                        if !there && !life.explains(*seq, 0, held.last_seq) {
                            return Err(format!("{store}: {msg_id} is not at {seq} as was said"));
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
