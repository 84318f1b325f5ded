//! Nothing is delivered or stored that nobody published to that stream, or with other bytes.

use flotilla_raft::GroupId;

use super::{Invariant, Seen};
use crate::history::{History, Publication};

pub(super) struct NothingIsMadeUp;

fn check(history: &History, stream: GroupId, payload: &[u8]) -> Result<(), String> {
    let published = Publication::named_by(payload).and_then(|id| history.publication(id));
    match published {
        Some(publication)
            if publication.stream != stream && !succeeds(history, stream, publication) =>
        {
            Err(format!(
                "publication {} was meant for group {}, not for {stream}",
                publication.id, publication.stream
            ))
        }
        Some(publication) if publication.payload() == payload => Ok(()),
        _ => Err(format!("nobody published {} bytes that are in group {stream}", payload.len())),
    }
}

/// Whether the stream of a publication may have come after `stream`, under its name: consumers are created by name.
fn succeeds(history: &History, stream: GroupId, publication: &Publication) -> bool {
    let before = history.streams.get(&stream).filter(|life| life.may_be_gone);
    let after = history.streams.get(&publication.stream);
    before.zip(after).is_some_and(|(before, after)| before.name == after.name)
}

impl Invariant for NothingIsMadeUp {
    fn name(&self) -> &'static str {
        "I2 nothing is made up"
    }

    fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Delivered { consumer, payload, .. } => match history.consumers.get(consumer) {
                Some(life) => check(history, life.stream, payload),
                None => Ok(()),
            },
            Seen::Final(end) => {
                let replicas =
                    end.streams.iter().flat_map(|(g, r)| r.values().map(move |m| (*g, m)));
                for (group, held) in replicas {
                    for message in held.messages.values() {
                        check(history, group, &message.payload)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
