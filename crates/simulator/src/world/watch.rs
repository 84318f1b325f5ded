//! Signs of life, and who is taken for dead.

use std::time::Duration;

use flotilla_host::{Input, MILLISECOND, SECOND, Sign, WATCH_TICK};
use flotilla_raft::StoreId;

use super::World;
use super::event::Event;

/// Time from one sign of life to the next.
const BEAT: u64 = 100 * MILLISECOND;

impl World {
    /// Sends a sign of life to all, if the disk moves.
    pub(super) fn beat(&mut self, store: StoreId, boot: u64) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let Some(running) = &mut server.running else { return };
        let late = running.log.oldest.is_some_and(|since| now - since > SECOND);
        let well = !late;
        if well {
            running.beats += 1;
        }
        let number = running.beats;
        self.schedule(now + BEAT, Event::Beat { store, boot });
        let others = self.stores().into_iter().filter(|to| *to != store);
        for to in others.filter(|_| well).collect::<Vec<_>>() {
            let lossy = self.links.faults.lossy;
            let lost = lossy.is_some_and(|often| self.random.one_in(often));
            if !lost && self.gets_through(store, to) {
                let at = self.soon(30, 600);
                self.schedule(at, Event::BeatArrives { to, from: store, boot, number });
            }
            if lossy.is_some_and(|often| self.random.one_in(often)) {
                let at = self.soon(500, 400_000);
                self.schedule(at, Event::BeatArrives { to, from: store, boot, number });
            }
        }
    }

    pub(crate) fn gets_through(&self, from: StoreId, to: StoreId) -> bool {
        self.links.is_up(from, to) && !self.links.faults.cut.contains(&(from, to))
    }

    pub(super) fn beat_arrives(&mut self, to: StoreId, from: StoreId, boot: u64, number: u64) {
        let now = self.now;
        if !self.links.is_up(from, to) {
            return;
        }
        let sender = self.servers.get(&from).and_then(|s| s.running.as_ref());
        let room = sender.map(|r| r.log.room).unwrap_or_default();
        let Some(running) = self.servers.get_mut(&to).and_then(|s| s.running.as_mut()) else {
            return;
        };
        let time = Duration::from_nanos(running.clock.mono(now));
        let is_new = running.rooms.insert(from, room).unwrap_or_default() != room;
        if running.detector.heard(from, boot, number, time).is_some() {
            self.give(to, Input::Heard { store: from, boot });
        }
        if is_new {
            self.give(to, Input::Room { store: from, room });
        }
    }

    pub(super) fn watch(&mut self, store: StoreId, boot: u64) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let Some(running) = &mut server.running else { return };
        let time = Duration::from_nanos(running.clock.mono(now));
        let died = running.detector.tick(time);
        for dead in died {
            self.trace.note(now, || format!("{store} takes {dead} for dead"));
            self.give(store, Input::Died(dead));
        }
        let again = now + u64::try_from(WATCH_TICK.as_nanos()).unwrap_or(u64::MAX);
        self.schedule(again, Event::Watch { store, boot });
    }

    /// `store` has a link to `to`.
    pub(super) fn linked(&mut self, store: StoreId, to: StoreId) {
        let now = self.now;
        let Some(boot) = self.servers.get(&to).map(|s| s.boot) else { return };
        let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) else {
            return;
        };
        let time = Duration::from_nanos(running.clock.mono(now));
        if running.detector.linked(to, boot, time) == Some(Sign::Returned) {
            self.give(store, Input::Heard { store: to, boot });
        }
    }

    pub(super) fn unlinked(&mut self, store: StoreId, from: StoreId) {
        let now = self.now;
        let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) else {
            return;
        };
        let time = Duration::from_nanos(running.clock.mono(now));
        running.detector.unlinked(from, time);
        self.give(store, Input::LinkReset(from));
    }
}
