//! The end of a run: liveness (invariant I11), and what is left to look at.

use std::collections::BTreeMap;

use flotilla_disk::Disk;
use flotilla_host::{MILLISECOND, Shard, StateView};
use flotilla_meta::Meta;
use flotilla_raft::{GroupId, StoreId};

use super::Run;
use crate::history::Outcome;
use crate::invariant::{Final, Messages, Seen, Violation};

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
        for (group, asset) in meta.groups() {
            let wanted = asset.group();
            if leaders.get(&group) != Some(&1) {
                let (count, how) = (leaders.get(&group), self.describe(group));
                return Some(format!("group {group} has {count:?} leaders: {how}"));
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
                && asset.is_none_or(|asset| asset.group().member_on(*store).is_none())
        });
        extra.map(|(store, view)| format!("{store} still has a replica of group {}", view.group))
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
        let known = |group: &GroupId| self.clients.history.streams.contains_key(group);
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
            .collect();
        consumers.into_iter().try_for_each(|c| self.drain_consumer(c, patience + patience / 2))
    }

    /// A consumer delivers what it has, until it has nothing.
    pub(crate) fn drain_consumer(
        &mut self,
        consumer: GroupId,
        patience: u64,
    ) -> Result<(), Violation> {
        self.left.remove(&consumer);
        while self.left.get(&consumer) != Some(&0) && self.lives(consumer) {
            self.clients.pull_from(consumer, &mut self.world);
            self.clients.pull_from(consumer, &mut self.world);
            self.until(self.world.now + LOOK)?;
            self.clients.ask_consumer(consumer, &mut self.world);
            self.until(self.world.now + LOOK / 5)?;
            if self.world.now > patience {
                let left = self.left.get(&consumer);
                return Err(stuck(format!("consumer group {consumer} still has {left:?}")));
            }
        }
        Ok(())
    }

    fn lives(&self, group: GroupId) -> bool {
        self.meta().is_some_and(|meta| meta.asset(group).is_some())
    }

    /// What is missing for all replicas to have applied the same.
    pub(crate) fn not_equal(&self) -> Option<String> {
        let mut applied: BTreeMap<GroupId, (StoreId, u64)> = BTreeMap::new();
        for (store, view) in self.replicas() {
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
        let mut end = Final {
            meta,
            streams: BTreeMap::new(),
            replicas: BTreeMap::new(),
            folders: BTreeMap::new(),
        };
        for store in self.world.stores() {
            let Some(server) = self.world.servers.get_mut(&store) else { continue };
            end.folders.insert(store, server.disk.list("streams").unwrap_or_default());
            let Some(running) = &mut server.running else { continue };
            for shard in &mut running.shards {
                let views = shard.replicas().map(|view| (view.group, view.replica));
                end.replicas.entry(store).or_default().extend(views);
                let mut indexes: Vec<(GroupId, u64, Vec<u64>)> = Vec::new();
                for view in shard.replicas() {
                    if let StateView::Stream(stream) = view.state {
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
