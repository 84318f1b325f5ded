//! What never reaches the library: messages on which it would panic, or believe what cannot be.

use crate::error::StepError;
use crate::group::{Group, Role};
use crate::message::{Body, Message};
use crate::types::{Entry, ReplicaId};

impl Group {
    /// Refuses what must not be stepped.
    pub(crate) fn refuse(&self, message: &Message) -> Result<(), StepError> {
        let from = message.from;
        let impossible = |what| Err(StepError::Impossible { from, what });
        if message.to != self.id() {
            return Err(StepError::WrongReplica(message.to));
        }
        if from == ReplicaId::NONE || from == self.id() {
            return impossible("it claims to come from nobody or from the receiver");
        }
        if message.term == 0 {
            return impossible("it has no term, as if it came from this replica itself");
        }
        let leads = self.role() == Role::Leader && message.term == self.term();
        match &message.body {
            Body::Append { .. } | Body::Heartbeat { .. } | Body::Snapshot { .. } if leads => {
                impossible("it claims to lead in the term that this replica leads")
            }
            // An older term is answered by the library without looking at the rest.
            Body::Append { .. } | Body::Heartbeat { .. } if message.term < self.term() => Ok(()),
            Body::Append { prev_index, prev_term, entries, .. } => {
                self.refuse_append(message, *prev_index, *prev_term, entries)
            }
            Body::Heartbeat { commit, .. } if *commit > self.last_index() => {
                Err(StepError::LogLost { commit: *commit, last: self.last_index() })
            }
            Body::Snapshot { index, term, membership } => {
                if !membership.contains(self.id()) {
                    return impossible("its snapshot has a configuration without the receiver");
                }
                if *index == 0 || *term == 0 || membership.voters.is_empty() {
                    return impossible("its snapshot is empty");
                }
                Ok(())
            }
            Body::Appended { index, .. } if leads && *index > self.last_index() => {
                impossible("it acknowledges entries that the leader never wrote")
            }
            Body::Refused { hint_index, .. } if leads && *hint_index > self.last_index() => {
                impossible("it hints at an index behind the leader's log")
            }
            _ => Ok(()),
        }
    }

    fn refuse_append(
        &self,
        message: &Message,
        prev_index: u64,
        prev_term: u64,
        entries: &[Entry],
    ) -> Result<(), StepError> {
        let impossible = |what| Err(StepError::Impossible { from: message.from, what });
        let (mut last, mut term) = (prev_index, prev_term);
        for entry in entries {
            if last.checked_add(1) != Some(entry.index) {
                return impossible("its entries are not contiguous");
            }
            if entry.term < term || entry.term > message.term {
                return impossible("the terms of its entries go back, or beyond its own");
            }
            (last, term) = (entry.index, entry.term);
        }
        // What is committed here and on the leader cannot differ (Raft 5.4.3); the library would panic.
        let matches = self.term_at(prev_index) == Some(prev_term);
        let committed = entries.iter().take_while(|e| e.index <= self.commit());
        for entry in committed.filter(|_| matches) {
            if self.term_at(entry.index).is_some_and(|t| t != entry.term) {
                return Err(StepError::Conflict(entry.index));
            }
        }
        Ok(())
    }
}
