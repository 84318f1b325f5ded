//! The log's writer and the segments' flusher of one server, as devices: they do with the disk what the threads of
//! `flotilla-storage` do, and take their time.

use flotilla_disk::{Disk, Pressure, Room, SegmentJob, SpareJob, Wal, WalBatch};
use flotilla_host::{Input, MILLISECOND, SECOND, WalTicket};
use flotilla_raft::StoreId;

use super::World;
use super::event::Event;

/// Bytes that wait for the log at most, before shards take nothing more that leads to some.
pub(crate) const QUEUE: usize = 256 << 10;

/// How often the log looks how much room there is.
const LOOK: u64 = 100 * MILLISECOND;

/// How fast a disk is.
#[derive(Clone, Copy, Debug)]
pub struct DiskPace {
    /// How many microseconds a sync takes at least, and how many more it may take.
    pub sync: (u64, u64),
    /// Nothing comes back from it before.
    pub hangs_until: u64,
}

impl Default for DiskPace {
    fn default() -> Self {
        Self { sync: (100, 2_000), hangs_until: 0 }
    }
}

pub(crate) struct Log {
    pub(crate) wal: Wal,
    /// What waits: who is told when it is written, and the batches.
    waiting: Vec<(usize, WalTicket)>,
    batches: Vec<WalBatch>,
    /// Bytes of them.
    waiting_bytes: usize,
    /// Since when the oldest batch waits.
    pub(crate) oldest: Option<u64>,
    writing: Option<Vec<(usize, WalTicket)>>,
    writes: u64,
    stalled: bool,
    /// How much room there was, and when to look again.
    pub(crate) room: Room,
    next_look: u64,
}

impl Log {
    pub(crate) fn new(wal: Wal) -> Self {
        Self {
            wal,
            waiting: Vec::new(),
            batches: Vec::new(),
            waiting_bytes: 0,
            oldest: None,
            writing: None,
            writes: 0,
            stalled: false,
            room: Room::Enough,
            next_look: 0,
        }
    }

    /// Whether something is on its way to the disk.
    pub(crate) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Whether so much waits that the shards take nothing from clients and peers.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting_bytes > QUEUE
    }
}

