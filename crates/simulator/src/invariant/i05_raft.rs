//! What Raft promises (Ongaro, figure 3): one leader a term, one vote a term, terms and commits that only grow, and
//! leaders that have all that is committed; and what all of it rests on, that a restart forgets nothing.

use std::collections::BTreeMap;

use flotilla_host::ReplicaView;
use flotilla_raft::{GroupId, HardState, ReplicaId, Role, StoreId};

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
    /// What each replica last had on stable storage.
    durable: BTreeMap<(GroupId, ReplicaId), Durable>,
}

/// What a replica that waited for nothing had on stable storage, and in which life of its server.
struct Durable {
    boot: u64,
    term: u64,
    vote: ReplicaId,
    commit: u64,
}

impl Raft {
    /// What was on stable storage is there in the next life: others rely on it.
    fn check_restart(&mut self, boot: u64, view: &ReplicaView<'_>) -> Result<(), String> {
        let HardState { term, vote, commit } = view.hard_state;
        let replica = (view.group, view.replica);
        if let Some(known) = self.durable.get(&replica).filter(|known| known.boot != boot) {
            let forgot = |what: String| Err(format!("{what}, and forgot it with a restart"));
            if term < known.term {
                return forgot(format!("it was in term {}, is in {term}", known.term));
            }
            if term == known.term && known.vote != ReplicaId::NONE && vote != known.vote {
                return forgot(format!("in term {term} it voted for {}", known.vote));
            }
            if view.last_index < known.commit {
                return forgot(format!("it had {}, ends at {}", known.commit, view.last_index));
            }
        }
        if !view.persisting {
            self.durable.insert(replica, Durable { boot, term, vote, commit });
        }
        Ok(())
    }
}

impl Invariant for Raft {
    fn name(&self) -> &'static str {
        "I5 Raft's own promises"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Replica { store, boot, view, .. } = seen else { return Ok(()) };
        let (group, replica) = (view.group, view.replica);
        let (term, vote, commit) =
            (view.hard_state.term, view.hard_state.vote, view.hard_state.commit);
        let who = || format!("replica {replica} of group {group} on {store}");

        let home = *self.homes.entry((group, replica)).or_insert(*store);
        if home != *store {
            return Err(format!("{} was on {home} before", who()));
        }
        self.check_restart(*boot, view).map_err(|what| format!("{}: {what}", who()))?;
        let committed = self.committed.entry(group).or_default();
        // Who votes alone leads at once, and says nothing before its vote is on stable storage: if it never gets there, nobody
        // led.
        if view.role == Role::Leader && (view.serves || !view.persisting) {
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
