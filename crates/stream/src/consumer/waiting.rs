//! Pull requests that wait for messages.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::effect::{ConsumerEffect, Status};
use crate::Timestamp;

/// The most memory that the requests of one consumer take, whatever its `max_waiting`.
const MAX_BYTES: usize = 8 << 20;

/// A client's request for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Where the messages go.
    pub reply: Arc<str>,
    /// How many are asked for; 0 counts as 1.
    pub batch: u64,
    /// How many bytes may come, counted as clients do: subject, ack subject, headers and payload.
    pub max_bytes: Option<u64>,
    /// For how many nanoseconds the client waits.
    pub expires: Option<u64>,
    /// Whether it only wants what there is.
    pub no_wait: bool,
    /// After how many nanoseconds of silence the client wants a sign of life.
    pub idle_heartbeat: Option<u64>,
}

/// Names a request among the waiting ones; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WaiterId(u64);

#[derive(Debug)]
struct Waiter {
    reply: Arc<str>,
    left: u64,
    bytes_left: Option<u64>,
    expires: Option<Timestamp>,
    no_wait: bool,
    /// The interval, and when the next one is due.
    heartbeat: Option<(u64, Timestamp)>,
    delivered: u64,
    /// Messages planned for it that are not committed yet.
    in_flight: u32,
    /// What to say once nothing is in flight any more; nothing is planned for it from then on.
    closing: Option<Status>,
    /// Nobody listens any more.
    gone: bool,
}

impl Waiter {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.reply.len()
    }

    fn timeout(&self) -> Status {
        Status::new(self.reply.clone(), 408, "Request Timeout")
            .with_pending(self.left, self.bytes_left.unwrap_or(0))
    }

    /// What to say to a request that got all it asked for, if anything.
    fn completion(&self) -> Option<Status> {
        let bytes = self.bytes_left.filter(|bytes| self.left == 0 && *bytes > 0)?;
        let status = Status::new(self.reply.clone(), 409, "Batch Completed");
        Some(status.with_pending(0, bytes))
    }
}

/// The waiting requests, which take turns. A request stays in here, though not in the rotation, until
/// all that was planned for it is sent: what ends it must be the last it hears.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    waiters: BTreeMap<WaiterId, Waiter>,
    /// The requests that take messages, the next one in front.
    rotation: VecDeque<WaiterId>,
    last_id: u64,
    memory: usize,
}

impl Waiting {
    /// How many requests take messages.
    pub(super) fn len(&self) -> usize {
        self.rotation.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rotation.is_empty()
    }

    pub(super) fn is_full(&self, max_waiting: u32) -> bool {
        self.rotation.len() >= max_waiting as usize || self.memory >= MAX_BYTES
    }

    /// How many messages the requests ask for together.
    pub(super) fn asked(&self) -> u64 {
        let waiters = self.rotation.iter().filter_map(|id| self.waiters.get(id));
        waiters.map(|waiter| waiter.left).fold(0, u64::saturating_add)
    }

    pub(super) fn add(&mut self, request: PullRequest, now: Timestamp) {
        self.last_id += 1;
        let id = WaiterId(self.last_id);
        let waiter = Waiter {
            reply: request.reply,
            left: request.batch.max(1),
            bytes_left: request.max_bytes.filter(|bytes| *bytes > 0),
            expires: request.expires.map(|expires| now.after(expires)),
            no_wait: request.no_wait,
            heartbeat: request.idle_heartbeat.map(|interval| (interval, now.after(interval))),
            delivered: 0,
            in_flight: 0,
            closing: None,
            gone: false,
        };
        self.memory += waiter.memory();
        self.waiters.insert(id, waiter);
        self.rotation.push_back(id);
    }

    /// The next request that takes a message of `size` bytes, which counts as planned for it from now
    /// on. Requests with less room than that end here.
    pub(super) fn take(
        &mut self,
        size: u64,
        now: Timestamp,
        effects: &mut Vec<ConsumerEffect>,
    ) -> Option<WaiterId> {
        while let Some(id) = self.rotation.pop_front() {
            let Some(waiter) = self.waiters.get_mut(&id) else { continue };
            if let Some(bytes) = waiter.bytes_left.filter(|bytes| *bytes < size) {
                let status =
                    Status::new(waiter.reply.clone(), 409, "Message Size Exceeds MaxBytes");
                waiter.closing = Some(status.with_pending(waiter.left, bytes));
                self.finish(id, effects);
                continue;
            }
            waiter.bytes_left = waiter.bytes_left.map(|bytes| bytes - size);
            waiter.left -= 1;
            if waiter.bytes_left == Some(0) {
                waiter.left = 0;
            }
            waiter.delivered += 1;
            waiter.in_flight += 1;
            if let Some((interval, next)) = &mut waiter.heartbeat {
                *next = now.after(*interval);
            }
            if waiter.left > 0 {
                self.rotation.push_back(id);
            }
            return Some(id);
        }
        None
    }

