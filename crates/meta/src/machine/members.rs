//! Changes of who should be a member.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{GroupId, ReplicaId, StoreId};

use super::{AssetChange, AssetRef, Delta, Meta, Reply};
use crate::asset::{AssetGroup, AssetName, Member, consumer_replicas};
use crate::command::{Seat, SeatChange};
use crate::error::{MetaError, Stale};
use crate::server::Server;

/// A validated change of one group's members.
pub(super) struct Reseat {
    group: GroupId,
    /// The replica that stays, or none for a new one; and the store.
    seats: Vec<(Option<ReplicaId>, StoreId)>,
    preferred: Option<StoreId>,
}

impl Meta {
    pub(super) fn set_members(
        &mut self,
        changes: &[SeatChange],
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let reseats = self.plan_reseats(changes, |group| self.wanted_replicas(group))?;
        self.reseat(reseats, deltas);
        Ok(Reply::Done)
    }

    /// Checks all changes together. `wanted` says how many members a group may have at most.
    pub(super) fn plan_reseats(
        &self,
        changes: &[SeatChange],
        wanted: impl Fn(GroupId) -> Option<usize>,
    ) -> Result<Vec<Reseat>, MetaError> {
        let mut reseats = Vec::with_capacity(changes.len());
        for change in changes {
            let wanted = wanted(change.group).ok_or(Stale::NoGroup(change.group))?;
            reseats.push(self.plan_reseat(change, wanted)?);
        }
        self.check_consumers_stay_inside(&reseats)?;
        Ok(reseats)
    }

    fn plan_reseat(&self, change: &SeatChange, wanted: usize) -> Result<Reseat, MetaError> {
        let group = self.asset(change.group).ok_or(Stale::NoGroup(change.group))?.group();
        if group.epoch != change.epoch {
            let (epoch, planned) = (group.epoch, change.epoch);
            return Err(Stale::Epoch { group: group.id, epoch, planned }.into());
        }
        if !group.is_settled() && !change.repair {
            return Err(MetaError::MoveInProgress(format!(
                "group {} has not reported epoch {}",
                group.id, group.epoch
            )));
        }
        let given = change.seats.len();
        if given == 0 || given > wanted {
            return Err(Stale::Count { given, wanted }.into());
        }
        let mut seats = Vec::with_capacity(given);
        let mut stores = BTreeSet::new();
        for seat in &change.seats {
            let (replica, store) = self.resolve_seat(group, *seat)?;
            if !stores.insert(store) {
                return Err(Stale::StoreTwice { group: group.id, store }.into());
            }
            // The group may yet count on what it has there, and one store holds one replica of it. A lost one that is still
            // desired makes room for its successor.
            let taken = group.holder_on(store).is_some_and(|holder| !group.desires(holder));
            let taken = taken && !is_on(Mutation::BegunOverAnother);
            if replica.is_none() && taken {
                return Err(MetaError::MoveInProgress(format!(
                    "group {} may still have another replica on store {store}",
                    group.id
                )));
            }
            seats.push((replica, store));
        }
        if let Some(preferred) = change.preferred.filter(|p| !stores.contains(p)) {
            return Err(Stale::Store(preferred).into());
        }
        Ok(Reseat { group: group.id, seats, preferred: change.preferred })
    }

    fn resolve_seat(
        &self,
        group: &AssetGroup,
        seat: Seat,
    ) -> Result<(Option<ReplicaId>, StoreId), Stale> {
        match seat {
            Seat::Keep(replica) => {
                let desired = group.desired.iter().find(|m| m.replica == replica).map(|m| m.store);
                // One dropped earlier may come back under its id while it is still counted: it is
                // not recorded as out, so its store has not destroyed it; unless for its successor.
                let counted = || {
                    let store = group.counted_store_of(replica)?;
                    let is_there = group.holder_on(store) == Some(replica);
                    (is_there && self.is_member(store)).then_some(store)
                };
                let store =
                    desired.or_else(counted).ok_or(Stale::NoSeat { group: group.id, replica })?;
                Ok((Some(replica), store))
            }
            Seat::Fresh(store) if self.takes_assets(store) => Ok((None, store)),
            Seat::Fresh(store) => Err(Stale::Store(store)),
        }
    }

