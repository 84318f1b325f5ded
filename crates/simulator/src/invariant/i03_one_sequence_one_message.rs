//! A sequence is given to one message, for ever, and sequences only grow.

use std::collections::BTreeMap;

use flotilla_raft::GroupId;

use super::{Invariant, Seen};
use crate::history::{History, Publication};

#[derive(Default)]
pub(super) struct OneSequenceOneMessage {
    /// Which publication has which sequence, from acknowledgements and deliveries.
    owners: BTreeMap<(GroupId, u64), u64>,
    last: BTreeMap<GroupId, u64>,
}

impl OneSequenceOneMessage {
    fn own(&mut self, stream: GroupId, seq: u64, id: u64) -> Result<(), String> {
        match *self.owners.entry((stream, seq)).or_insert(id) {
            before if before == id => Ok(()),
            before => Err(format!(
                "sequence {seq} of group {stream} is that of publications {before} and {id}"
            )),
        }
    }
}

impl Invariant for OneSequenceOneMessage {
    fn name(&self) -> &'static str {
        "I3 one sequence, one message"
    }

    fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Stored { id, seq, duplicate } => {
                let Some(publication) = history.publication(*id) else { return Ok(()) };
                let last = self.last.entry(publication.stream).or_default();
                *last = (*last).max(*seq);
                if *duplicate { Ok(()) } else { self.own(publication.stream, *seq, *id) }
            }
            Seen::Delivered { consumer, seq, payload, .. } => {
                let id = Publication::named_by(payload).and_then(|id| history.publication(id));
                match id.filter(|_| history.consumers.contains_key(consumer)) {
                    Some(publication) => self.own(publication.stream, *seq, publication.id),
                    None => Ok(()),
                }
            }
            Seen::Final(end) => {
                for (group, replicas) in &end.streams {
                    let told = self.last.get(group).copied().unwrap_or(0);
                    for (store, held) in replicas {
                        if held.last_seq < told {
                            let last = held.last_seq;
                            return Err(format!(
                                "{store}: group {group} ends at {last}, but {told} was acknowledged"
                            ));
                        }
                        for (seq, message) in &held.messages {
                            if let Some(id) = Publication::named_by(&message.payload) {
                                self.own(*group, *seq, id)?;
                            }
                        }
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