    /// The message planned for `id` is committed: the subject to send it to, unless nobody listens.
    /// [`Self::finish`] must follow once it is sent.
    pub(super) fn committed(&mut self, id: WaiterId) -> Option<Arc<str>> {
        let waiter = self.waiters.get_mut(&id)?;
        waiter.in_flight = waiter.in_flight.saturating_sub(1);
        (!waiter.gone).then(|| waiter.reply.clone())
    }

    /// The message planned for `id`, of `size` bytes, is not delivered after all.
    pub(super) fn give_back(&mut self, id: WaiterId, size: u64, effects: &mut Vec<ConsumerEffect>) {
        let Some(waiter) = self.waiters.get_mut(&id) else { return };
        waiter.in_flight = waiter.in_flight.saturating_sub(1);
        waiter.delivered = waiter.delivered.saturating_sub(1);
        waiter.left += 1;
        waiter.bytes_left = waiter.bytes_left.map(|bytes| bytes + size);
        let open = waiter.closing.is_none() && !waiter.gone;
        if open && !self.rotation.contains(&id) {
            self.rotation.push_back(id);
        }
        self.finish(id, effects);
    }

    /// Forgets `id`, with its last status, if it takes no more messages and none is in flight.
    pub(super) fn finish(&mut self, id: WaiterId, effects: &mut Vec<ConsumerEffect>) {
        let Some(waiter) = self.waiters.get(&id) else { return };
        let open = waiter.left > 0 && waiter.closing.is_none() && !waiter.gone;
        if open || waiter.in_flight > 0 {
            return;
        }
        let Some(waiter) = self.waiters.remove(&id) else { return };
        self.memory -= waiter.memory();
        if !waiter.gone {
            let last = waiter.closing.clone().or_else(|| waiter.completion());
            effects.extend(last.map(ConsumerEffect::Status));
        }
    }

    /// Ends the requests that are over: those whose time is up and, at the end of what there is to
    /// deliver, those that do not want to wait.
    pub(super) fn expire(
        &mut self,
        now: Timestamp,
        at_end: bool,
        effects: &mut Vec<ConsumerEffect>,
    ) {
        let waiters = &mut self.waiters;
        let mut over = Vec::new();
        self.rotation.retain(|id| {
            let Some(waiter) = waiters.get_mut(id) else { return false };
            if waiter.expires.is_some_and(|expires| now >= expires) {
                waiter.closing = Some(waiter.timeout());
            } else if at_end && waiter.no_wait && (waiter.expires.is_none() || waiter.delivered > 0)
            {
                waiter.closing = Some(Status::new(waiter.reply.clone(), 404, "No Messages"));
            } else {
                return true;
            }
            over.push(*id);
            false
        });
        for id in over {
            self.finish(id, effects);
        }
    }

    /// Gives a sign of life to those that heard nothing for their interval.
    pub(super) fn heartbeat(
        &mut self,
        now: Timestamp,
        (consumer_seq, stream_seq): (u64, u64),
        effects: &mut Vec<ConsumerEffect>,
    ) {
        for id in &self.rotation {
            let Some(waiter) = self.waiters.get_mut(id) else { continue };
            let Some((interval, next)) = waiter.heartbeat.filter(|(_, next)| now >= *next) else {
                continue;
            };
            waiter.heartbeat = Some((interval, next.max(now).after(interval)));
            let mut status = Status::new(waiter.reply.clone(), 100, "Idle Heartbeat");
            status.headers =
                vec![("Nats-Last-Consumer", consumer_seq), ("Nats-Last-Stream", stream_seq)];
            effects.push(ConsumerEffect::Status(status));
        }
    }

    /// Ends, silently, the requests that reply to `reply`.
    pub(super) fn gone(&mut self, reply: &str) {
        let mut unused = Vec::new();
        let ids: Vec<WaiterId> = self.waiters.keys().copied().collect();
        for id in ids {
            if let Some(waiter) = self.waiters.get_mut(&id).filter(|waiter| &*waiter.reply == reply)
            {
                waiter.gone = true;
                self.rotation.retain(|other| *other != id);
                self.finish(id, &mut unused);
            }
        }
    }

    /// Ends all requests with the status that `status` makes of a reply, what is left and the bytes
    /// left.
    pub(super) fn close(
        &mut self,
        status: impl Fn(Arc<str>, u64, u64) -> Status,
        effects: &mut Vec<ConsumerEffect>,
    ) {
        self.rotation.clear();
        self.memory = 0;
        for waiter in std::mem::take(&mut self.waiters).into_values() {
            // Also one that only waits for what is in flight: that will not be sent from here.
            if !waiter.gone {
                let bytes = waiter.bytes_left.unwrap_or(0);
                effects.push(ConsumerEffect::Status(status(waiter.reply, waiter.left, bytes)));
            }
        }
    }

    /// When [`Self::expire`] or [`Self::heartbeat`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        let waiters = self.rotation.iter().filter_map(|id| self.waiters.get(id));
        let heartbeat = |waiter: &Waiter| waiter.heartbeat.map(|(_, next)| next);
        waiters.flat_map(|waiter| waiter.expires.into_iter().chain(heartbeat(waiter))).min()
    }
}
