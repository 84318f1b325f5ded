//! Replacements for replicas whose servers are gone.

use std::collections::BTreeSet;

use flotilla_raft::{GroupId, ReplicaId, StoreId};

use super::seats::{self, Losses, SeatPlan};
use crate::asset::{AssetGroup, AssetName, StreamAsset, consumer_replicas};
use crate::command::{Command, SeatChange};
use crate::error::MetaError;
use crate::machine::Meta;
use crate::placement::Fleet;
use crate::server::{Server, ServerState};

/// What takes replicas out of a stream and all its consumers, and others in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replacement {
    /// What had no other copy and is lost with its server: it begins anew, or ends. Each a command
    /// of its own, to be committed before the changes.
    pub losses: Vec<Command>,
    /// Groups that go on with other members: one [`Command::SetMembers`].
    pub changes: Vec<SeatChange>,
}

impl Replacement {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.losses.is_empty() && self.changes.is_empty()
    }
}

/// Plans `STREAM.PEER.REMOVE`: the stream and its consumers leave `store`, other servers take over.
///
/// A single replica on a server that is online moves with its data. On one that is offline it is
/// lost: a stream begins anew and empty elsewhere, a durable consumer too, an ephemeral one is
/// deleted. (The reference server does so even when the server is online.)
///
/// # Errors
/// [`MetaError::StreamNotFound`]; [`MetaError::PeerNotMember`] when the stream has no replica
/// there; [`MetaError::PeerRemap`] when no server can take its place.
pub fn replace_peer(
    meta: &Meta,
    account: &str,
    stream: &str,
    store: StoreId,
    fleet: &Fleet<'_>,
) -> Result<Replacement, MetaError> {
    let asset = meta.stream(account, stream).ok_or(MetaError::StreamNotFound)?;
    if asset.group.member_on(store).is_none() {
        return Err(MetaError::PeerNotMember);
    }
    let losses = Losses { gone: [store].into(), missing: &BTreeSet::new() };
    let keep: Vec<_> = asset.group.stores().filter(|s| *s != store).collect();
    let mut exclude = offline(fleet);
    exclude.insert(store);
    let stores = seats::fill(asset, &asset.config, &keep, &exclude, fleet)
        .map_err(|_| MetaError::PeerRemap)?;
    let plan = seats::plan(asset, &asset.config, stores, &losses, fleet);
    Ok(split_losses(meta, asset, plan, &losses, fleet))
}

/// Plans what brings streams back to their replica count: replacements for replicas on removed
/// servers and for `missing` ones ([`Action::Missing`](super::Action)), and members for streams
/// that are short, as far as servers fit. The new server under a removed one's name takes its seats
/// if it can.
///
/// The plan follows from the state alone, so whoever leads the meta group goes on with it: ask
/// again when a server joined, left or came back, and after each plan, until it is empty. At most
/// `limit` streams at once. A stream whose last replica was on a removed server stays as it is: its
/// data may come back, an operator decides ([`replace_peer`]).
#[must_use]
pub fn heal(
    meta: &Meta,
    fleet: &Fleet<'_>,
    missing: &BTreeSet<(GroupId, ReplicaId)>,
    limit: usize,
) -> Vec<Replacement> {
    let gone = meta.servers().filter(|s| !s.is_member()).map(|s| s.store).collect();
    let losses = Losses { gone, missing };
    let plans = meta.streams().filter_map(|(_, _, asset)| heal_stream(meta, asset, &losses, fleet));
    plans.take(limit).collect()
}

fn heal_stream(
    meta: &Meta,
    asset: &StreamAsset,
    losses: &Losses<'_>,
    fleet: &Fleet<'_>,
) -> Option<Replacement> {
    let group = &asset.group;
    if is_whole(asset, losses) {
        return None;
    }
    let (lost, keep): (Vec<_>, Vec<_>) = group.stores().partition(|s| losses.contains(group, *s));
    if keep.is_empty() && !losses.leave_a_voter(group) {
        return None;
    }
    let is_short = group.desired.len() < usize::from(asset.config.replicas) && group.is_settled();
    let stores = if lost.is_empty() && !is_short {
        keep
    } else {
        let mut seated = keep;
        for store in lost {
            seated.extend(successor(meta, store, fleet).filter(|s| !seated.contains(s)));
        }
        // As far as possible: who is gone goes, also when nobody can come.
        seats::fill(asset, &asset.config, &seated, &offline(fleet), fleet).unwrap_or(seated)
    };
    let plan = seats::plan(asset, &asset.config, stores, losses, fleet);
    let replacement = split_losses(meta, asset, plan, losses, fleet);
    (!replacement.is_empty()).then_some(replacement)
}

