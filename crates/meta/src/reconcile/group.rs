//! The next change of membership in one group, as its leader decides it.
//!
//! Learners first, one change at a time, what changes voters goes through a joint configuration
//! (Raft dissertation, chapter 4). Every step is decided anew from the committed
//! configuration, so a new leader goes on where the last one stopped.

use std::collections::BTreeSet;

use flotilla_raft::{Change, Membership, ReplicaId};

use crate::asset::{AssetGroup, Member};
use crate::quorum::quorum;

/// A group as its leader sees it.
#[derive(Clone, Copy, Debug)]
pub struct GroupView<'a> {
    /// The leader's own replica.
    pub leader: ReplicaId,
    /// The committed configuration.
    pub membership: &'a Membership,
    /// Who should be a voter.
    pub desired: &'a [Member],
    /// Replicas whose servers are heard from; the leader among them.
    pub live: &'a BTreeSet<ReplicaId>,
    /// Replicas that have persisted the log up to, or a few entries short of, its end.
    pub caught_up: &'a BTreeSet<ReplicaId>,
    /// Whether meta has recorded this very configuration for the present epoch.
    pub recorded: bool,
    /// Whether this server's meta was confirmed to be current since the replica began to lead. One
    /// that lags might add a replica that meta has recorded as out.
    pub meta_current: bool,
    /// Whether a change of membership or a transfer is proposed and not applied yet.
    pub in_flight: bool,
}

impl<'a> GroupView<'a> {
    /// Whether meta has on record what the leader sees: the value of [`recorded`](Self::recorded).
    #[must_use]
    pub fn is_recorded(group: &AssetGroup, membership: &Membership) -> bool {
        group.actual.epoch == group.epoch && group.actual.membership == *membership
    }

    fn desires(&self, replica: ReplicaId) -> bool {
        self.desired.iter().any(|m| m.replica == replica)
    }

    fn is_ready(&self, replica: ReplicaId) -> bool {
        self.live.contains(&replica) && self.caught_up.contains(&replica)
    }

    fn voters(&self) -> impl Iterator<Item = ReplicaId> + 'a {
        self.membership.voters.iter().copied()
    }
}

/// What the leader does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Propose this change of membership. It never removes the leader.
    Propose(Change),
    /// Transfer leadership to this voter, which goes on from there: the leader's own seat is to go.
    TransferTo(ReplicaId),
    /// Commit [`Command::ReportMembers`](crate::Command) with the committed configuration, after
    /// confirming the leadership by a read index of this group.
    Report,
    /// Nothing, for now.
    Nothing(Wait),
}

/// What the next step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// For nothing: the members are as desired, and meta knows.
    Settled,
    /// For this server's meta to be current.
    Meta,
    /// For the last step.
    InFlight,
    /// For these replicas to be heard from and to catch up.
    CatchUp(Vec<ReplicaId>),
    /// For servers to come back: any change would leave fewer than a majority of voters alive.
    Quorum,
}

/// The next step from `view.membership` towards `view.desired`.
///
/// Repeated, the steps reach the desired members once these are alive and caught up. After every
/// step a majority of the voters is alive if one was before; the leader is never removed; a replica
/// votes only after it caught up.
#[must_use]
pub fn next_step(view: &GroupView<'_>) -> Step {
    if view.in_flight {
        return Step::Nothing(Wait::InFlight);
    }
    if !view.meta_current {
        return Step::Nothing(Wait::Meta);
    }
    if view.membership.is_joint() {
        return leave(view);
    }
    if !view.membership.voters.contains(&view.leader) {
        return hand_over(view);
    }
    let strays: Vec<_> =
        view.membership.learners.iter().copied().filter(|r| !view.desires(*r)).collect();
    if !strays.is_empty() {
        return Step::Propose(Change::RemoveLearners { remove: strays });
    }
    let absent = view
        .desired
        .iter()
        .find(|m| !view.membership.contains(m.replica) && view.live.contains(&m.replica));
    if let Some(&Member { replica, store }) = absent {
        return Step::Propose(Change::AddLearner { replica, store });
    }
    enter(view)
}

