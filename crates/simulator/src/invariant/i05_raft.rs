//! What Raft promises (Ongaro, figure 3): one leader a term, one vote a term, terms and commits that only grow, and
//! leaders that have all that is committed.

use std::collections::BTreeMap;

use flotilla_raft::{GroupId, ReplicaId, Role, StoreId};

use super::{Invariant, Seen};
use crate::history::History;

#[derive(Default)]
pub(super) struct Raft {
    leaders: BTreeMap<(GroupId, u64), ReplicaId>,
    /// Of each replica, in which life of its server it was in which term, and whom its vote went to.
    votes: BTreeMap<(GroupId, ReplicaId), (u64, u64, ReplicaId)>,
    /// Of each replica, in which life of its server it had committed and applied how much.
    progress: BTreeMap<(GroupId, ReplicaId), (u64, u64, u64)>,
    /// The greatest index known to be committed.
    committed: BTreeMap<GroupId, u64>,
    homes: BTreeMap<(GroupId, ReplicaId), StoreId>,
}

impl Invariant for Raft {
    fn name(&self) -> &'static str {
        "I5 Raft's own promises"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Replica { store, boot, view } = seen else { return Ok(()) };
        let (group, replica) = (view.group, view.replica);
        let (term, vote, commit) =
            (view.hard_state.term, view.hard_state.vote, view.hard_state.commit);
        let who = || format!("replica {replica} of group {group} on {store}");

        let home = *self.homes.entry((group, replica)).or_insert(*store);
        if home != *store {
            return Err(format!("{} was on {home} before", who()));
        }
        let committed = self.committed.entry(group).or_default();
        if view.role == Role::Leader {
            let leader = *self.leaders.entry((group, term)).or_insert(replica);
            if leader != replica {
                return Err(format!("{} leads in term {term}, and so does {leader}", who()));
            }
            if view.last_index < *committed && commit >= *committed {
                return Err(format!("{} leads and ends at {}", who(), view.last_index));
            }
        }
        *committed = (*committed).max(commit);

        // What a process knew when it ended may never have reached its disk; nothing of it has left it then.
        let known = self.votes.entry((group, replica)).or_insert((*boot, term, vote));
        if known.0 == *boot && term < known.1 {
            return Err(format!("{} went from term {} back to {term}", who(), known.1));
        }
        let same = known.0 == *boot && known.1 == term && known.2 != ReplicaId::NONE;
        if same && vote != known.2 {
            return Err(format!("{} voted for {} and for {vote} in term {term}", who(), known.2));
        }
        *known = (*boot, term, vote);

        let known = self.progress.entry((group, replica)).or_insert((*boot, commit, view.applied));
        let (life, before, applied) = *known;
        if life == *boot && (commit < before || view.applied < applied) {
            return Err(format!(
                "{} had committed {before} and applied {applied}; now it is {commit} and {}",
                who(),
                view.applied
            ));
        }
        if view.applied > commit || commit > view.last_index {
            return Err(format!(
                "{}: applied {}, committed {commit}, last {}",
                who(),
                view.applied,
                view.last_index
            ));
        }
        *known = (*boot, commit, view.applied);
        Ok(())
    }
}