    /// A consumer serves from the stream replica beside it: after the changes each still has one.
    fn check_consumers_stay_inside(&self, reseats: &[Reseat]) -> Result<(), Stale> {
        let after: BTreeMap<_, Vec<_>> = reseats
            .iter()
            .map(|r| (r.group, r.seats.iter().map(|(_, store)| *store).collect()))
            .collect();
        let stores = |group: &AssetGroup| {
            after.get(&group.id).cloned().unwrap_or_else(|| group.stores().collect())
        };
        for stream in reseats.iter().filter_map(|r| self.stream_of(r.group)) {
            let inside: BTreeSet<_> = stores(&stream.group).into_iter().collect();
            for consumer in stream.consumers.values() {
                if let Some(store) =
                    stores(&consumer.group).into_iter().find(|s| !inside.contains(s))
                {
                    return Err(Stale::OutsideStream { group: consumer.group.id, store });
                }
            }
        }
        Ok(())
    }

    pub(super) fn reseat(&mut self, reseats: Vec<Reseat>, deltas: &mut Vec<Delta>) {
        for Reseat { group: id, seats, preferred } in reseats {
            let mut desired: Vec<_> = seats
                .into_iter()
                .map(|(kept, store)| Member {
                    replica: kept.unwrap_or_else(|| self.next_replica()),
                    store,
                })
                .collect();
            desired.sort_unstable();
            self.leaves_census(id);
            let is_new = self.seat(id, desired, preferred);
            self.enters_census(id);
            let name = self.name_of(id).cloned().filter(|_| is_new);
            if let (Some(name), Some(asset)) = (name, self.asset(id)) {
                let holders = asset.group().holders();
                deltas.push(Delta::asset(AssetChange::Members, id, name, holders.values()));
            }
        }
    }

    /// Gives a group other members. Returns whether they are others.
    fn seat(&mut self, id: GroupId, desired: Vec<Member>, preferred: Option<StoreId>) -> bool {
        let alive: BTreeSet<_> =
            self.servers().filter(|s| s.is_member()).map(|s| s.store).collect();
        let Some(group) = self.group_mut(id) else { return false };
        group.preferred = preferred.unwrap_or(group.preferred);
        if group.desired == desired {
            return false;
        }
        let dropped =
            group.desired.iter().filter(|m| !desired.contains(m) && alive.contains(&m.store));
        group.former.extend(dropped);
        group.former.retain(|m| !desired.contains(m));
        group.desired = desired;
        group.epoch += 1;
        true
    }

    /// Ends a group and begins its successor, empty. A stream's consumers point into what was lost
    /// with it: they begin anew on its stores too.
    pub(super) fn recreate(
        &mut self,
        group: GroupId,
        on: (&[StoreId], StoreId),
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let name = self.name_of(group).cloned().ok_or(Stale::NoGroup(group))?;
        // Fewer than wanted will do: the group is short then, and filled up as servers come.
        let wanted = self.wanted_replicas(group).ok_or(Stale::NoGroup(group))?.min(on.0.len());
        self.check_stores(on, wanted)?;
        match &name {
            AssetName::Stream { account, stream } => {
                let reply = self.replace_group(&name, on, deltas)?;
                let consumers = self
                    .stream(account, stream)
                    .map(|s| s.consumers.keys().cloned().collect::<Vec<_>>());
                for consumer in consumers.unwrap_or_default() {
                    let name = AssetName::Consumer {
                        account: account.clone(),
                        stream: stream.clone(),
                        consumer,
                    };
                    let stores = self.successor_stores(&name, on.0);
                    let preferred = stores.first().copied().unwrap_or(on.1);
                    let preferred = if stores.contains(&on.1) { on.1 } else { preferred };
                    self.replace_group(&name, (&stores, preferred), deltas)?;
                }
                Ok(reply)
            }
            AssetName::Consumer { .. } => {
                self.check_inside(group, on.0)?;
                self.replace_group(&name, on, deltas)
            }
        }
    }

