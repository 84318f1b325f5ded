//! The end of a run: liveness (invariant I11), and what is left to look at.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_disk::Disk;
use flotilla_host::{MILLISECOND, SECOND, Shard, StateView};
use flotilla_meta::{AssetGroup, Meta, meta_members};
use flotilla_raft::{GroupId, Membership, ReplicaId, StoreId};

use super::Run;
use crate::fault::Hurt;
use crate::history::Outcome;
use crate::invariant::{Final, Messages, Seen, Violation};
use crate::world::Server;

/// A consumer that delivers nothing for so long, at the end, stands still.
const STANDSTILL: u64 = 30 * SECOND;

/// A shard has a turn this often, also when nothing happens.
const SWEEP: u64 = 6 * SECOND;

/// How often it is looked whether everything is as it should be.
const LOOK: u64 = 250 * MILLISECOND;

fn stuck(what: String) -> Violation {
    Violation { invariant: "I11 everything comes to rest", what }
}

impl Run {
    /// The cluster becomes whole, takes messages, delivers all of them; and then everything is compared.
    pub(super) fn come_to_rest(&mut self, patience: u64) -> Result<(), Violation> {
        self.wait(patience, Self::not_whole)?;
        self.take_probes(patience)?;
        self.drain(patience)?;
        self.wait(patience, Self::not_equal)?;
        // What is damaged is found by reading it; its shard sees to it in its next turn.
        let end = self.at_the_end().map_err(stuck)?;
        if end.streams.values().flat_map(BTreeMap::values).any(|held| !held.unreadable.is_empty()) {
            self.until(self.world.now + SWEEP)?;
        }
        self.wait(patience, Self::not_repaired)?;
        // The last that clients asked for may have come to its end only now.
        self.wait(self.world.now.max(patience) + STANDSTILL, Self::not_whole)?;
        self.wait(self.world.now.max(patience) + STANDSTILL, Self::not_equal)?;
        let end = self.at_the_end().map_err(stuck)?;
        self.invariants.see(&self.clients.history, &Seen::Final(&end))
    }

    /// Waits until nothing is missing.
    fn wait(
        &mut self,
        patience: u64,
        missing: fn(&Self) -> Option<String>,
    ) -> Result<(), Violation> {
        loop {
            let Some(what) = missing(self) else { return Ok(()) };
            if self.world.now > patience {
                return Err(stuck(format!("{what}; {}", self.describe_logs())));
            }
            self.until(self.world.now + LOOK)?;
        }
    }

    /// Logs that are larger than they should be, and whom they wait for.
    fn describe_logs(&self) -> String {
        let running =
            self.world.servers.iter().filter_map(|(s, server)| Some((s, server.running.as_ref()?)));
        let large = running.filter(|(_, running)| running.log.wal.used() > running.log.wal.cap());
        let logs = large.map(|(store, running)| {
            let wal = &running.log.wal;
            format!("the log of {store} has {} bytes, for {:?}", wal.used(), wal.pressure().pins)
        });
        logs.collect::<Vec<_>>().join("; ")
    }

