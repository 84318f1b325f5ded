//! Seats for a stream and its consumers: after a change of its replica count or placement, or a
//! loss.

use std::collections::BTreeSet;

use flotilla_raft::{GroupId, ReplicaId, StoreId};
use flotilla_stream::StreamConfig;

use crate::asset::{AssetGroup, ConsumerAsset, Member, StreamAsset, consumer_replicas};
use crate::command::{Seat, SeatChange};
use crate::placement::{Fleet, NoPeers, Peer, PlacementRequest, place};

/// New members of a stream and of those of its consumers that change with it: what
/// [`Command::UpdateStream`](crate::Command) or [`Command::SetMembers`](crate::Command) carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatPlan {
    /// The stream's stores afterwards.
    pub stores: Vec<StoreId>,
    /// All changes, the stream's first; empty when nobody moves.
    pub changes: Vec<SeatChange>,
}

/// Replicas that will not come back.
pub(super) struct Losses<'a> {
    /// Stores that are gone with all they held.
    pub(super) gone: BTreeSet<StoreId>,
    /// Single replicas that are gone from stores that are there.
    pub(super) missing: &'a BTreeSet<(GroupId, ReplicaId)>,
}

impl Losses<'_> {
    const NONE: Losses<'static> = Losses { gone: BTreeSet::new(), missing: &BTreeSet::new() };

    /// Whether the group's replica on `store` is to be replaced. While those that are left are no majority, nobody can
    /// take over: what is left of a member on a store that is there is not given up then.
    pub(super) fn contains(&self, group: &AssetGroup, store: StoreId) -> bool {
        let membership = &group.actual.membership;
        let few = || {
            let lost = membership.voters.iter().filter(|r| self.has_lost(group, **r)).count();
            2 * lost < membership.voters.len()
        };
        let missing = |m: Member| self.missing.contains(&(group.id, m.replica));
        let may_go = |m: Member| missing(m) && (!membership.contains(m.replica) || few());
        self.gone.contains(&store) || group.member_on(store).is_some_and(may_go)
    }

    /// Whether a voter is left that can hand over what the group has.
    pub(super) fn leave_a_voter(&self, group: &AssetGroup) -> bool {
        group.actual.membership.voters.iter().any(|r| !self.has_lost(group, *r))
    }

    fn has_lost(&self, group: &AssetGroup, replica: ReplicaId) -> bool {
        let store = group.actual.membership.store_of(replica);
        self.missing.contains(&(group.id, replica)) || store.is_none_or(|s| self.gone.contains(&s))
    }

    pub(super) fn concern(&self, group: &AssetGroup) -> bool {
        group.stores().any(|s| self.contains(group, s))
    }
}

/// Plans a change of the replica count to that of `config`, the configuration to be.
///
/// Up: the members stay and the best servers join them. Down: `ranked` says who stays, best first;
/// the caller puts the leader in front, then the online replicas by how far they caught up. Members
/// it does not name go first.
///
/// # Errors
/// [`NoPeers`] when not enough servers fit.
pub fn scale(
    asset: &StreamAsset,
    config: &StreamConfig,
    ranked: &[StoreId],
    fleet: &Fleet<'_>,
) -> Result<SeatPlan, NoPeers> {
    let wanted = usize::from(config.replicas);
    let mut keep: Vec<_> = asset.group.stores().collect();
    keep.sort_by_key(|s| (ranked.iter().position(|r| r == s).unwrap_or(usize::MAX), *s));
    let is_smaller = wanted <= keep.len();
    keep.truncate(wanted);
    // To give up replicas nothing has to be found, so nothing can be missing.
    let stores =
        if is_smaller { keep } else { fill(asset, config, &keep, &BTreeSet::new(), fleet)? };
    Ok(plan(asset, config, stores, &Losses::NONE, fleet))
}

/// Plans a move to where `config`, the configuration to be, places the stream. Members that fit it
/// stay.
///
/// # Errors
/// [`NoPeers`] when not enough servers fit.
pub fn relocate(
    asset: &StreamAsset,
    config: &StreamConfig,
    fleet: &Fleet<'_>,
) -> Result<SeatPlan, NoPeers> {
    let nobody = BTreeSet::new();
    let fits = |store: &StoreId| {
        let Some(peer) = fleet.peer(*store) else { return false };
        // It holds its replica already: room, limits, zones and its present health say nothing
        // about that.
        let alone =
            PlacementRequest { replicas: 1, max_bytes: None, ..request(config, &[], &nobody) };
        let alone_there = [Peer { online: true, has_room: true, ..peer.clone() }];
        place(&alone, &Fleet { peers: &alone_there, unique_tag: None, seed: fleet.seed }).is_ok()
    };
    let keep: Vec<_> =
        asset.group.stores().filter(fits).take(usize::from(config.replicas)).collect();
    let stores = fill(asset, config, &keep, &nobody, fleet)?;
    Ok(plan(asset, config, stores, &Losses::NONE, fleet))
}