impl World {
    pub(super) fn log_submit(
        &mut self,
        store: StoreId,
        shard: usize,
        ticket: WalTicket,
        batch: WalBatch,
    ) {
        let now = self.now;
        let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) else {
            return;
        };
        running.log.waiting_bytes += batch.byte_len();
        running.log.waiting.push((shard, ticket));
        running.log.batches.push(batch);
        running.log.oldest.get_or_insert(now);
        let boot = running.boot;
        let at = self.soon(0, 50);
        self.schedule(at, Event::LogWork { store, boot });
    }

    /// The disk's answer to a sync that begins now.
    fn sync_ends(&mut self, store: StoreId) -> u64 {
        let pace = self.servers.get(&store).map(|s| s.pace).unwrap_or_default();
        let (least, more) = pace.sync;
        self.soon(least, least + more).max(pace.hangs_until)
    }

    /// Writes what waits, unless something is not synced yet.
    pub(super) fn log_work(&mut self, store: StoreId, boot: u64) {
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let disk = server.disk.clone();
        let Some(running) = &mut server.running else { return };
        let log = &mut running.log;
        if log.writing.is_some() {
            return;
        }
        if log.waiting.is_empty() {
            return self.log_after_write(store, boot);
        }
        let written = log.wal.write(&*disk, &log.batches);
        if disk.has_crashed() {
            return self.crashed(store);
        }
        match written {
            Ok(_) => {
                log.stalled = false;
                log.waiting_bytes = 0;
                log.writes += 1;
                log.batches.clear();
                log.writing = Some(std::mem::take(&mut log.waiting));
                let at = self.sync_ends(store);
                self.schedule(at, Event::Synced { store, boot });
            }
            Err(error) if log.wal.poisoned().is_some() => {
                self.end(store, format!("the log is poisoned: {error}"));
            }
            Err(error) => {
                log.stalled = true;
                self.trace.note(self.now, || format!("{store}'s log waits: {error}"));
                self.schedule(self.now + SECOND, Event::LogWork { store, boot });
                self.log_after_write(store, boot);
            }
        }
    }

    pub(super) fn log_synced(&mut self, store: StoreId, boot: u64) {
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let disk = server.disk.clone();
        let Some(running) = &mut server.running else { return };
        let Some(tickets) = running.log.writing.take() else { return };
        let synced = running.log.wal.sync(&*disk);
        if disk.has_crashed() {
            return self.crashed(store);
        }
        if let Err(error) = synced {
            return self.end(store, format!("the log is poisoned: {error}"));
        }
        running.log.oldest = (!running.log.waiting.is_empty()).then_some(self.now);
        let mut woken = Vec::new();
        for (shard, ticket) in tickets {
            running.inputs[shard].push(Input::Persisted(ticket));
            woken.push(shard);
        }
        let writes = running.log.writes;
        let more = !running.log.waiting.is_empty();
        self.wake(store, woken);
        self.log_after_write(store, boot);
        if more {
            self.schedule(self.now, Event::LogWork { store, boot });
        }
        self.schedule(self.now + 50 * MILLISECOND, Event::LogIdle { store, boot, writes });
    }

    /// Gives up what is not needed any more, prepares what will be, and says whom the log waits for.
    fn log_after_write(&mut self, store: StoreId, boot: u64) {
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let disk = server.disk.clone();
        let Some(running) = &mut server.running else { return };
        let wal = &mut running.log.wal;
        let reclaimed = wal.reclaim(&*disk);
        if disk.has_crashed() {
            return self.crashed(store);
        }
        if let Err(error) = reclaimed {
            return self.end(store, format!("the log is poisoned: {error}"));
        }
        let job = wal.spare_job();
        let Pressure { pins, movable, .. } = wal.pressure();
        let groups = pins.iter().map(|pin| pin.group).collect();
        let woken = if pins.is_empty() {
            Vec::new()
        } else {
            running.give(Input::Pressure { groups, movable })
        };
        self.wake(store, woken);
        if let Some(job) = job {
            let at = self.sync_ends(store);
            self.schedule(at, Event::SpareDone { store, boot, job });
        }
        self.log_looks(store, boot);
    }

    /// Looks how much room there is, and says so if that is new, or too little still.
    fn log_looks(&mut self, store: StoreId, boot: u64) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let Some(running) = &mut server.running else { return };
        if now < running.log.next_look {
            return;
        }
        running.log.next_look = now + LOOK;
        let room = running.log.wal.look_for_room(&*server.disk).room;
        let before = std::mem::replace(&mut running.log.room, room);
        if before == Room::Enough && room == Room::Enough {
            return;
        }
        let woken = running.give(Input::Room { store, room });
        self.wake(store, woken);
        if before != room {
            self.trace.note(now, || format!("{store}'s disk: {room:?}"));
        }
        self.schedule(now + SECOND, Event::LogWork { store, boot });
    }

    pub(super) fn spare_done(&mut self, store: StoreId, boot: u64, job: &SpareJob) {
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let disk = server.disk.clone();
        let result = job.run(&*disk);
        if disk.has_crashed() {
            return self.crashed(store);
        }
        let Some(running) = &mut server.running else { return };
        running.log.wal.spare_made(job, &result);
        if result.is_ok() && running.log.stalled {
            self.schedule(self.now, Event::LogWork { store, boot });
        }
    }

    /// Nothing was written for a while: says on disk that everything is synced.
    pub(super) fn log_idle(&mut self, store: StoreId, boot: u64, writes: u64) {
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let disk = server.disk.clone();
        let Some(running) = &mut server.running else { return };
        let log = &mut running.log;
        if log.writes != writes || log.writing.is_some() || !log.waiting.is_empty() {
            return;
        }
        let sealed = log.wal.seal(&*disk);
        if disk.has_crashed() {
            return self.crashed(store);
        }
        match sealed {
            Err(error) if log.wal.poisoned().is_some() => {
                self.end(store, format!("the log is poisoned: {error}"));
            }
            _ => self.log_after_write(store, boot),
        }
    }

    /// Work on a stream's files: one after the other.
    pub(super) fn flush(&mut self, store: StoreId, job: SegmentJob) {
        let Some(running) = self.servers.get_mut(&store).and_then(|s| s.running.as_mut()) else {
            return;
        };
        running.jobs.push_back(job);
        if running.jobs.len() == 1 {
            let boot = running.boot;
            let at = self.sync_ends(store);
            self.schedule(at, Event::JobDone { store, boot });
        }
    }

    pub(super) fn job_done(&mut self, store: StoreId, boot: u64) {
        let Some(server) = self.servers.get_mut(&store).filter(|s| s.lives(boot)) else { return };
        let disk = server.disk.clone();
        let Some(running) = &mut server.running else { return };
        let Some(job) = running.jobs.pop_front() else { return };
        let result = job.run(&*disk as &dyn Disk);
        if disk.has_crashed() {
            return self.crashed(store);
        }
        let more = !running.jobs.is_empty();
        let (group, id) = (job.group(), job.id());
        let woken = running.give(Input::Flushed { group, job: id, result });
        self.wake(store, woken);
        if more {
            let at = self.sync_ends(store);
            self.schedule(at, Event::JobDone { store, boot });
        }
    }
}
