//! The replicas of a shard, by kind: what concerns one kind finds it typed, what concerns any finds it as a
//! [`Driven`].

use std::collections::{BTreeMap, BTreeSet};

use flotilla_disk::RecoveredGroup;
use flotilla_raft::{Group, GroupId, Message, Poisoned, StepError, StoreId};

use crate::bundle::{Lack, Say, Sleep};
use crate::consumer::ConsumerMachine;
use crate::meta::MetaMachine;
use crate::replica::{Asleep, Machine, Replica};
use crate::stream::StreamMachine;
use crate::turn::Cx;

/// What any replica can be told, whatever its machine.
pub(crate) trait Driven {
    fn raft(&self) -> &Group;
    fn raft_mut(&mut self) -> &mut Group;
    fn is_awake(&self) -> bool;
    fn asleep(&self) -> Option<Asleep>;
    fn is_serving(&self) -> bool;
    fn wake(&mut self);
    fn sleep(&mut self, sleep: Sleep, cx: &mut Cx);
    fn differs(&self) -> bool;
    fn step(&mut self, from: StoreId, message: Message, cx: &mut Cx) -> Result<(), StepError>;
    fn persisted(&mut self, number: u64, cx: &mut Cx) -> Result<(), Poisoned>;
    fn tick(&mut self, cx: &mut Cx) -> Result<(), Poisoned>;
    fn be_eager(&mut self, within: u64, cx: &mut Cx);
    fn is_installing(&self) -> bool;
    fn installed(&mut self, cx: &mut Cx) -> Result<(), Poisoned>;
    fn give(&mut self, lack: &Lack, cx: &mut Cx) -> Option<Say>;
    fn remains(&self) -> RecoveredGroup;
}

impl<M: Machine> Driven for Replica<M> {
    fn raft(&self) -> &Group {
        &self.raft
    }

    fn raft_mut(&mut self) -> &mut Group {
        &mut self.raft
    }

    fn is_awake(&self) -> bool {
        Self::is_awake(self)
    }

    fn asleep(&self) -> Option<Asleep> {
        self.asleep
    }

    fn is_serving(&self) -> bool {
        self.serves()
    }

    fn wake(&mut self) {
        Self::wake(self);
    }

    fn sleep(&mut self, sleep: Sleep, cx: &mut Cx) {
        Self::sleep(self, sleep, cx);
    }

    fn differs(&self) -> bool {
        self.differs || self.machine.differs()
    }

    fn step(&mut self, from: StoreId, message: Message, cx: &mut Cx) -> Result<(), StepError> {
        Self::step(self, from, message, cx)
    }

    fn persisted(&mut self, number: u64, cx: &mut Cx) -> Result<(), Poisoned> {
        Self::persisted(self, number, cx)
    }

    fn tick(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        Self::tick(self, cx)
    }

    fn be_eager(&mut self, within: u64, cx: &mut Cx) {
        Self::be_eager(self, within, cx);
    }

    fn is_installing(&self) -> bool {
        self.installing
    }

    fn installed(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        Self::installed(self, cx)
    }

    fn give(&mut self, lack: &Lack, cx: &mut Cx) -> Option<Say> {
        Self::give(self, lack, cx)
    }

    fn remains(&self) -> RecoveredGroup {
        let named = (self.incarnation, self.asset.clone());
        super::aside::remains_of(self.raft.id(), named, &self.raft, &self.base)
    }
}

/// The replicas of a shard.
#[derive(Default)]
pub(crate) struct Replicas {
    pub(crate) meta: Option<Replica<MetaMachine>>,
    /// In boxes, as are the consumers: a node of the map has room for eleven of them, and is rarely full.
    pub(crate) streams: BTreeMap<GroupId, Box<Replica<StreamMachine>>>,
    pub(crate) consumers: BTreeMap<GroupId, Box<Replica<ConsumerMachine>>>,
    /// The consumers of each stream that have a replica here.
    pub(crate) consumers_of: BTreeMap<GroupId, BTreeSet<GroupId>>,
}

impl Replicas {
    pub(crate) fn get(&self, group: GroupId) -> Option<&dyn Driven> {
        if group == GroupId::META {
            return self.meta.as_ref().map(|r| r as &dyn Driven);
        }
        let stream = self.streams.get(&group).map(|r| &**r as &dyn Driven);
        stream.or_else(|| self.consumers.get(&group).map(|r| &**r as &dyn Driven))
    }

    pub(crate) fn get_mut(&mut self, group: GroupId) -> Option<&mut dyn Driven> {
        if group == GroupId::META {
            return self.meta.as_mut().map(|r| r as &mut dyn Driven);
        }
        if let Some(stream) = self.streams.get_mut(&group) {
            return Some(&mut **stream);
        }
        self.consumers.get_mut(&group).map(|r| &mut **r as &mut dyn Driven)
    }

    /// All groups, ascending within each kind.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> {
        let meta = self.meta.iter().map(|m| m.group);
        meta.chain(self.streams.keys().copied()).chain(self.consumers.keys().copied())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupId, &dyn Driven)> {
        let meta = self.meta.iter().map(|m| (m.group, m as &dyn Driven));
        let streams = self.streams.iter().map(|(g, r)| (*g, &**r as &dyn Driven));
        let consumers = self.consumers.iter().map(|(g, r)| (*g, &**r as &dyn Driven));
        meta.chain(streams).chain(consumers)
    }

    /// Since when (on the clock that only goes forward) the replica here serves as leader.
    pub(crate) fn led_since(&self, group: GroupId) -> Option<u64> {
        let stream = self.streams.get(&group).and_then(|r| r.serving_since());
        stream.or_else(|| self.consumers.get(&group).and_then(|r| r.serving_since()))
    }

    pub(crate) fn add_consumer(&mut self, replica: Replica<ConsumerMachine>) {
        let stream = replica.machine.stream_group;
        self.consumers_of.entry(stream).or_default().insert(replica.group);
        self.consumers.insert(replica.group, Box::new(replica));
    }

    /// Takes a replica out, after telling whoever waits for it. Its name is returned, if it was there.
    pub(crate) fn remove(&mut self, group: GroupId, cx: &mut Cx) -> Option<String> {
        if let Some(mut consumer) = self.consumers.remove(&group) {
            consumer.retire(cx);
            if let Some(of) = self.consumers_of.get_mut(&consumer.machine.stream_group) {
                of.remove(&group);
            }
            return Some(consumer.machine.name());
        }
        if let Some(mut stream) = self.streams.remove(&group) {
            stream.retire(cx);
            return Some(stream.machine.name());
        }
        let mut meta = self.meta.take_if(|_| group == GroupId::META)?;
        meta.retire(cx);
        Some(meta.machine.name())
    }
}
