//! The way into a shard: many senders, one turn that takes it all. What is put in quietly waits for an
//! [`offer`](Inbox::offer); the rest wakes the shard's thread.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flotilla_host::{Capacity, ConsumerInput, Inbound, Input};
use flotilla_raft::GroupId;

use crate::driver::Driver;

/// The most inputs that wait. Publishes and bundles are dropped beyond it, as on a full link: clients and Raft try
/// again. What cannot be repeated is always taken.
const LIMIT: usize = 1 << 16;
/// What one of them takes beside its own bytes.
const OVERHEAD: usize = 128;
/// So many inputs, and so many bytes of them, are little: whoever brings them may take the turn.
const LITTLE: usize = 16;
const LITTLE_BYTES: usize = 64 << 10;

/// Inputs that wait for the shard's next turn.
pub(crate) struct Inbox {
    /// The most bytes of messages, pull requests and acknowledgements that wait, and the most bytes of bundles; beyond it
    /// they are refused, likewise. One that is larger is taken when no other waits.
    most_bytes: usize,
    state: Mutex<State>,
    wake: Condvar,
    driver: OnceLock<Weak<Driver>>,
}

#[derive(Default)]
struct State {
    inputs: Vec<Input>,
    /// Which input takes more of what clients send to a group, so that one turn sees it together.
    open: BTreeMap<GroupId, usize>,
    /// What clients sent to a stream before the last turn, on average: the next turn's messages should not grow from nothing.
    expected: Capacity,
    /// What they sent to all, and was not given away again since.
    spare: Capacity,
    /// Of what clients sent.
    bytes: usize,
    /// Of bundles.
    bundle_bytes: usize,
    /// How many inputs do not come from clients and peers.
    own: usize,
    /// When the shard wants a turn although nothing comes in.
    deadline: Option<Instant>,
    /// Whether the log is full: what clients and peers sent waits until it is not.
    hold: bool,
    /// Whether the shard's thread waits.
    sleeping: bool,
    closed: bool,
}

/// Whether it comes from clients or peers, who send it again if it gets lost.
fn is_foreign(input: &Input) -> bool {
    matches!(input, Input::Publish { .. } | Input::Bundle { .. } | Input::Consumer { .. })
}

impl State {
    /// Whether there is room for it, if it is a bundle; it then counts.
    fn has_room(&mut self, input: &Input, most_bytes: usize) -> bool {
        let Input::Bundle { frame, .. } = input else { return true };
        let bytes = self.bundle_bytes + frame.len();
        let has_room = bytes <= most_bytes || self.bundle_bytes == 0;
        if has_room {
            self.bundle_bytes = bytes;
        }
        has_room
    }

    fn put(&mut self, input: Input, most_bytes: usize) -> bool {
        let foreign = is_foreign(&input);
        let full = foreign && self.inputs.len() >= LIMIT;
        if self.closed || full || !self.has_room(&input, most_bytes) {
            return false;
        }
        self.own += usize::from(!foreign);
        self.inputs.push(input);
        true
    }

    /// What the messages for all streams take, and those for each on average.
    fn capacities(&self) -> (Capacity, Capacity) {
        let open = self.open.values().filter_map(|at| self.inputs.get(*at));
        let (mut all, mut streams) = (Capacity::default(), 0);
        for input in open {
            if let Input::Publish { messages, .. } = input {
                all += messages.capacity();
                streams += 1;
            }
        }
        (all, all.each_of(streams))
    }

    fn has_some(&self) -> bool {
        if self.hold { self.own > 0 } else { !self.inputs.is_empty() }
    }

    /// Whether something waits, and it is little, and so will be the turn: what is due with time goes through all groups, or
    /// to the disk.
    fn is_little(&self) -> bool {
        let bytes = self.bytes + self.bundle_bytes;
        let is_due = self.deadline.is_some_and(|at| at <= Instant::now());
        !self.hold && !is_due && (1..=LITTLE).contains(&self.inputs.len()) && bytes <= LITTLE_BYTES
    }
}

impl Inbox {
    /// An empty one.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, state: Mutex::default(), wake: Condvar::new(), driver: OnceLock::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The only code under this lock moves values: a poisoned lock holds a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who takes the turns, from now on.
    pub(crate) fn set_driver(&self, driver: &Arc<Driver>) {
        drop(self.driver.set(Arc::downgrade(driver)));
    }

    /// Adds an input, and wakes the shard's thread. Returns whether it was taken.
    pub(crate) fn push(&self, input: Input) -> bool {
        let mut state = self.lock();
        let taken = state.put(input, self.most_bytes);
        if taken {
            self.wake_thread(&mut state);
        }
        taken
    }

