//! Links between servers, as the routes make them: what is sent arrives in order, as long as the link lives. When
//! nothing gets through for a while the link is given up, and all that was on its way is lost; both ends hear of that.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use flotilla_host::{Input, MILLISECOND};
use flotilla_raft::StoreId;

use super::World;
use super::event::Event;

/// How long a link may stall before it is given up: shorter than the routes', so that more happens in a run.
const IDLE: u64 = 1_000 * MILLISECOND;

/// From where to where.
pub type Direction = (StoreId, StoreId);

/// What is wrong with the network.
#[derive(Clone, Debug, Default)]
pub struct LinkFaults {
    /// Directions in which nothing gets through.
    pub cut: Vec<Direction>,
    /// One in so many frames takes up to so many milliseconds longer.
    pub slow: Option<(u64, u64)>,
    /// One in so many signs of life gets lost, and another one comes twice.
    pub lossy: Option<u64>,
}

#[derive(Default)]
struct Link {
    up: bool,
    /// Counts its lives.
    epoch: u64,
    /// When the last frame in each direction arrives: later ones come behind it.
    last: BTreeMap<Direction, u64>,
    /// What is sent again and again, in a direction that is cut.
    held: BTreeMap<Direction, VecDeque<Bytes>>,
    stalling: bool,
}

#[derive(Default)]
pub(crate) struct Links {
    pairs: BTreeMap<Direction, Link>,
    pub(crate) faults: LinkFaults,
}

fn pair(a: StoreId, b: StoreId) -> Direction {
    (a.min(b), a.max(b))
}

impl Links {
    fn is_cut(&self, from: StoreId, to: StoreId) -> bool {
        self.faults.cut.contains(&(from, to))
    }

    fn any_cut(&self, a: StoreId, b: StoreId) -> bool {
        self.is_cut(a, b) || self.is_cut(b, a)
    }

    pub(crate) fn is_up(&self, a: StoreId, b: StoreId) -> bool {
        self.pairs.get(&pair(a, b)).is_some_and(|link| link.up)
    }
}

impl World {
    /// Another state of the network. What was cut and is not any more comes back to life.
    pub fn set_links(&mut self, faults: LinkFaults) {
        let before = std::mem::replace(&mut self.links.faults, faults);
        for (from, to) in self.links.faults.cut.clone() {
            let (a, b) = pair(from, to);
            let link = self.links.pairs.entry((a, b)).or_default();
            if link.up && !std::mem::replace(&mut link.stalling, true) {
                let epoch = link.epoch;
                self.schedule(self.now + IDLE, Event::LinkStalls { a, b, epoch });
            }
        }
        for (from, to) in before.cut {
            if self.links.is_cut(from, to) {
                continue;
            }
            let Some(link) = self.links.pairs.get_mut(&pair(from, to)) else { continue };
            let held = link.held.remove(&(from, to)).unwrap_or_default();
            for frame in held {
                self.transmit(from, to, frame);
            }
            if !self.links.any_cut(from, to) {
                if let Some(link) = self.links.pairs.get_mut(&pair(from, to)) {
                    link.stalling = false;
                }
                self.reconnect(from, to);
            }
        }
    }

    /// Breaks a link that stands; it comes back.
    pub fn break_link(&mut self, a: StoreId, b: StoreId) -> bool {
        let stood = self.links.is_up(a, b);
        self.disconnect(a, b);
        self.reconnect(a, b);
        stood
    }

    pub(super) fn send(&mut self, from: StoreId, to: StoreId, frame: Bytes) {
        if from == to || !self.servers.contains_key(&to) {
            return;
        }
        if !self.links.is_up(from, to) {
            return self.give(from, Input::LinkReset(to));
        }
        if self.links.is_cut(from, to)
            && let Some(link) = self.links.pairs.get_mut(&pair(from, to))
        {
            link.held.entry((from, to)).or_default().push_back(frame);
            return;
        }
        self.transmit(from, to, frame);
    }

    fn transmit(&mut self, from: StoreId, to: StoreId, frame: Bytes) {
        let mut at = self.soon(30, 600);
        if let Some((often, most)) = self.links.faults.slow
            && self.random.one_in(often)
        {
            at += self.random.below(most) * MILLISECOND;
        }
        let Some(link) = self.links.pairs.get_mut(&pair(from, to)) else { return };
        let last = link.last.entry((from, to)).or_default();
        *last = at.max(*last + 1);
        let (at, epoch) = (*last, link.epoch);
        self.queue.push(at, 0, Event::Frame { to, from, epoch, frame });
    }

    pub(super) fn frame_arrives(&mut self, from: StoreId, to: StoreId, epoch: u64, frame: Bytes) {
        let link = self.links.pairs.get(&pair(from, to));
        let listens = self.servers.get(&to).and_then(|s| s.running.as_ref());
        let listens = listens.is_some_and(|running| !running.disowned.contains(&from));
        if listens && link.is_some_and(|link| link.up && link.epoch == epoch) {
            self.trace.frame(self.now, from, to, &frame);
            self.give(to, Input::Bundle { from, frame });
        }
    }

    /// The link between two servers ends, and all that was on its way with it.
    pub(super) fn disconnect(&mut self, a: StoreId, b: StoreId) {
        let link = self.links.pairs.entry(pair(a, b)).or_default();
        let stood = std::mem::replace(&mut link.up, false);
        link.epoch += 1;
        link.held.clear();
        link.last.clear();
        link.stalling = false;
        if stood {
            for (store, from) in [(a, b), (b, a)] {
                let at = self.soon(100, 3_000);
                self.schedule(at, Event::Unlinked { store, from });
            }
        }
    }

    /// The servers find each other again, if they can.
    pub(super) fn reconnect(&mut self, a: StoreId, b: StoreId) {
        let epoch = self.links.pairs.entry(pair(a, b)).or_default().epoch;
        let at = self.soon(5_000, 200_000);
        self.schedule(at, Event::LinkUp { a, b, epoch });
    }

    pub(super) fn link_up(&mut self, a: StoreId, b: StoreId, epoch: u64) {
        let awake = |s: StoreId| self.runs(s) && self.paused_until(s).is_none();
        let apart = self.links.any_cut(a, b) || !self.runs(a) || !self.runs(b);
        let both_awake = awake(a) && awake(b);
        if !apart && !both_awake {
            return self.reconnect(a, b);
        }
        let link = self.links.pairs.entry(pair(a, b)).or_default();
        if apart || link.up || link.epoch != epoch {
            return;
        }
        link.up = true;
        self.linked(a, b);
        self.linked(b, a);
    }

    pub(super) fn link_stalls(&mut self, a: StoreId, b: StoreId, epoch: u64) {
        let link = self.links.pairs.get(&pair(a, b));
        if link.is_some_and(|link| link.epoch == epoch) && self.links.any_cut(a, b) {
            self.disconnect(a, b);
        }
    }
}
