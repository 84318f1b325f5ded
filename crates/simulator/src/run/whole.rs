//! Whether a cluster is whole: what is still missing, in words.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_host::{ReplicaView, Shard, StateView};
use flotilla_meta::{AssetGroup, Meta, meta_members};
use flotilla_raft::{GroupId, Membership, ReplicaId, StoreId};

use super::Run;
use crate::fault::Hurt;
use crate::world::Server;

impl Run {
    fn replicas(&self) -> impl Iterator<Item = (StoreId, ReplicaView<'_>)> {
        let stores = self.world.servers.keys();
        stores.flat_map(|store| {
            let views = self.world.shards(*store).iter().flat_map(Shard::replicas);
            views.map(move |view| (*store, view))
        })
    }

    pub(crate) fn meta(&self) -> Option<&Meta> {
        let known = self.replicas().filter_map(|(_, view)| match view.state {
            StateView::Meta(meta) => Some((view.serves, view.applied, meta)),
            _ => None,
        });
        known.max_by_key(|(serves, applied, _)| (*serves, *applied)).map(|(_, _, meta)| meta)
    }

    /// What is missing for every asset to have its replicas, and one leader that all of them follow.
    pub(crate) fn not_whole(&self) -> Option<String> {
        if let Some(store) = self.world.stores().into_iter().find(|store| !self.world.runs(*store))
        {
            return Some(format!("{store} does not run"));
        }
        // A disk that hung finishes what it had begun, and only then files go that are not wanted any more.
        let writes = |store: &StoreId| {
            let running = self.world.servers.get(store).and_then(|s| s.running.as_ref());
            running.is_some_and(|running| running.log.is_writing())
        };
        if let Some(store) = self.world.stores().into_iter().find(writes) {
            return Some(format!("{store} writes its log"));
        }
        let Some(meta) = self.meta() else { return Some("nobody knows of meta".to_owned()) };
        if !self.replicas().any(|(_, view)| view.group == GroupId::META && view.serves) {
            return Some(format!("nobody leads meta: {}", self.describe(GroupId::META)));
        }
        if let Some(what) = self.meta_not_whole(meta) {
            return Some(what);
        }
        if let Some((group, tombstone)) = meta.tombstones().first_key_value() {
            let (how, meta) = (self.describe(*group), self.describe(GroupId::META));
            return Some(format!(
                "group {group} was deleted and is still here: {tombstone:?}: {how}; of meta {meta}"
            ));
        }
        let mut leaders: BTreeMap<GroupId, u64> = BTreeMap::new();
        for (_, view) in self.replicas().filter(|(_, view)| view.serves) {
            *leaders.entry(view.group).or_default() += 1;
        }
        for (group, asset) in
            meta.groups().filter(|(group, _)| !self.is_beyond_repair(meta, *group))
        {
            let wanted = asset.group();
            if leaders.get(&group) != Some(&1) {
                let (count, how) = (leaders.get(&group), self.describe(group));
                return Some(format!("group {group} has {count:?} leaders: {how}; {wanted:?}"));
            }
            if !wanted.is_settled() {
                let how = self.describe(group);
                return Some(format!(
                    "the members of group {group} are not as wanted: {wanted:?}: {how}"
                ));
            }
            for member in &wanted.desired {
                let here = self.replicas().any(|(store, view)| {
                    store == member.store && view.replica == member.replica && view.group == group
                });
                if !here {
                    let (replica, store) = (member.replica, member.store);
                    return Some(format!("replica {replica} of group {group} is not on {store}"));
                }
            }
        }
        let extra = self.replicas().find(|(store, view)| {
            let asset = meta.asset(view.group);
            view.group != GroupId::META
                && !self.is_beyond_repair(meta, view.group)
                && asset.is_none_or(|asset| asset.group().member_on(*store).is_none())
        });
        let extra = extra.map(|(store, view)| (store, view.group));
        let extra = extra.map(|(s, group)| format!("{s} still has a replica of group {group}"));
        extra.or_else(|| self.left_over(meta))
    }

    /// Every registered server votes in the meta group, and nobody else.
    fn meta_not_whole(&self, meta: &Meta) -> Option<String> {
        let mut views = self.replicas().filter(|(_, view)| view.group == GroupId::META);
        let members = &views.find(|(_, view)| view.serves)?.1.membership;
        let wanted: BTreeSet<ReplicaId> =
            meta_members(meta).iter().map(|member| member.replica).collect();
        let voters: BTreeSet<ReplicaId> = members.voters.iter().copied().collect();
        let is_whole = voters == wanted && members.learners.is_empty() && !members.is_joint();
        let how = || self.describe(GroupId::META);
        (!is_whole).then(|| format!("in the meta group {wanted:?} are to vote: {}", how()))
    }

    /// A replica that takes no part, of a group that could do without it.
    fn left_over(&self, meta: &Meta) -> Option<String> {
        self.world.servers.keys().find_map(|store| {
            let shards = self.world.shards(*store).iter();
            let mut ended = shards.flat_map(|shard| shard.totals().ended);
            let hurt = self.faults.hurt.stores.contains(store);
            let kept = |group| hurt && is_unknown(meta, group, *store);
            let whole = |group| meta.asset(group).is_some() && !self.is_beyond_repair(meta, group);
            let (group, why) = ended.find(|(group, _)| whole(*group) && !kept(*group))?;
            let wanted = meta.asset(group).map(|asset| asset.group());
            Some(format!("{store} still has what is left of group {group} ({why}): {wanted:?}"))
        })
    }

