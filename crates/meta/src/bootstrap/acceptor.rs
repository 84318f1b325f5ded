//! The part of a store that must not forget: what it promised and accepted.

use flotilla_raft::StoreId;
use serde::{Deserialize, Serialize};

use super::message::{Ballot, Decision, Message};
use crate::server::ClusterId;

/// What goes to stable storage before any answer that rests on it leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Acceptor {
    /// Lower ballots are refused.
    pub(super) promised: Ballot,
    /// The last decision accepted, and for which ballot.
    pub(super) accepted: Option<(Ballot, Decision)>,
    /// The cluster that this store knows to exist. Final.
    pub(super) chosen: Option<Chosen>,
}

/// A cluster that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chosen {
    pub(super) cluster_id: ClusterId,
    pub(super) founder: Option<StoreId>,
}

/// An answer, and whether the acceptor changed for it.
pub(super) struct Answer {
    pub(super) message: Message,
    pub(super) changed: bool,
}

impl Acceptor {
    /// Phase 1b.
    pub(super) fn prepare(&mut self, ballot: Ballot, expected: u32) -> Answer {
        if ballot < self.promised {
            return self.reject(ballot);
        }
        let changed = self.promised != ballot;
        self.promised = ballot;
        Answer { message: Message::Promise { ballot, accepted: self.accepted, expected }, changed }
    }

    /// Phase 2b.
    pub(super) fn accept(&mut self, ballot: Ballot, decision: Decision) -> Answer {
        if ballot < self.promised {
            return self.reject(ballot);
        }
        let accepted = Some((ballot, decision));
        let changed = self.promised != ballot || self.accepted != accepted;
        self.promised = ballot;
        self.accepted = accepted;
        Answer { message: Message::Accepted { ballot }, changed }
    }

    fn reject(&self, ballot: Ballot) -> Answer {
        Answer { message: Message::Reject { ballot, promised: self.promised }, changed: false }
    }
}
