//! The turn.

use std::sync::Arc;

use flotilla_disk::SegmentJob;
use flotilla_raft::{GroupId, Poisoned};

use super::{Ended, Input, Left, Shard};
use crate::bundle::unbundle;
use crate::notice::Notice;
use crate::replica::{FLOWING, Replica};
use crate::request::{Answer, Request};
use crate::stream::StreamMachine;
use crate::time::Now;
use crate::turn::{After, Output, WalTicket};

impl Shard {
    /// One turn: takes `inputs`, and returns all that is to be done.
    pub fn turn(&mut self, now: Now, inputs: impl IntoIterator<Item = Input>) -> Output {
        self.cx.now = now;
        for input in inputs {
            self.take(input);
        }
        self.begin_some();
        self.run_timers();
        self.scrub();
        self.run_ticks();
        self.settle();
        self.reconcile();
        self.settle();
        self.note_awake();
        self.close()
    }

    /// When the next turn is due although nothing comes in; `None` when everything sleeps.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let repairs = !self.mending.is_empty() || !self.repairs_of.is_empty();
        let round = repairs.then(|| self.awake.next_round());
        let begin = self.is_beginning().then_some(self.cx.now.mono);
        let timer = self.timers.first();
        [begin, self.awake.next(), round, timer, Some(self.next_sweep), self.next_scrub()]
            .into_iter()
            .flatten()
            .min()
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Bundle { from, frame } => self.take_bundle(from, &frame),
            Input::Persisted(ticket) => self.take_persisted(ticket),
            Input::Pressure { groups, movable } => {
                self.cx.movable = movable;
                self.take_pressure(&groups);
            }
            Input::Behind { by, behind } => self.disown(by, behind),
            Input::Room { store, room } => self.take_room(store, room),
            Input::Flushed { group, job, result } => {
                // A group whose replica was destroyed may have come back meanwhile, as another one.
                self.reconcile_all |= self.files.finished(group);
                if self.take_scrubbed(group, job, &result) {
                    self.install_if_complete(group);
                } else if let Some(stream) = self.replicas.streams.get_mut(&group) {
                    stream.flushed(job, &result, &mut self.cx);
                    self.dirty.insert(group);
                    self.install_if_complete(group);
                }
            }
            Input::Publish { group, messages } => {
                if let Some(stream) = self.replicas.streams.get_mut(&group) {
                    stream.publish(messages, &mut self.cx);
                    self.dirty.insert(group);
                }
            }
            Input::Consumer { group, inputs } => {
                if let Some(consumer) = self.replicas.consumers.get_mut(&group) {
                    consumer.take(inputs, &mut self.cx);
                    self.dirty.insert(group);
                }
            }
            Input::Standings(standings) => self.take_standings(&standings),
            Input::Call { id, group, request } => self.take_call(id, group, request),
            Input::Answered(id, answer) => self.take_answer(id, answer),
            Input::Heard { store, boot } => self.take_heard(store, boot),
            Input::Died(store) => self.take_died(store),
            Input::LinkReset(store) => self.take_link_reset(store),
            Input::Join(join) => self.join(&join),
            Input::KeepBootstrap { id, state } => self.keep_bootstrap(id, state),
            Input::HandOver => self.hand_over(),
        }
    }

    fn take_bundle(&mut self, from: flotilla_raft::StoreId, frame: &bytes::Bytes) {
        let share = self.share;
        if let Err(error) = unbundle(frame, share, |group, say| self.hear(from, group, say)) {
            let text = format!("a bundle of store {:016x} is dropped: {error}", from.0);
            self.cx.notice(Notice::Text(text));
        }
    }

    fn take_persisted(&mut self, ticket: WalTicket) {
        while let Some((_, after)) = self.tickets.pop_front_if(|(t, _)| *t <= ticket) {
            for after in after {
                self.take_after(after);
            }
        }
    }

    fn take_after(&mut self, after: After) {
        match after {
            After::Unit { group, number } => {
                let persisted = self
                    .replicas
                    .get_mut(group)
                    .map(|replica| replica.persisted(number, &mut self.cx));
                self.dirty.insert(group);
                self.check(group, persisted.unwrap_or(Ok(())));
            }
            After::Install { group } => {
                let installed = self.replicas.get_mut(group).map(|r| r.installed(&mut self.cx));
                self.dirty.insert(group);
                self.check(group, installed.unwrap_or(Ok(())));
            }
            After::Base { group, index } => self.base_persisted(group, index),
            After::Mended { group } => self.take_up_mended(group),
            After::Lost { group, replica } => self.lost_for_good(group, replica),
            After::Create { group, replica } => {
                self.durable.raise(group.slot(), replica);
                self.changed.insert(group);
                self.reconcile_all |= std::mem::take(&mut self.unconfirmed);
            }
            After::Destroy { group, replica } => {
                self.files.left(group);
                self.ending.remove(&replica);
                self.destroyed.push((group, replica));
                // Another replica of the group may wait for its end.
                self.reconcile_all |= !self.waiting.is_empty();
            }
        }
    }

    fn base_persisted(&mut self, group: GroupId, index: u64) {
        if let Some(stream) = self.replicas.streams.get_mut(&group) {
            stream.stream_base_persisted(index, &mut self.cx);
        } else if let Some(consumer) = self.replicas.consumers.get_mut(&group) {
            consumer.small_base_persisted(index, &self.cx);
        } else if group == GroupId::META
            && let Some(meta) = &mut self.replicas.meta
        {
            meta.small_base_persisted(index, &self.cx);
        }
    }

    fn take_pressure(&mut self, groups: &[GroupId]) {
        for group in groups {
            if let Some(stream) = self.replicas.streams.get_mut(group) {
                stream.checkpoint(true, &mut self.cx);
            } else if let Some(consumer) = self.replicas.consumers.get_mut(group) {
                consumer.checkpoint(true, &mut self.cx);
            } else if *group == GroupId::META
                && let Some(meta) = &mut self.replicas.meta
            {
                meta.checkpoint(true, &mut self.cx);
            } else {
                self.put_aside(*group);
            }
        }
    }

    fn take_call(&mut self, id: crate::request::CallId, group: GroupId, request: Request) {
        self.dirty.insert(group);
        let cx = &mut self.cx;
        match request {
            Request::Meta(request) => match &mut self.replicas.meta {
                Some(meta) => meta.request(id, request, cx),
                None => cx.out.answers.push((id, Answer::NotLeader)),
            },
            Request::Stream(request) => match self.replicas.streams.get_mut(&group) {
                Some(stream) => stream.request(id, request, cx),
                None => cx.out.answers.push((id, Answer::NotLeader)),
            },
            Request::Consumer(request) => match self.replicas.consumers.get_mut(&group) {
                Some(consumer) => consumer.request(id, &request, cx),
                None => cx.out.answers.push((id, Answer::NotLeader)),
            },
        }
    }

    fn run_timers(&mut self) {
        while let Some(group) = self.timers.pop_due(self.cx.now.mono) {
            self.dirty.insert(group);
        }
    }

    /// Works until nothing in this turn leads to more work in it.
    fn settle(&mut self) {
        for _ in 0..64 {
            let mut dirty = std::mem::take(&mut self.dirty);
            if self.is_beginning() {
                // What has not begun has nothing to do: when it begins it does all of it.
                dirty.retain(|group| !self.beginning.contains(group));
            }
            if dirty.is_empty() {
                break;
            }
            for group in dirty {
                self.settled.insert(group);
                let settled = self.settle_group(group);
                self.check(group, settled);
            }
        }
    }

    fn settle_group(&mut self, group: GroupId) -> Result<(), Poisoned> {
        if group == GroupId::META {
            return self.settle_meta();
        }
        if let Some(stream) = self.replicas.streams.get_mut(&group) {
            settle_stream(stream, &mut self.cx)?;
            if stream.machine.unreadable {
                stream.give_way(&mut self.cx);
                self.begin_repair(group);
            }
            let Some(stream) = self.replicas.streams.get_mut(&group) else { return Ok(()) };
            let due = [stream.expire(&mut self.cx), stream.retry_checkpoint(&mut self.cx)];
            stream.propose_queue(&mut self.cx);
            stream.drive(&mut self.cx)?;
            let untold = stream.tell_commit(FLOWING, &mut self.cx)?;
            if let Some(at) = due.into_iter().chain([untold]).flatten().min() {
                self.timers.set(group, at);
            }
            if !stream.machine.removed.is_empty() {
                stream.machine.removed_at = stream.raft.applied();
            }
            stream.make_way(&mut self.cx);
            let wanted = std::mem::take(&mut stream.wants_base)
                || stream.has_to_erase()
                || stream.can_make_room(&self.cx);
            stream.checkpoint(wanted, &mut self.cx);
            self.tell_consumers(group);
            return Ok(());
        }
        self.settle_consumer(group)
    }

    /// The consumers of a stream look at what came, and hear what went.
    fn tell_consumers(&mut self, group: GroupId) {
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
        let removed = std::mem::take(&mut stream.machine.removed);
        if !std::mem::take(&mut stream.machine.touched) {
            return;
        }
        for group in self.replicas.consumers_of.get(&group).into_iter().flatten() {
            if let Some(consumer) = self.replicas.consumers.get_mut(group) {
                consumer.stream_shrank(&removed);
            }
            self.dirty.insert(*group);
        }
    }

    fn settle_consumer(&mut self, group: GroupId) -> Result<(), Poisoned> {
        let Some(consumer) = self.replicas.consumers.get_mut(&group) else { return Ok(()) };
        let stream = self.replicas.streams.get_mut(&consumer.machine.stream_group);
        let due = consumer.settle(stream.map(|stream| &mut **stream), &mut self.cx)?;
        let untold = consumer.tell_commit(FLOWING, &mut self.cx)?;
        if let Some(at) = due.into_iter().chain(untold).min() {
            self.timers.set(group, at);
        }
        let inactive = std::mem::take(&mut consumer.machine.inactive);
        if consumer.wants_barrier() {
            let stream = consumer.machine.stream_group;
            self.ask_stream(group, stream);
        }
        if inactive {
            self.remove_inactive(group);
        }
        Ok(())
    }

    fn settle_meta(&mut self) -> Result<(), Poisoned> {
        let Some(meta) = &mut self.replicas.meta else { return Ok(()) };
        meta.ask_read_index(&mut self.cx)?;
        for call in meta.take_confirmed() {
            if let Request::Meta(request) = &call.request {
                let answer = meta.answer_read(request, &self.cx);
                self.cx.out.answers.push((call.id, answer));
            }
        }
        meta.plan_stale(&mut self.cx);
        meta.tend(&mut self.cx);
        meta.drive(&mut self.cx)?;
        // What meta decides others wait for.
        meta.tell_commit(0, &mut self.cx)?;
        let wanted = std::mem::take(&mut meta.wants_base);
        // In proportion to what it costs: to write the state takes longer the more there is.
        let due = self.cx.thresholds.meta_base.max(meta.base.state.len());
        if wanted || meta.raft.log_bytes() > due {
            meta.checkpoint(false, &mut self.cx);
        }
        Ok(())
    }

    /// Ends a replica whose library panicked; the others go on.
    pub(super) fn check(&mut self, group: GroupId, result: Result<(), Poisoned>) {
        if let Err(poisoned) = result {
            self.end(group, &poisoned.to_string());
        }
    }

    pub(super) fn end(&mut self, group: GroupId, reason: &str) {
        let replica = self.replicas.get(group).map(|r| r.raft().id()).unwrap_or_default();
        let remains = self.replicas.get(group).map(|replica| Box::new(replica.remains()));
        let left = remains.map_or(Left::Nothing, Left::Known);
        if let Some(asset) = self.replicas.remove(group, &mut self.cx) {
            let reason = reason.to_owned();
            let ended = Ended { reason: reason.clone(), replica, lost: false, left };
            self.ended.insert(group, ended);
            self.repairs_of.remove(&group);
            self.cx.notice(Notice::Ended { asset, replica, reason });
        }
    }

    fn close(&mut self) -> Output {
        let after = std::mem::take(&mut self.cx.after);
        let batch = std::mem::take(&mut self.cx.wal);
        if !batch.is_empty() {
            let ticket = WalTicket(self.next_ticket);
            self.next_ticket += 1;
            self.tickets.push_back((ticket, after));
            self.cx.out.wal = Some((ticket, batch));
        } else {
            debug_assert!(after.is_empty(), "something waits for a batch that was not written");
        }
        let removals = self.files.take_removable().into_iter().map(SegmentJob::remove_all);
        self.cx.out.jobs.extend(removals);
        self.cx.out.jobs.iter().for_each(|job| self.files.started(job.group()));
        if let Some(meta) = &mut self.replicas.meta {
            let (standings, reconfigured) = meta.take_standings(self.cx.store);
            self.cx.out.standings = standings.map(Arc::new);
            self.cx.out.reconfigured = reconfigured;
            self.cx.out.meta = meta.take_feed();
        }
        let out = std::mem::take(&mut self.cx.out);
        // The next turn may well have as much to say.
        self.cx.out.publishes.reserve(out.publishes.len());
        out
    }
}

fn settle_stream(
    stream: &mut Replica<StreamMachine>,
    cx: &mut crate::turn::Cx,
) -> Result<(), Poisoned> {
    stream.ask_read_index(cx)?;
    stream.compare(cx);
    for call in stream.take_confirmed() {
        if let Request::Stream(request) = &call.request {
            let answer = stream.answer(request, cx);
            cx.out.answers.push((call.id, answer));
        }
    }
    Ok(())
}
