//! Replicas that have applied the same have the same state: at any time, and in all their lives.

use std::collections::BTreeMap;

use flotilla_raft::GroupId;

use super::{Invariant, Seen};
use crate::history::History;

#[derive(Default)]
pub(super) struct ReplicasAgree {
    /// The hash of the state at each index, as first seen.
    hashes: BTreeMap<(GroupId, u64), u64>,
}

impl Invariant for ReplicasAgree {
    fn name(&self) -> &'static str {
        "I4 replicas agree"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        match seen {
            Seen::Replica { store, view, .. } => {
                let hash = self.hashes.entry((view.group, view.applied)).or_insert(view.state_hash);
                if *hash == view.state_hash {
                    return Ok(());
                }
                Err(format!(
                    "{store}: group {} at {} has state {:x}, elsewhere or earlier it was {hash:x}",
                    view.group, view.applied, view.state_hash
                ))
            }
            Seen::Server { store, totals, .. } => match totals.diverged.first() {
                Some(group) => Err(format!("{store} says that group {group} differs")),
                None => Ok(()),
            },
            Seen::Final(end) => {
                for (group, replicas) in &end.streams {
                    let mut all = replicas.iter();
                    let Some((first, messages)) = all.next() else { continue };
                    if let Some((other, _)) = all.find(|(_, other)| *other != messages) {
                        return Err(format!(
                            "group {group} on {first} and {other} is not the same"
                        ));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
