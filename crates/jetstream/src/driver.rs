//! Who takes a shard's turns: its own thread, or whoever brings it something while it is at rest.
//!
//! To wake a thread takes longer than a small turn. So the thread of a client, of the routes or of the log that has put a
//! little into the inbox of a shard that rests takes the turn itself, and the message is on its way without a change of
//! threads. The shard's own thread does what is left: large turns, what comes while a turn is taken, and what is due with
//! time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flotilla_host::{Input, SECOND, Shard, Totals};

use crate::clock::{Clock, Pulse};
use crate::hands::Hands;
use crate::inbox::Inbox;

/// How soon a shard looks again whether the log has room.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// How often the shard counts what it holds, for monitoring.
const TOTALS_EVERY: u64 = SECOND;
/// Counting takes no more than this part of the time, however much there is,
const TOTALS_SHARE: u64 = 500;
/// unless what is told would be older than this.
const TOTALS_AGE: u64 = 5 * SECOND;
/// When groups have changed hands it counts again after this time, and takes up to a larger part of it.
const CHANGED_EVERY: u64 = SECOND / 4;
const CHANGED_SHARE: u64 = 50;

/// A shard, its hands, and whose turn it is.
pub(crate) struct Driver {
    inbox: Arc<Inbox>,
    clock: Clock,
    pulse: Arc<Pulse>,
    totals: Arc<Mutex<Totals>>,
    /// Held for a turn. `None` when the shard has ended.
    driven: Mutex<Option<Driven>>,
}

struct Driven {
    shard: Shard,
    hands: Hands,
    /// Empty between turns; kept for its memory.
    inputs: Vec<Input>,
    count: Count,
}

/// When the shard counts again.
#[derive(Default)]
struct Count {
    /// When it counted last, and how long that took.
    at: u64,
    took: u64,
    /// Groups have changed hands since.
    is_changed: bool,
    /// Groups that the log gave back had had no turn, as of the last turn of the shard.
    was_beginning: bool,
}

impl Count {
    fn is_due(&mut self, now: u64, is_beginning: bool) -> bool {
        let have_begun = std::mem::replace(&mut self.was_beginning, is_beginning) && !is_beginning;
        let every = if self.is_changed {
            CHANGED_EVERY.max(self.took.saturating_mul(CHANGED_SHARE)).min(TOTALS_AGE)
        } else {
            self.took.saturating_mul(TOTALS_SHARE).clamp(TOTALS_EVERY, TOTALS_AGE)
        };
        have_begun || self.at == 0 || now >= self.at.saturating_add(every)
    }
}

impl Driver {
    pub(crate) fn new(
        shard: Shard,
        hands: Hands,
        clock: Clock,
        pulse: Arc<Pulse>,
        totals: Arc<Mutex<Totals>>,
    ) -> Self {
        let inbox = Arc::clone(&hands.inbox);
        let driven = Driven { shard, hands, inputs: Vec::new(), count: Count::default() };
        Self { inbox, clock, pulse, totals, driven: Mutex::new(Some(driven)) }
    }

    /// The shard's own thread: takes turns until the inbox is closed, and one more for what waits then.
    pub(crate) fn run(&self) {
        while self.own_turn() && self.inbox.wait() {}
        self.own_turn();
        drop(self.lock().take());
    }

    /// Takes a turn, behind whoever takes one. Returns whether there is a shard.
    fn own_turn(&self) -> bool {
        let mut held = self.lock();
        let Some(driven) = &mut *held else { return false };
        self.turn(driven);
        true
    }

    /// A turn that panics on the shard's own thread ends that, and everything with it; on another one it leaves nothing.
    fn lock(&self) -> MutexGuard<'_, Option<Driven>> {
        self.driven.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a turn on this thread if the shard is at rest. If it is not, whoever takes its turn looks again when that is
    /// over.
    pub(crate) fn try_turn(&self) {
        let Ok(mut held) = self.driven.try_lock() else { return };
        let Some(driven) = &mut *held else { return };
        if catch_unwind(AssertUnwindSafe(|| self.turn(driven))).is_err() {
            // What is in memory is not to be relied on any more. It is the end of the shard's own thread, too.
            *held = None;
            self.inbox.close();
        }
    }

    fn turn(&self, driven: &mut Driven) {
        let Driven { shard, hands, inputs, count } = driven;
        self.inbox.take(hands.log_is_full(), inputs);
        let now = self.clock.now();
        self.pulse.begin(now);
        let output = shard.turn(now, inputs.drain(..));
        count.is_changed |= !output.leading.is_empty();
        hands.carry_out(output);
        if count.is_due(now.mono, shard.is_beginning()) {
            let began = self.clock.now().mono;
            *self.totals.lock().unwrap_or_else(PoisonError::into_inner) = shard.totals();
            (count.at, count.is_changed) = (now.mono, false);
            count.took = self.clock.now().mono.saturating_sub(began);
        }
        self.pulse.end();
        let hold = hands.log_is_full();
        let mut deadline = shard.next_deadline().map(|at| self.clock.instant(at));
        if hold {
            // Another shard may have filled it; then nobody tells this one that there is room again.
            let soon = Instant::now() + LOOK_AGAIN;
            deadline = Some(deadline.map_or(soon, |at| at.min(soon)));
        }
        self.inbox.rest(deadline, hold);
    }
}