fn request<'a>(
    config: &'a StreamConfig,
    keep: &'a [StoreId],
    exclude: &'a BTreeSet<StoreId>,
) -> PlacementRequest<'a> {
    PlacementRequest {
        replicas: usize::from(config.replicas),
        placement: config.placement.as_ref(),
        cluster: None,
        keep,
        exclude,
        storage: config.storage,
        max_bytes: config.max_bytes,
    }
}

/// `keep` and as many more stores as `config` wants. A stream without a placement stays in its
/// cluster.
pub(super) fn fill(
    asset: &StreamAsset,
    config: &StreamConfig,
    keep: &[StoreId],
    exclude: &BTreeSet<StoreId>,
    fleet: &Fleet<'_>,
) -> Result<Vec<StoreId>, NoPeers> {
    let home = keep.iter().copied().chain(asset.group.stores()).find_map(|s| fleet.peer(s));
    let asked = PlacementRequest {
        cluster: home.map(|p| p.cluster.as_str()),
        ..request(config, keep, exclude)
    };
    place(&asked, fleet).map(|placed| placed.stores)
}

/// The changes that bring the stream to `stores`, and its consumers along.
pub(super) fn plan(
    asset: &StreamAsset,
    config: &StreamConfig,
    stores: Vec<StoreId>,
    losses: &Losses<'_>,
    fleet: &Fleet<'_>,
) -> SeatPlan {
    let mut changes: Vec<_> =
        seat_change(&asset.group, &stores, losses, fleet).into_iter().collect();
    for consumer in asset.consumers.values() {
        let after = consumer_stores(consumer, config, &stores, losses, fleet);
        let may_wait = !losses.concern(&consumer.group)
            && !consumer.group.is_settled()
            && consumer.group.stores().all(|s| stores.contains(&s));
        if !may_wait {
            changes.extend(seat_change(&consumer.group, &after, losses, fleet));
        }
    }
    SeatPlan { stores, changes }
}

/// Where a consumer goes: it stays on the stores that its stream keeps, and fills up with the least
/// loaded others.
fn consumer_stores(
    consumer: &ConsumerAsset,
    config: &StreamConfig,
    stream: &[StoreId],
    losses: &Losses<'_>,
    fleet: &Fleet<'_>,
) -> Vec<StoreId> {
    let group = &consumer.group;
    let stays = |store: StoreId| group.member_on(store).is_some() && !losses.contains(group, store);
    let assets = |store: StoreId| fleet.peer(store).map_or(u32::MAX, |p| p.assets);
    let mut stores = stream.to_vec();
    stores.sort_by_key(|&s| (!stays(s), !fleet.is_online(s), assets(s)));
    stores.truncate(usize::from(consumer_replicas(config, &consumer.config)));
    stores
}

/// The change that brings a group to `stores`, or `None` when it is there. Only a replica that is
/// gone gets a successor on the same store.
fn seat_change(
    group: &AssetGroup,
    stores: &[StoreId],
    losses: &Losses<'_>,
    fleet: &Fleet<'_>,
) -> Option<SeatChange> {
    let may_stay = |r| group.desires(r) || group.counted_store_of(r).is_some();
    let seat = |&store: &StoreId| match group.holder_on(store) {
        Some(replica) if may_stay(replica) && !losses.contains(group, store) => Seat::Keep(replica),
        _ => Seat::Fresh(store),
    };
    let seats: Vec<_> = stores.iter().map(seat).collect();
    let same = seats.len() == group.desired.len()
        && group.desired.iter().all(|m| seats.contains(&Seat::Keep(m.replica)));
    if same || seats.is_empty() {
        return None;
    }
    let preferred =
        if stores.contains(&group.preferred) { None } else { fleet.least_leading(stores) };
    Some(SeatChange {
        group: group.id,
        epoch: group.epoch,
        seats,
        preferred,
        repair: losses.concern(group),
    })
}
