//! Datagrams that arrive later.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes under way at most; more are lost.
const CAPACITY: usize = 64 << 20;

/// A datagram on its way.
pub(crate) struct Datagram {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) socket: Arc<UdpSocket>,
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A queue by time of arrival.
#[derive(Default)]
pub(crate) struct Delivery {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: BinaryHeap<Reverse<Waiting>>,
    bytes: usize,
    /// Numbers datagrams, so that equal times keep their order.
    next: u64,
    stopped: bool,
}

struct Waiting {
    due: Instant,
    number: u64,
    datagram: Datagram,
}

impl Delivery {
    /// Delivers after `delay`; false if too much is under way.
    pub(crate) fn after(&self, delay: Duration, datagram: Datagram) -> bool {
        let mut state = self.state();
        if state.bytes + datagram.bytes.len() > CAPACITY {
            return false;
        }
        state.bytes += datagram.bytes.len();
        let number = state.next;
        state.next += 1;
        state.waiting.push(Reverse(Waiting { due: Instant::now() + delay, number, datagram }));
        drop(state);
        self.changed.notify_one();
        true
    }

    /// Hands out datagrams as they fall due, until stopped.
    pub(crate) fn run(&self, mut arrived: impl FnMut(Datagram)) {
        let mut state = self.state();
        while !state.stopped {
            let Some(Reverse(next)) = state.waiting.peek() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = next.due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                let waited = self.changed.wait_timeout(state, left);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            if let Some(Reverse(due)) = state.waiting.pop() {
                state.bytes -= due.datagram.bytes.len();
                drop(state);
                arrived(due.datagram);
                state = self.state();
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.state().stopped = true;
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Waiting {}
