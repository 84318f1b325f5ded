//! What this replica can give to a damaged one of its group.

use bytes::Bytes;
use flotilla_raft::{Entry, ReplicaId};

use super::{Machine, Replica};
use crate::bundle::{Entries, Lack, Say, Segment, State};
use crate::mend::{At, Part};
use crate::turn::Cx;

/// How many bytes of entries are given at once; one larger entry goes by itself.
const ENTRIES_BYTES: usize = 1 << 20;
/// How many empty entries are proposed at once.
const MOST_EMPTY: u64 = 64;

impl<M: Machine> Replica<M> {
    /// The part that a peer's replica has lost; `None` if it is not here, or not yet.
    pub(crate) fn give(&mut self, lack: &Lack, cx: &mut Cx) -> Option<Say> {
        // A state on its way here: log and machine do not belong together.
        if self.installing {
            return None;
        }
        let to = lack.replica;
        match lack.part {
            Part::State => self.give_state(to, cx),
            Part::Entries { from, to: last, proof } => {
                let has = self.raft.first_index() <= from;
                if has && self.raft.term_at(proof.index) == Some(proof.term) {
                    return Some(self.give_entries(to, (from, last), proof));
                }
                // It is committed here, as something else or so long ago that the log has forgotten it.
                if self.base.index >= from {
                    return self.give_state(to, cx);
                }
                self.wants_base |= self.raft.applied() >= from;
                self.reach(proof.index);
                None
            }
            Part::Segment { seq, through } => {
                let summary = self.machine.spare(seq, through, cx);
                // It may not be flushed as far here.
                self.wants_base |= summary.is_none();
                summary.map(|summary| Say::Segment(Segment { to, summary }))
            }
        }
    }

    /// What a peer has lost was perhaps never committed, and a group in which nothing happens never gets there by itself.
    fn reach(&mut self, index: u64) {
        let lacking = index.saturating_sub(self.raft.last_index());
        if self.serves() {
            (0..lacking.min(MOST_EMPTY)).for_each(|_| drop(self.raft.propose(Bytes::new())));
        }
    }

    fn give_state(&mut self, to: ReplicaId, cx: &mut Cx) -> Option<Say> {
        let base = self.base.clone();
        let files = if base.index == 0 { Some(Vec::new()) } else { self.machine.files(&base, cx) };
        let Some(files) = files else {
            self.wants_base = true;
            return None;
        };
        let (incarnation, asset) = (self.incarnation, self.asset.clone());
        Some(Say::State(Box::new(State { to, incarnation, asset, base, files })))
    }

    fn give_entries(&self, to: ReplicaId, (from, last): (u64, u64), proof: At) -> Say {
        let wanted = self.raft.entries().filter(|e| (from..=last).contains(&e.index));
        let mut bytes = 0;
        let entries: Vec<Entry> = wanted
            .take_while(|entry| {
                let first = bytes == 0;
                bytes += entry.data.len() + 1;
                first || bytes <= ENTRIES_BYTES
            })
            .collect();
        Say::Entries(Entries { to, proof, entries })
    }
}
