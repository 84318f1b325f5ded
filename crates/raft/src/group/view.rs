//! What can be seen of a group.

use flotilla_mutation::{Mutation, is_on};
use raft::StateRole;

use super::Group;
use crate::convert;
use crate::types::{Entry, HardState, Membership, ReplicaId};

/// What a replica is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes, or rehearses it.
    Candidate,
    /// Leads.
    Leader,
}

/// How far a member is, as its leader knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last index known to be on its stable storage.
    pub matched: u64,
    /// The commit index that it is known to know.
    pub commit: u64,
    /// Whether it was heard in this or the last election timeout.
    pub active: bool,
    /// Whether it is being given a state instead of entries.
    pub snapshot: bool,
}

impl Group {
    /// This replica.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        ReplicaId(self.node.raft.id)
    }

    /// The term it is in.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// What it is.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.node.raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        }
    }

    /// Whom it follows; itself when it leads.
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaId> {
        Some(ReplicaId(self.node.raft.leader_id)).filter(|r| *r != ReplicaId::NONE)
    }

    /// Whether it asks for votes in earnest, after a rehearsal that a majority agreed to.
    #[must_use]
    pub fn is_candidate(&self) -> bool {
        self.node.raft.state == StateRole::Candidate
    }

    /// Whether it leads and has applied an entry of its own term, so that what it answers is not older than what
    /// an earlier leader answered (Raft, section 8).
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.role() == Role::Leader && self.node.raft.apply_to_current_term()
    }

    /// The configuration as applied here.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The last index known to be committed.
    #[must_use]
    pub fn commit(&self) -> u64 {
        self.node.raft.raft_log.committed
    }

    /// The last index applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.node.raft.raft_log.applied
    }

    /// The last index of the log, on stable storage or not.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.node.raft.raft_log.last_index()
    }

    /// The first index that the log still holds.
    #[must_use]
    pub fn first_index(&self) -> u64 {
        self.node.store().first_index()
    }

    /// The term of the entry at `index`, if it is known.
    #[must_use]
    pub fn term_at(&self, index: u64) -> Option<u64> {
        self.node.raft.raft_log.term(index).ok().filter(|t| *t != 0 || index == 0)
    }

    /// Bytes of data in the log that are in memory.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        self.node.store().bytes()
    }

    /// The entries that the log holds and that were handed out to be persisted.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.node.store().iter().map(convert::entry_from_lib)
    }

    /// Term, vote and commit, as they would be persisted now.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        convert::hard_state_from_lib(&self.node.raft.hard_state())
    }

    /// How far a member is; known to a leader only.
    #[must_use]
    pub fn progress(&self, replica: ReplicaId) -> Option<Progress> {
        if self.role() != Role::Leader {
            return None;
        }
        self.node.raft.prs().get(replica.0).map(|p| Progress {
            matched: p.matched,
            commit: p.committed_index,
            active: p.recent_active,
            snapshot: p.state == raft::ProgressState::Snapshot,
        })
    }

    /// Whether a change of membership is in the log and not yet applied, as far as is known.
    #[must_use]
    pub fn change_pending(&self) -> bool {
        self.node.raft.has_pending_conf()
    }

    /// Whether units handed out are not yet on stable storage.
    #[must_use]
    pub fn is_persisting(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Whether there is work that was not [taken](Self::ready) yet.
    #[must_use]
    pub fn has_ready(&self) -> bool {
        self.node.has_ready()
    }

    /// Whether this leader may let the group sleep: every member but those `excused` holds the
    /// whole log and knows all of it to be committed, and nothing is under way.
    #[must_use]
    pub fn is_settled(&self, excused: impl Fn(ReplicaId) -> bool) -> bool {
        let last = self.last_index();
        self.is_serving()
            && self.commit() == last
            && self.applied() == last
            && self.unsynced.is_empty()
            && !self.node.has_ready()
            && self.transferring().is_none()
            && !self.change_pending()
            && !self.membership.is_joint()
            && self.node.raft.pending_read_count() == 0
            && self.node.raft.prs().iter().all(|(id, p)| {
                let member = ReplicaId(*id);
                let has_all = p.matched == last && p.committed_index == last;
                member == self.id() || excused(member) || has_all || is_on(Mutation::SleepsBehind)
            })
    }

    /// To whom leadership is being handed.
    #[must_use]
    pub fn transferring(&self) -> Option<ReplicaId> {
        self.node.raft.lead_transferee.map(ReplicaId)
    }
}