    fn replicas(&self) -> impl Iterator<Item = (StoreId, flotilla_host::ReplicaView<'_>)> {
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
    fn is_beyond_repair(&self, meta: &Meta, group: GroupId) -> bool {
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
        for (replica, store) in wanted.holders() {
            if hurt.stores.contains(&store) && (is_new || !self.world.servers.contains_key(&store))
            {
                hurt.logs.insert(replica);
                hurt.any.insert(replica);
            }
        }
        hurt
    }

    /// What damage is known and not repaired.
    fn not_repaired(&self) -> Option<String> {
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
    fn describe(&self, group: GroupId) -> String {
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

    /// Every stream takes a message.
    fn take_probes(&mut self, patience: u64) -> Result<(), Violation> {
        let streams: Vec<GroupId> = self.live_streams();
        for group in streams {
            loop {
                let probe = self.clients.probe(group, &mut self.world);
                self.until(self.world.now + LOOK)?;
                let taken = probe.and_then(|id| self.clients.history.publication(id));
                // One that expected another sequence, say, was answered all the same.
                let is_answered = taken.is_some_and(|p| p.outcome != Outcome::Unknown);
                // The last thing that a client asked for may have been its end.
                if is_answered || !self.live_streams().contains(&group) {
                    break;
                }
                if self.world.now > patience {
                    return Err(stuck(format!("stream group {group} takes no message")));
                }
            }
        }
        Ok(())
    }

    fn live_streams(&self) -> Vec<GroupId> {
        let Some(meta) = self.meta() else { return Vec::new() };
        let known = |group: &GroupId| {
            self.clients.history.streams.contains_key(group) && !self.is_beyond_repair(meta, *group)
        };
        meta.streams().map(|(_, _, asset)| asset.group.id).filter(known).collect()
    }

    /// Every consumer delivers what it has, until it has nothing.
    fn drain(&mut self, patience: u64) -> Result<(), Violation> {
        let streams = self.live_streams();
        let Some(meta) = self.meta() else { return Err(stuck("nobody knows of meta".to_owned())) };
        let consumers: Vec<GroupId> = streams
            .iter()
            .filter_map(|group| meta.stream_of(*group))
            .flat_map(|stream| stream.consumers.values().map(|consumer| consumer.group.id))
            .filter(|group| self.clients.history.consumers.contains_key(group))
            .filter(|group| !self.is_beyond_repair(meta, *group))
            .collect();
        consumers.into_iter().try_for_each(|consumer| self.drain_consumer(consumer, patience))
    }

    /// A consumer delivers what it has, until it has nothing. One that has much takes its time; one that stands still after
    /// `patience` does not get it.
    pub(crate) fn drain_consumer(
        &mut self,
        consumer: GroupId,
        patience: u64,
    ) -> Result<(), Violation> {
        self.left.remove(&consumer);
        let mut moved = (None, self.world.now.max(patience));
        while self.left.get(&consumer) != Some(&0) && self.lives(consumer) {
            self.clients.pull_from(consumer, &mut self.world);
            self.clients.pull_from(consumer, &mut self.world);
            self.until(self.world.now + LOOK)?;
            self.clients.ask_consumer(consumer, &mut self.world);
            self.until(self.world.now + LOOK / 5)?;
            let left = self.left.get(&consumer).copied();
            if left != moved.0 {
                moved = (left, self.world.now.max(patience));
            }
            if self.world.now > moved.1 + STANDSTILL {
                let how = self.describe(consumer);
                return Err(stuck(format!("consumer group {consumer} still has {left:?}: {how}")));
            }
        }
        Ok(())
    }

    fn lives(&self, group: GroupId) -> bool {
        self.meta().is_some_and(|meta| meta.asset(group).is_some())
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

    fn at_the_end(&mut self) -> Result<Final, String> {
        let Some(meta) = self.meta().cloned() else {
            return Err("nobody knows of meta".to_owned());
        };
        let beyond_repair = meta.groups().map(|(group, _)| group);
        let beyond_repair = beyond_repair.filter(|g| self.is_beyond_repair(&meta, *g)).collect();
        let mut end = Final {
            beyond_repair,
            meta,
            streams: BTreeMap::new(),
            replicas: BTreeMap::new(),
            folders: BTreeMap::new(),
            kept: BTreeMap::new(),
        };
        for store in self.world.stores() {
            let Some(server) = self.world.servers.get_mut(&store) else { continue };
            end.folders.insert(store, server.disk.list("streams").unwrap_or_default());
            let Some(running) = &mut server.running else { continue };
            if self.faults.hurt.stores.contains(&store) {
                let ended = running.shards.iter().flat_map(|shard| shard.totals().ended);
                let ended = ended.map(|(group, _)| group);
                let kept = ended.filter(|group| is_unknown(&end.meta, *group, store));
                end.kept.insert(store, kept.collect());
            }
            for shard in &mut running.shards {
                let views = shard.replicas().map(|view| (view.group, view.replica));
                end.replicas.entry(store).or_default().extend(views);
                let mut indexes: Vec<(GroupId, u64, Vec<u64>)> = Vec::new();
                for view in shard.replicas() {
                    if let StateView::Stream(stream) = view.state
                        && !end.beyond_repair.contains(&view.group)
                    {
                        let last = stream.last_seq();
                        let there = (1..=last).filter(|seq| stream.contains(*seq)).collect();
                        indexes.push((view.group, last, there));
                    }
                }
                for (group, last_seq, there) in indexes {
                    let mut held =
                        Messages { last_seq, messages: BTreeMap::new(), unreadable: Vec::new() };
                    for seq in there {
                        match shard.message(group, seq) {
                            Some(message) => drop(held.messages.insert(seq, message)),
                            None => held.unreadable.push(seq),
                        }
                    }
                    end.streams.entry(group).or_default().insert(store, held);
                }
            }
        }
        Ok(end)
    }
}

/// Whether meta knows of no replica of the group on this store. What a log that forgot its end brings back there is kept in
/// quarantine.
fn is_unknown(meta: &Meta, group: GroupId, store: StoreId) -> bool {
    let holders = meta.asset(group).map(|asset| asset.group().holders());
    holders.is_none_or(|holders| holders.values().all(|on| *on != store))
}
