//! The end of a run: liveness (invariant I11), and what is left to look at.

use std::collections::BTreeMap;

use flotilla_disk::Disk;
use flotilla_host::{MILLISECOND, SECOND, StateView};
use flotilla_raft::GroupId;

use super::Run;
use super::whole::is_unknown;
use crate::history::Outcome;
use crate::invariant::{Final, Messages, Seen, Violation};

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
        // What is damaged is found by reading it; its shard sees to it in its next turn. The first time a block may come from
        // memory that was read before it was damaged.
        self.at_the_end().map_err(stuck)?;
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