/// Whether a stream and its consumers have all the members that they want, and none of them is lost. Of nearly all streams
/// that is so, and it is seen without making a plan.
fn is_whole(asset: &StreamAsset, losses: &Losses<'_>) -> bool {
    let has = |group: &AssetGroup, wanted: u8| {
        group.desired.len() == usize::from(wanted) && !losses.concern(group)
    };
    let mut consumers = asset.consumers.values();
    has(&asset.group, asset.config.replicas)
        && consumers.all(|c| has(&c.group, consumer_replicas(&asset.config, &c.config)))
}

/// Who is not there replaces nobody.
fn offline(fleet: &Fleet<'_>) -> BTreeSet<StoreId> {
    fleet.peers.iter().filter(|p| !p.online).map(|p| p.store).collect()
}

/// Who takes the seat of a lost replica before anybody else: the server that bears the lost one's
/// name now, or the same store when only the replica is gone.
fn successor(meta: &Meta, store: StoreId, fleet: &Fleet<'_>) -> Option<StoreId> {
    let heir = match meta.server(store)?.state {
        ServerState::Removed { successor, .. } => successor?,
        ServerState::Member => store,
    };
    let takes_assets = meta.server(heir).is_some_and(Server::takes_assets);
    (takes_assets && fleet.is_online(heir)).then_some(heir)
}

/// Takes out of `plan` the groups whose only replica is gone with its server: no leader could carry
/// out a change.
fn split_losses(
    meta: &Meta,
    asset: &StreamAsset,
    plan: SeatPlan,
    losses: &Losses<'_>,
    fleet: &Fleet<'_>,
) -> Replacement {
    let is_lost = |group: GroupId| {
        let Some(asset) = meta.asset(group) else { return true };
        let mut members = asset.group().stores();
        // A move may have lost its aim and not what it moves.
        !losses.leave_a_voter(asset.group())
            && members.all(|store| losses.gone.contains(&store) && !fleet.is_online(store))
    };
    if is_lost(asset.group.id) {
        // Its consumers begin anew with it.
        let losses = recreate(asset.group.id, &plan.stores, fleet).into_iter().collect();
        return Replacement { losses, changes: Vec::new() };
    }
    // A consumer begins anew where its stream is already.
    let kept: Vec<_> =
        plan.stores.iter().copied().filter(|s| asset.group.member_on(*s).is_some()).collect();
    let mut replacement = Replacement::default();
    for change in plan.changes {
        if is_lost(change.group) {
            replacement.losses.extend(renew_consumer(meta, asset, change.group, &kept, fleet));
        } else {
            replacement.changes.push(change);
        }
    }
    replacement
}

/// A durable consumer begins anew; an ephemeral one ends, its client makes another.
fn renew_consumer(
    meta: &Meta,
    asset: &StreamAsset,
    group: GroupId,
    stores: &[StoreId],
    fleet: &Fleet<'_>,
) -> Option<Command> {
    let AssetName::Consumer { account, stream, consumer } = meta.name_of(group)?.clone() else {
        return None;
    };
    if !asset.consumers.get(&consumer)?.config.durable {
        return Some(Command::DeleteConsumer { account, stream, consumer, group: Some(group) });
    }
    let first = fleet.least_leading(stores)?;
    let others = stores.iter().copied().filter(|s| *s != first);
    let stores: Vec<_> =
        std::iter::once(first).chain(others).take(meta.wanted_replicas(group)?).collect();
    recreate(group, &stores, fleet)
}

fn recreate(group: GroupId, stores: &[StoreId], fleet: &Fleet<'_>) -> Option<Command> {
    let preferred = fleet.least_leading(stores)?;
    Some(Command::Recreate { group, stores: stores.to_vec(), preferred })
}

#[cfg(test)]
mod tests;
