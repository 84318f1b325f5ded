//! What a leader adds to the log, and what a change of membership does once it is committed.

use bytes::Bytes;
use protobuf::Message as _;

use super::{Group, Role};
use crate::convert;
use crate::error::{Poisoned, ProposeError, StepError};
use crate::types::{Change, Entry, EntryKind, Membership};

impl Group {
    /// Appends a command to the log of the group that this replica leads. Returns the (index, term) that it
    /// stands at; it is committed when an entry with both is, and lost when that index is committed with
    /// another term.
    ///
    /// # Errors
    /// When this replica cannot take it; nothing was appended then.
    pub fn propose(&mut self, data: Bytes) -> Result<(u64, u64), ProposeError> {
        self.may_propose()?;
        let before = self.last_index();
        self.guarded(|node| node.propose(Vec::new(), data.into()))?
            .map_err(|_| ProposeError::Overloaded)?;
        let at = self.appended(before)?;
        self.told_commit = self.commit();
        Ok(at)
    }

    /// Whether this leader knows something to be committed of which no append has told the members yet. The next entry's
    /// will; if none comes soon, [`tell_commit`](Self::tell_commit) does. Beats tell it in any case.
    #[must_use]
    pub fn owes_commit(&self) -> bool {
        self.role() == Role::Leader
            && self.commit() > self.told_commit
            && self.membership.all().nth(1).is_some()
    }

    /// Tells the members what is committed, with appends that need not have entries.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn tell_commit(&mut self) -> Result<(), Poisoned> {
        self.told_commit = self.commit();
        self.guarded(|node| node.raft.bcast_append())
    }

    /// Appends a change of membership, as [`propose`](Self::propose) does a command.
    ///
    /// # Errors
    /// When this replica cannot take it, the group is in the middle of another change, or the change would
    /// remove the leader: it must transfer leadership first.
    pub fn propose_change(&mut self, change: &Change) -> Result<(u64, u64), ProposeError> {
        self.may_propose()?;
        let gone = match change {
            Change::Enter { remove, .. } | Change::RemoveLearners { remove } => remove.as_slice(),
            _ => &[],
        };
        if gone.contains(&self.id()) {
            return Err(ProposeError::RemovesLeader);
        }
        let context = rmp_serde::to_vec_named(change).map_err(|_| ProposeError::Overloaded)?;
        let Some(lib) = convert::change_to_lib(change).into_iter().next() else {
            return Err(ProposeError::ChangePending);
        };
        let data = lib.write_to_bytes().map_err(|_| ProposeError::Overloaded)?;
        let before = self.last_index();
        let proposed = self.guarded(|node| {
            let mut entry = raft::eraftpb::Entry::default();
            entry.set_entry_type(raft::eraftpb::EntryType::EntryConfChangeV2);
            (entry.data, entry.context) = (data.into(), context.into());
            let mut message = raft::eraftpb::Message::default();
            message.set_msg_type(raft::eraftpb::MessageType::MsgPropose);
            message.set_entries(vec![entry].into());
            node.step(message)
        })?;
        proposed.map_err(|_| ProposeError::Overloaded)?;
        let at = self.appended(before)?;
        // The library turns a change that it refuses into an empty entry and reports success.
        let unstable = self.node.raft.raft_log.unstable_entries().last();
        if unstable.is_some_and(|e| convert::entry_from_lib(e).kind == EntryKind::Change) {
            Ok(at)
        } else {
            Err(ProposeError::ChangePending)
        }
    }

    fn may_propose(&self) -> Result<(), ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader);
        }
        match self.transferring() {
            Some(_) => Err(ProposeError::Transferring),
            None => Ok(()),
        }
    }

    fn appended(&self, before: u64) -> Result<(u64, u64), ProposeError> {
        let at = self.node.raft.raft_log.last_index();
        if at > before { Ok((at, self.term())) } else { Err(ProposeError::Overloaded) }
    }

    /// Carries out a committed change, and returns the configuration from here on. A change that does not fit
    /// the configuration alters nothing, on all replicas alike.
    ///
    /// # Errors
    /// When the entry is not a change, or the library panicked.
    pub fn apply_change(&mut self, entry: &Entry) -> Result<&Membership, StepError> {
        let change: Change = rmp_serde::from_slice(&entry.data)
            .map_err(|e| StepError::BadChange { index: entry.index, reason: e.to_string() })?;
        if let Change::AddLearner { replica, store } = &change {
            self.membership.stores.insert(*replica, *store);
        }
        for step in convert::change_to_lib(&change) {
            let result = self.guarded(|node| node.apply_conf_change(&step))?;
            if let Ok(conf) = result {
                self.membership = convert::membership_from_lib(&conf, &self.membership);
            }
        }
        // A leader that another leader's change has left outside. The library panics when such a leader counts copies, of
        // its own or of others: it leads no more, and those inside elect another.
        let outside = self.node.raft.prs().get(self.node.raft.id).is_none();
        if outside && self.role() == Role::Leader {
            let term = self.term();
            self.node.raft.become_follower(term, raft::INVALID_ID);
        }
        Ok(&self.membership)
    }
}
