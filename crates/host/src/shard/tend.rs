//! What is led here moves towards its desired members and configuration, and meta is told how it is.

use flotilla_meta::{AssetConfig, GroupView, Member, Reported, next_step};
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::GroupId;
use flotilla_stream::StreamChange;

use super::Shard;
use super::own_calls::OwnCall;
use crate::replica::{Machine, Replica};
use crate::request::{ConsumerRequest, MetaRequest, Request, StreamRequest};
use crate::turn::Cx;

/// How far a learner may be behind to become a voter.
const CAUGHT_UP: u64 = 64;

impl Shard {
    /// Moves what is led here towards what is wanted: one step at a time per group. Groups with which nothing happened in
    /// this turn are as they were; those that are awake come again with the next tick.
    pub(super) fn tend_led(&mut self) {
        let leads = |r: &dyn super::replicas::Driven| r.is_awake() && r.is_serving();
        let is_led = |group: &GroupId| self.replicas.get(*group).is_some_and(leads);
        let active = self.settled.union(&self.dirty).copied();
        let led: Vec<GroupId> = active.filter(|g| *g != GroupId::META && is_led(g)).collect();
        for group in led {
            self.tend_members(group);
            self.tend_config(group);
        }
    }

    fn tend_members(&mut self, group: GroupId) {
        let Some(asset) = self.known.live(group) else { return };
        let wanted = &asset.group;
        let Some(raft) = self.replicas.get(group).map(|r| r.raft()) else { return };
        let recorded = GroupView::is_recorded(wanted, raft.membership());
        if recorded && wanted.is_settled() {
            return;
        }
        // A group with something to do does not sleep over it: nobody would wake it when it can be done.
        let desired = wanted.desired.clone();
        let epoch = wanted.epoch;
        let led_since = self.replicas.led_since(group).unwrap_or(u64::MAX);
        let meta_current = self.meta_current_at.is_some_and(|at| at >= led_since);
        if !meta_current {
            self.ask_barrier();
        }
        let cx = &mut self.cx;
        let report = if let Some(stream) = self.replicas.streams.get_mut(&group) {
            stream.tend_towards(&desired, recorded, meta_current, cx)
        } else if let Some(consumer) = self.replicas.consumers.get_mut(&group) {
            consumer.tend_towards(&desired, recorded, meta_current, cx)
        } else {
            false
        };
        let reporting = self.own_calls.values().any(|c| match c {
            OwnCall::Report(g) | OwnCall::Lead { group: g, .. } => *g == group,
            _ => false,
        });
        if report && !reporting {
            self.confirm_lead(group, epoch);
        }
        if !is_on(Mutation::SleepsWithWorkLeft) {
            self.wake(group);
        }
    }

    /// Only a leader that is sure to be one, after it knew of the epoch, may say what its configuration is: on that word
    /// replicas are destroyed.
    fn confirm_lead(&mut self, group: GroupId, epoch: u64) {
        let Some(term) = self.replicas.get(group).map(|r| r.raft().term()) else { return };
        let request = if self.replicas.streams.contains_key(&group) {
            Request::Stream(StreamRequest::Barrier)
        } else {
            Request::Consumer(ConsumerRequest::Barrier)
        };
        self.call(OwnCall::Lead { group, term, epoch }, group, request);
    }

    pub(super) fn report(&mut self, group: GroupId, epoch: u64) {
        let Some(raft) = self.replicas.get(group).map(|r| r.raft()) else { return };
        let report =
            Reported { membership: raft.membership().clone(), index: raft.applied(), epoch };
        self.call_meta(OwnCall::Report(group), MetaRequest::Report { group, report });
    }

    /// The asset's own machine gets the configuration that meta has.
    fn tend_config(&mut self, group: GroupId) {
        match self.known.live(group).map(|asset| &asset.config) {
            Some(AssetConfig::Stream(wanted)) => {
                let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
                if stream.machine.stream.config() != wanted && !stream.machine.updating {
                    let change = StreamChange::Update(Box::new(wanted.clone()));
                    stream.machine.updating =
                        stream.propose_change_of_stream(change, None, &mut self.cx);
                    self.dirty.insert(group);
                }
            }
            Some(AssetConfig::Consumer(wanted)) => {
                let Some(consumer) = self.replicas.consumers.get_mut(&group) else { return };
                if consumer.update_config(wanted, &mut self.cx) {
                    self.dirty.insert(group);
                }
            }
            None => {}
        }
    }
}

impl<M: Machine> Replica<M> {
    /// The next step towards the desired members. Returns whether meta is to be told how they are.
    fn tend_towards(
        &mut self,
        desired: &[Member],
        recorded: bool,
        meta_current: bool,
        cx: &mut Cx,
    ) -> bool {
        let (live, caught_up) = self.standing(desired, CAUGHT_UP, cx);
        let view = GroupView {
            leader: self.raft.id(),
            membership: self.raft.membership(),
            desired,
            live: &live,
            caught_up: &caught_up,
            recorded,
            meta_current,
            in_flight: self.raft.change_pending() || self.raft.transferring().is_some(),
        };
        let step = next_step(&view);
        self.take_step(step, cx)
    }
}