    /// Whether so much of a group was damaged that no copy of something may be left, or nobody could lead it.
    pub(super) fn is_beyond_repair(&self, meta: &Meta, group: GroupId) -> bool {
        let Some(asset) = meta.asset(group) else { return false };
        let hurt = &self.hurt(asset.group());
        let wanted: Vec<ReplicaId> = asset.group().desired.iter().map(|m| m.replica).collect();
        let actual = &asset.group().actual.membership.voters;
        // What was acknowledged may be on a majority alone.
        let no_copy = |members: &[ReplicaId]| {
            let hurt = members.iter().filter(|r| hurt.any.contains(r)).count();
            2 * hurt > members.len()
        };
        let led = self.replicas().any(|(_, view)| view.group == group && view.serves);
        let of_group = || self.replicas().filter(|(_, view)| view.group == group);
        let configured = of_group().any(|(_, view)| {
            let Membership { voters, voters_outgoing: old, .. } = view.membership;
            hurt.too_much(voters) || !old.is_empty() && hurt.too_much(old)
        });
        let too_much = configured || hurt.too_much(&wanted) || hurt.too_much(actual);
        if !led && too_much || no_copy(&wanted) || no_copy(actual) {
            return true;
        }
        let stream = meta.stream_of(group).map(|stream| stream.group.id);
        stream.is_some_and(|stream| stream != group && self.is_beyond_repair(meta, stream))
    }

    /// Whom damage met, and those besides that a store cannot tell from them: one that forgot which replicas it had takes
    /// those for lost that it was given before it could ask meta. And who was given a place on a disk that was gone already.
    fn hurt(&self, wanted: &AssetGroup) -> Hurt {
        let mut hurt = self.faults.hurt.clone();
        let is_new = self.groups.get(&wanted.id).is_none_or(|reached| reached.term == 0);
        let is_here = |replica, store| {
            let views = self.world.shards(store).iter().flat_map(Shard::replicas);
            views.into_iter().any(|view| view.replica == replica)
        };
        for (replica, store) in wanted.holders() {
            let unknown = hurt.stores.contains(&store) && (is_new || !is_here(replica, store));
            if unknown || !self.world.servers.contains_key(&store) {
                hurt.logs.insert(replica);
                hurt.any.insert(replica);
            }
        }
        hurt
    }

    /// What damage is known and not repaired.
    pub(super) fn not_repaired(&self) -> Option<String> {
        let meta = self.meta()?;
        let totals = |store: &StoreId| {
            let shards = self.world.shards(*store).iter();
            shards.flat_map(|shard| shard.totals().mending).collect::<Vec<_>>()
        };
        self.world.servers.keys().find_map(|store| {
            let mut mending = totals(store).into_iter();
            let (group, what) = mending.find(|(g, _)| !self.is_beyond_repair(meta, *g))?;
            Some(format!("{store}: group {group} is not repaired: {what}"))
        })
    }

    /// How the replicas of a group are.
    pub(super) fn describe(&self, group: GroupId) -> String {
        let replicas = self.replicas().filter(|(_, view)| view.group == group).map(|(store, view)| {
            let (state, members) = (view.hard_state, view.membership);
            format!(
                "{} on {store} is {:?} in term {} (vote {}), awake {}, applied {}, committed {}, last {}, voters {:?} \
                 {:?}, learners {:?}",
                view.replica,
                view.role,
                state.term,
                state.vote,
                view.awake,
                view.applied,
                state.commit,
                view.last_index,
                members.voters,
                members.voters_outgoing,
                members.learners,
            )
        });
        replicas.collect::<Vec<_>>().join("; ")
    }

    /// What is missing for all replicas to have applied the same, and all work on files to be done.
    pub(crate) fn not_equal(&self) -> Option<String> {
        let busy = |server: &Server| server.running.as_ref().is_some_and(|r| !r.jobs.is_empty());
        if let Some((store, _)) = self.world.servers.iter().find(|(_, server)| busy(server)) {
            return Some(format!("{store} still has work to do on files"));
        }
        let meta = self.meta()?;
        let mut applied: BTreeMap<GroupId, (StoreId, u64)> = BTreeMap::new();
        let whole = self.replicas().filter(|(_, view)| !self.is_beyond_repair(meta, view.group));
        for (store, view) in whole {
            let (first, index) = *applied.entry(view.group).or_insert((store, view.applied));
            if index != view.applied {
                let (group, here) = (view.group, view.applied);
                return Some(format!("group {group}: {first} applied {index}, {store} {here}"));
            }
        }
        None
    }
}

/// Whether meta knows of no replica of the group on this store. What a log that forgot its end brings back there is kept in
/// quarantine.
pub(super) fn is_unknown(meta: &Meta, group: GroupId, store: StoreId) -> bool {
    let holders = meta.asset(group).map(|asset| asset.group().holders());
    holders.is_none_or(|holders| holders.values().all(|on| *on != store))
}
