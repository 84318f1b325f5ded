//! Signs of life, and who is taken for dead.

use std::time::Duration;

use flotilla_host::{Behind, Input, MILLISECOND, SECOND, Sign, WATCH_TICK};
use flotilla_raft::StoreId;

use super::World;
use super::event::Event;

/// Time from one sign of life to the next.
const BEAT: u64 = 100 * MILLISECOND;

/// A sign of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beat {
    boot: u64,
    number: u64,
    synced: u64,
}

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
        let beat = Beat { boot, number: running.beats, synced: running.log.wal.synced() };
        self.schedule(now + BEAT, Event::Beat { store, boot });
        let others = self.stores().into_iter().filter(|to| *to != store);
        for to in others.filter(|_| well).collect::<Vec<_>>() {
            let lossy = self.links.faults.lossy;
            let lost = lossy.is_some_and(|often| self.random.one_in(often));
            if !lost && self.gets_through(store, to) {
                let at = self.soon(30, 600);
                self.schedule(at, Event::BeatArrives { to, from: store, beat });
            }
            if lossy.is_some_and(|often| self.random.one_in(often)) {
                let at = self.soon(500, 400_000);
                self.schedule(at, Event::BeatArrives { to, from: store, beat });
            }
        }
    }

    pub(crate) fn gets_through(&self, from: StoreId, to: StoreId) -> bool {
        self.links.is_up(from, to) && !self.links.faults.cut.contains(&(from, to))
    }

    pub(super) fn beat_arrives(&mut self, to: StoreId, from: StoreId, beat: Beat) {
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
        let Beat { boot, number, synced } = beat;
        if running.detector.heard(from, boot, number, synced, time).is_some() {
            self.give(to, Input::Heard { store: from, boot });
        }
        if is_new {
            self.give(to, Input::Room { store: from, room });
        }
    }

    pub(super) fn watch(&mut self, store: StoreId, boot: u64) {
        let now = self.now;
        if !self.servers.get(&store).is_some_and(|s| s.lives(boot)) {
            return;
        }
        let cut = self.lifelines_cut(store);
        let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) else {
            return;
        };
        cut.into_iter().for_each(|other| running.detector.cut(other));
        let time = Duration::from_nanos(running.clock.mono(now));
        let died = running.detector.tick(time);
        for dead in died {
            self.trace.note(now, || format!("{store} takes {dead} for dead"));
            self.give(store, Input::Died(dead));
        }
        let again = now + u64::try_from(WATCH_TICK.as_nanos()).unwrap_or(u64::MAX);
        self.schedule(again, Event::Watch { store, boot });
    }

    /// Whose lifelines `store` finds cut: of those that have ended, if the network lets it know, and where the network loses
    /// what it carries, now and then of one that lives.
    fn lifelines_cut(&mut self, store: StoreId) -> Vec<StoreId> {
        let lossy = self.links.faults.lossy;
        let mut others = self.stores();
        others.retain(|other| *other != store);
        others.retain(|other| match (self.runs(*other), lossy) {
            (true, Some(often)) => self.random.one_in(often),
            (true, None) => false,
            (false, _) => {
                let cut = &self.links.faults.cut;
                !cut.contains(&(store, *other)) && !cut.contains(&(*other, store))
            }
        });
        others
    }

    /// How far the log of `store` is, as another server knows.
    pub(crate) fn synced_of(&self, store: StoreId, by: StoreId) -> Option<u64> {
        self.servers.get(&by)?.running.as_ref()?.detector.synced(store)
    }

    /// `store` has a link to `to`.
    pub(super) fn linked(&mut self, store: StoreId, to: StoreId) {
        let now = self.now;
        let life = self.servers.get(&to).and_then(|s| Some((s.boot, s.running.as_ref()?.log_end)));
        let Some((boot, end)) = life else { return };
        let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) else {
            return;
        };
        let time = Duration::from_nanos(running.clock.mono(now));
        match running.detector.linked(to, boot, end, time) {
            Ok(sign) => {
                running.disowned.remove(&to);
                if sign == Some(Sign::Returned) {
                    self.give(store, Input::Heard { store: to, boot });
                }
            }
            Err(behind) => {
                running.disowned.insert(to);
                self.disown(store, to, behind);
            }
        }
    }

    fn disown(&mut self, by: StoreId, store: StoreId, behind: Behind) {
        self.trace.note(self.now, || format!("{by} disowns {store}: {behind:?}"));
        self.give(by, Input::Died(store));
        self.give(store, Input::Behind { by, behind });
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