/// Out of a joint configuration there is one way. A leader that would be left behind hands over
/// first.
fn leave(view: &GroupView<'_>) -> Step {
    if view.membership.voters.contains(&view.leader) {
        return Step::Propose(Change::Leave);
    }
    hand_over(view)
}

/// A leader that is no voter, or will not be one, has nothing to decide here any more. It may be one although none removes
/// itself: elected in a joint configuration, it commits the end of it that another leader proposed.
fn hand_over(view: &GroupView<'_>) -> Step {
    match successor(view, view.voters()) {
        Some(successor) => Step::TransferTo(successor),
        None => Step::Nothing(Wait::CatchUp(view.membership.voters.clone())),
    }
}

fn successor(
    view: &GroupView<'_>,
    candidates: impl Iterator<Item = ReplicaId>,
) -> Option<ReplicaId> {
    let candidates = candidates.filter(|r| *r != view.leader && view.is_ready(*r));
    candidates.min_by_key(|r| (!view.desires(*r), *r))
}

/// The next change of voters, or a report when there is none.
fn enter(view: &GroupView<'_>) -> Step {
    let lacking: Vec<_> = view
        .desired
        .iter()
        .map(|m| m.replica)
        .filter(|r| !view.membership.voters.contains(r))
        .collect();
    let promote: Vec<_> = lacking
        .iter()
        .copied()
        .filter(|r| view.membership.learners.contains(r) && view.is_ready(*r))
        .collect();
    let surplus: Vec<_> = view.voters().filter(|r| !view.desires(*r)).collect();
    // Whoever is dead can go without loss; so these are tried alone when more is not possible.
    let dead: Vec<_> = surplus.iter().copied().filter(|r| !view.live.contains(r)).collect();
    for (promote, surplus) in
        [(&promote[..], &surplus[..]), (&promote[..], &dead[..]), (&[], &dead[..])]
    {
        if let Some(step) = exchange(view, promote, surplus) {
            return step;
        }
    }
    if !view.recorded {
        return Step::Report;
    }
    let waiting: Vec<_> = lacking.into_iter().filter(|r| !promote.contains(r)).collect();
    match (waiting.is_empty(), promote.is_empty() && surplus.is_empty()) {
        (false, _) => Step::Nothing(Wait::CatchUp(waiting)),
        (true, true) => Step::Nothing(Wait::Settled),
        (true, false) => Step::Nothing(Wait::Quorum),
    }
}

/// Promotes `promote` and removes as many of `surplus` as may go, if that is a change and a safe
/// one.
fn exchange(view: &GroupView<'_>, promote: &[ReplicaId], surplus: &[ReplicaId]) -> Option<Step> {
    let voters: BTreeSet<_> = view.voters().collect();
    // Nobody goes before a replacement is there, except when there shall be fewer.
    let floor = view.desired.len().min(voters.len());
    let spare = (voters.len() + promote.len()).saturating_sub(floor);
    let mut leaving = surplus.to_vec();
    leaving.sort_by_key(|r| (*r == view.leader, view.live.contains(r), *r));
    leaving.truncate(spare);
    if leaving.contains(&view.leader) {
        let staying = view.voters().filter(|r| view.desires(*r));
        match successor(view, staying) {
            Some(successor) if is_safe(view, &voters, promote, &leaving) => {
                return Some(Step::TransferTo(successor));
            }
            _ => leaving.retain(|r| *r != view.leader),
        }
    }
    if promote.is_empty() && leaving.is_empty() || !is_safe(view, &voters, promote, &leaving) {
        return None;
    }
    Some(Step::Propose(Change::Enter { promote: promote.to_vec(), remove: leaving }))
}

/// Whether a majority of the voters to be is alive. Who is promoted is alive, so that as many may
/// fail as before.
fn is_safe(
    view: &GroupView<'_>,
    voters: &BTreeSet<ReplicaId>,
    promote: &[ReplicaId],
    leaving: &[ReplicaId],
) -> bool {
    let next = voters.iter().chain(promote).filter(|r| !leaving.contains(r));
    let next: BTreeSet<_> = next.copied().collect();
    let live = next.iter().filter(|r| view.live.contains(r)).count();
    live > 0 && live >= quorum(next.len())
}

#[cfg(test)]
mod tests;