    /// Adds an input, quietly. Returns whether it was taken.
    pub(crate) fn put(&self, input: Input) -> bool {
        self.lock().put(input, self.most_bytes)
    }

    fn wake_thread(&self, state: &mut State) {
        if std::mem::take(&mut state.sleeping) {
            self.wake.notify_one();
        }
    }

    /// Has what was put in dealt with: by this thread if it is little and nobody is at it, and else by the shard's thread.
    /// Whoever calls may hold no lock that a turn needs.
    pub(crate) fn offer(&self) {
        let is_little = self.lock().is_little();
        if let Some(driver) = self.driver.get().filter(|_| is_little).and_then(Weak::upgrade) {
            driver.try_turn();
        }
        // More may have come while the turn was taken, here or elsewhere.
        let mut state = self.lock();
        if state.has_some() {
            self.wake_thread(&mut state);
        }
    }

    /// Adds a message for a stream, quietly, as [`Inbound::push`] takes it. All that wait for the same stream are one input.
    /// Returns whether it was taken.
    pub(crate) fn publish(
        &self,
        group: GroupId,
        subject: &str,
        reply: &str,
        headers: &[u8],
        payload: &Bytes,
    ) -> bool {
        let size = subject.len() + reply.len() + headers.len() + payload.len();
        self.add(group, size, |open, spare, each| match open {
            Some(Input::Publish { messages, .. }) => {
                messages.push(subject, reply, headers, payload);
                None
            }
            _ => {
                let mut messages = Inbound::with_capacity(spare.take(each));
                messages.push(subject, reply, headers, payload);
                Some(Input::Publish { group, messages })
            }
        })
    }

    /// Adds what a client sent to a consumer, likewise. `size` is its length.
    pub(crate) fn consumer(&self, group: GroupId, size: usize, input: ConsumerInput) -> bool {
        self.add(group, size, |open, _, _| match open {
            Some(Input::Consumer { inputs, .. }) => {
                inputs.push(input);
                None
            }
            _ => Some(Input::Consumer { group, inputs: vec![input] }),
        })
    }

    /// Lets `put` add to the group's open input, or make a new one.
    fn add(
        &self,
        group: GroupId,
        size: usize,
        put: impl FnOnce(Option<&mut Input>, &mut Capacity, Capacity) -> Option<Input>,
    ) -> bool {
        let mut state = self.lock();
        let State { inputs, open, bytes, closed, expected, spare, .. } = &mut *state;
        let size = size + OVERHEAD;
        let at = open.get(&group).copied();
        let is_much = *bytes > 0 && *bytes + size > self.most_bytes;
        if is_much || (at.is_none() && inputs.len() >= LIMIT) || *closed {
            return false;
        }
        *bytes += size;
        if let Some(input) = put(at.and_then(|at| inputs.get_mut(at)), spare, *expected) {
            open.insert(group, inputs.len());
            inputs.push(input);
        }
        true
    }

    /// Waits until a turn is to be taken. Returns whether the shard goes on.
    pub(crate) fn wait(&self) -> bool {
        let mut state = self.lock();
        while !state.has_some() && !state.closed {
            let wait = match state.deadline {
                Some(at) => at.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(3600),
            };
            if wait.is_zero() {
                break;
            }
            state.sleeping = true;
            let waited = self.wake.wait_timeout(state, wait);
            state = waited.map_or_else(|e| e.into_inner().0, |(state, _)| state);
            state.sleeping = false;
        }
        !state.closed
    }

    /// Takes what waits into `into`: all, or, with `hold`, all but what clients and peers sent.
    pub(crate) fn take(&self, hold: bool, into: &mut Vec<Input>) {
        let mut state = self.lock();
        if hold {
            into.extend(state.inputs.extract_if(.., |input| !is_foreign(input)));
        } else {
            (state.spare, state.expected) = state.capacities();
            std::mem::swap(&mut state.inputs, into);
            state.bytes = 0;
            state.bundle_bytes = 0;
        }
        state.own = 0;
        state.open.clear();
    }

    /// A turn has ended, and the shard wants the next one then, whatever comes in. While the log is full it takes nothing
    /// from clients and peers: `hold`.
    pub(crate) fn rest(&self, deadline: Option<Instant>, hold: bool) {
        let mut state = self.lock();
        // The thread sleeps until the time that it was told before.
        let is_sooner = deadline.is_some_and(|at| state.deadline.is_none_or(|told| at < told));
        (state.deadline, state.hold) = (deadline, hold);
        if is_sooner {
            self.wake_thread(&mut state);
        }
    }

    /// Whether the shard's thread takes nothing any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Ends the shard's thread after the inputs that wait.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }
}