    /// Where a consumer goes when its stream begins anew: it stays where it can and fills up in
    /// order.
    fn successor_stores(&self, name: &AssetName, stream: &[StoreId]) -> Vec<StoreId> {
        let AssetName::Consumer { account, stream: of, consumer } = name else {
            return stream.to_vec();
        };
        let Some(asset) = self.consumer(account, of, consumer) else { return stream.to_vec() };
        let wanted = self.wanted_replicas(asset.group.id).unwrap_or(stream.len());
        let (stay, fill): (Vec<_>, Vec<_>) =
            stream.iter().partition(|s| asset.group.member_on(**s).is_some());
        stay.into_iter().chain(fill).take(wanted).collect()
    }

    fn replace_group(
        &mut self,
        name: &AssetName,
        on: (&[StoreId], StoreId),
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let (AssetName::Stream { account, stream } | AssetName::Consumer { account, stream, .. }) =
            name;
        // A consumer follows its stream into the same slot, and so does what comes after either.
        let of = self.stream(account, stream).ok_or(MetaError::StreamNotFound)?;
        let old = match name {
            AssetName::Stream { .. } => Some(&of.group),
            AssetName::Consumer { consumer, .. } => of.consumers.get(consumer).map(|c| &c.group),
        };
        let (slot, old) = (of.group.id.slot(), old.ok_or(MetaError::ConsumerNotFound)?.id);
        self.leaves_census(old);
        let group = self.found_group(on, slot, name.clone());
        let asset = self
            .accounts
            .get_mut(account)
            .and_then(|s| s.get_mut(stream))
            .ok_or(MetaError::StreamNotFound)?;
        let (old, created) = match name {
            AssetName::Stream { .. } => {
                asset.first_config = None;
                (std::mem::replace(&mut asset.group, group.clone()), asset.created)
            }
            AssetName::Consumer { consumer, .. } => {
                let asset = asset.consumers.get_mut(consumer).ok_or(MetaError::ConsumerNotFound)?;
                asset.first_config = None;
                (std::mem::replace(&mut asset.group, group.clone()), asset.created)
            }
        };
        self.bury(&old, name.clone(), deltas);
        self.enters_census(group.id);
        deltas.push(Delta::asset(AssetChange::Created, group.id, name.clone(), on.0));
        Ok(Reply::Updated(AssetRef::new(&group, created)))
    }

    /// How many members a group should have.
    #[must_use]
    pub fn wanted_replicas(&self, group: GroupId) -> Option<usize> {
        let stream = self.stream_of(group)?;
        let replicas = match self.name_of(group)? {
            AssetName::Stream { .. } => stream.config.replicas,
            AssetName::Consumer { consumer, .. } => {
                consumer_replicas(&stream.config, &stream.consumers.get(consumer)?.config)
            }
        };
        Some(usize::from(replicas))
    }

    /// Whether assets may be put on `store`.
    pub(super) fn takes_assets(&self, store: StoreId) -> bool {
        self.server(store).is_some_and(Server::takes_assets)
    }

    /// Whether a new group may begin on these stores.
    pub(super) fn check_stores(
        &self,
        (stores, preferred): (&[StoreId], StoreId),
        wanted: usize,
    ) -> Result<(), Stale> {
        let given = stores.len();
        if given != wanted || given == 0 {
            return Err(Stale::Count { given, wanted });
        }
        if let Some(&store) = stores.iter().find(|s| !self.takes_assets(**s)) {
            return Err(Stale::Store(store));
        }
        let mut seen = BTreeSet::new();
        if let Some(&store) = stores.iter().find(|s| !seen.insert(**s)) {
            return Err(Stale::StoreTwice { group: GroupId::default(), store });
        }
        if stores.contains(&preferred) { Ok(()) } else { Err(Stale::Store(preferred)) }
    }

    /// Whether these stores of a consumer's group all hold its stream.
    fn check_inside(&self, group: GroupId, stores: &[StoreId]) -> Result<(), Stale> {
        let stream = self.stream_of(group).ok_or(Stale::NoGroup(group))?;
        match stores.iter().find(|s| stream.group.member_on(**s).is_none()) {
            Some(&store) => Err(Stale::OutsideStream { group, store }),
            None => Ok(()),
        }
    }
}
