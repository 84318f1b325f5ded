//! One attempt to decide.

use std::collections::BTreeSet;

use flotilla_raft::StoreId;

use super::message::{Ballot, Decision};
use crate::quorum::quorum;

/// An attempt under way, in memory only: after a restart the store begins another, with a higher
/// ballot.
#[derive(Clone, Debug)]
pub(super) struct Proposal {
    pub(super) ballot: Ballot,
    /// How many stores there may be, as far as anybody who answered knows.
    stores: usize,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Preparing { promised: BTreeSet<StoreId>, accepted: Option<(Ballot, Decision)> },
    Accepting { accepted_by: BTreeSet<StoreId>, decision: Decision },
}

impl Proposal {
    pub(super) fn new(ballot: Ballot, stores: usize) -> Self {
        Self {
            ballot,
            stores,
            phase: Phase::Preparing { promised: BTreeSet::new(), accepted: None },
        }
    }

    /// Takes a promise. With a majority of them, the decision to propose: what somebody may have
    /// decided already, or else `own`.
    pub(super) fn promise(
        &mut self,
        from: StoreId,
        reported: Option<(Ballot, Decision)>,
        expected: u32,
        own: Decision,
    ) -> Option<Decision> {
        let Phase::Preparing { promised, accepted } = &mut self.phase else { return None };
        self.stores = self.stores.max(usize::try_from(expected).unwrap_or(usize::MAX));
        promised.insert(from);
        if reported.map(|(ballot, _)| ballot) > accepted.map(|(ballot, _)| ballot) {
            *accepted = reported;
        }
        if promised.len() < quorum(self.stores) {
            return None;
        }
        let decision = accepted.map_or(own, |(_, decision)| decision);
        self.phase = Phase::Accepting { accepted_by: BTreeSet::new(), decision };
        Some(decision)
    }

    /// Takes an acceptance. With a majority of them, the decision that is made.
    pub(super) fn accepted(&mut self, from: StoreId) -> Option<Decision> {
        let Phase::Accepting { accepted_by, decision } = &mut self.phase else { return None };
        accepted_by.insert(from);
        (accepted_by.len() >= quorum(self.stores)).then_some(*decision)
    }
}
