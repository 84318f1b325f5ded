//! The writer's loop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flotilla_disk::{Disk, DiskError, Room, SpareJob, Wal, WalBatch, WalError};

use super::queue::{Item, Next, Queue, Waiter};
use super::stats::WalStatus;
use super::{WalCallback, WalCompletion, WalReports};

/// How often the disk is looked at while much is written.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A file is prepared for half of the time, until the log needs it soon: what it writes meanwhile gets the disk in between. A
/// disk that is slow has no more time for the log if the making of files waits for longer than this.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// What the thread owns. If it panics, the log ends and everybody is told.
pub(super) struct Thread {
    disk: Arc<dyn Disk>,
    wal: Wal,
    queue: Arc<Queue>,
    reports: WalReports,
    /// Files to prepare, for the thread beside.
    spares: Sender<SpareJob>,
    sealed: bool,
    /// The size and the time of the last pressure report.
    reported: Option<(u64, Instant)>,
    /// When the disk was last looked at.
    looked: Option<Instant>,
    /// What was last said of its room, and when.
    told: Option<(Room, Instant)>,
}

/// Ends the log when the thread ends, for whatever reason.
struct EndOnDrop(Arc<Queue>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let reason = "the log's writer has ended".to_owned();
        fail(self.0.end(WalError::Poisoned { reason }), &self.0);
    }
}

impl Thread {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        wal: Wal,
        queue: Arc<Queue>,
        reports: WalReports,
        spares: Sender<SpareJob>,
    ) -> Self {
        Self {
            disk,
            wal,
            queue,
            reports,
            spares,
            sealed: true,
            reported: None,
            looked: None,
            told: None,
        }
    }

    pub(super) fn run(mut self) {
        let _end = EndOnDrop(Arc::clone(&self.queue));
        self.look();
        self.order_spare();
        while self.queue.ended().is_none() {
            match self.queue.next(self.sealed) {
                Next::Write(items) => self.write(items),
                Next::SpareMade(job, result) => {
                    self.wal.spare_made(&job, &result);
                    self.look();
                }
                Next::Idle => self.rest(),
                Next::Close => {
                    self.seal();
                    return;
                }
            }
        }
    }

    fn write(&mut self, items: Vec<Item>) {
        let (waiters, batches): (Vec<_>, Vec<_>) =
            items.into_iter().map(|item| (item.waiter, item.batch)).unzip();
        let started = Instant::now();
        let written = self.wal.write(&*self.disk, &batches);
        match written {
            Ok(written) => self.sync(&waiters, written.bytes, started.elapsed()),
            Err(error @ WalError::Refused { .. }) => self.refused(waiters, batches, error),
            Err(error) if self.wal.poisoned().is_some() => self.end(&waiters, error),
            Err(error) => {
                // The log or the disk is full. What waits keeps its place.
                let batches = waiters.into_iter().zip(batches);
                let items = batches.map(|(waiter, batch)| Item { waiter, batch });
                self.queue.put_back(items.collect(), error);
                self.looked = None;
            }
        }
        self.after_write();
    }

    fn sync(&mut self, waiters: &[Waiter], bytes: u64, write: Duration) {
        let started = Instant::now();
        match self.wal.sync(&*self.disk) {
            Ok(lsn) => {
                let took = started.elapsed();
                self.sealed = false;
                self.queue.finish(|stats| stats.note(waiters.len(), bytes, write, took));
                complete(waiters, &Ok(lsn), self.queue.has_some());
            }
            Err(error) => self.end(waiters, error),
        }
    }

    /// Of several batches only the wrong one is to suffer: each goes alone.
    fn refused(&mut self, waiters: Vec<Waiter>, batches: Vec<WalBatch>, error: WalError) {
        if waiters.len() == 1 {
            self.queue.finish(|_| ());
            complete(&waiters, &Err(error), true);
            return;
        }
        let mut items = waiters.into_iter().zip(batches);
        while let Some((waiter, batch)) = items.next() {
            self.write(vec![Item { waiter, batch }]);
            if self.queue.stalled().is_some() || self.queue.ended().is_some() {
                let rest: Vec<_> = items.map(|(waiter, batch)| Item { waiter, batch }).collect();
                return self.hold(rest);
            }
        }
    }

    /// Puts what was not tried yet behind the one that stalled, or fails it with the log.
    fn hold(&self, rest: Vec<Item>) {
        match (self.queue.stalled(), self.queue.ended()) {
            (Some(why), None) => self.queue.put_behind_first(rest, why),
            _ => fail(rest, &self.queue),
        }
    }

    fn end(&self, waiters: &[Waiter], error: WalError) {
        let reason = self.wal.poisoned().map_or_else(|| error.to_string(), str::to_owned);
        let rest = self.queue.end(WalError::Poisoned { reason });
        complete(waiters, &Err(error), true);
        fail(rest, &self.queue);
    }

    /// Nothing came for a while.
    fn rest(&mut self) {
        if !self.sealed {
            self.seal();
        } else if self.wal.poisoned().is_none() {
            // Others fill the disk, or empty it.
            self.look();
            self.order_spare();
            if self.wal.room().room != Room::Enough {
                self.report_pressure();
            }
        }
    }

    fn seal(&mut self) {
        match self.wal.seal(&*self.disk) {
            Ok(_) => {
                self.sealed = true;
                self.after_write();
            }
            // A full disk: what is sealed next time says the same.
            Err(_) if self.wal.poisoned().is_none() => self.sealed = true,
            Err(error) => self.end(&[], error),
        }
    }

    fn after_write(&mut self) {
        if self.wal.poisoned().is_some() {
            return;
        }
        if let Err(error) = self.wal.reclaim(&*self.disk) {
            self.end(&[], error);
            return;
        }
        if self.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.look();
        }
        self.order_spare();
        self.queue.set_hurry(self.wal.needs_spare_soon());
        self.report_pressure();
    }

    /// Looks how much room the disk has, and says so when that has changed, or once per retry interval while it has too
    /// little: whoever can make some tries again then.
    fn look(&mut self) {
        let now = Instant::now();
        self.looked = Some(now);
        let room = self.wal.look_for_room(&*self.disk);
        let (used, soft, cap) = (self.wal.used(), self.wal.soft(), self.wal.cap());
        let synced = self.wal.synced();
        self.queue.set_status(WalStatus { used, soft, cap, synced, room });
        let retry = self.queue.options.retry;
        let known = match self.told {
            Some((told, at)) => told == room.room && (told == Room::Enough || now - at < retry),
            None => room.room == Room::Enough,
        };
        if !known {
            self.told = Some((room.room, now));
            (self.reports.room)(room);
        }
    }

    fn order_spare(&mut self) {
        if let Some(job) = self.wal.spare_job() {
            // If the thread beside is gone, files are made here when they are needed.
            let _ = self.spares.send(job);
        }
    }

    fn report_pressure(&mut self) {
        let used = self.wal.used();
        let now = Instant::now();
        let retry = self.queue.options.retry;
        let known = self.reported.is_some_and(|(size, at)| size == used && now - at < retry);
        if known {
            return;
        }
        self.reported = Some((used, now));
        let pressure = self.wal.pressure();
        if !pressure.pins.is_empty() {
            (self.reports.pressure)(pressure);
        }
    }
}

/// Tells each submitter what became of its batches.
fn complete(waiters: &[Waiter], result: &Result<u64, WalError>, more_waits: bool) {
    let mut by_submitter: BTreeMap<u64, (&WalCallback, Vec<u64>)> = BTreeMap::new();
    for waiter in waiters {
        let entry = by_submitter.entry(waiter.submitter);
        entry.or_insert_with(|| (&waiter.callback, Vec::new())).1.push(waiter.ticket);
    }
    for (callback, tickets) in by_submitter.into_values() {
        callback(WalCompletion { tickets, result: result.clone(), more_waits });
    }
}

fn fail(items: Vec<Item>, queue: &Queue) {
    let waiters: Vec<_> = items.into_iter().map(|item| item.waiter).collect();
    let reason = || WalError::Poisoned { reason: "the log has ended".into() };
    complete(&waiters, &Err(queue.ended().unwrap_or_else(reason)), true);
}

/// The thread that prepares files, so that the writer need not wait for that.
pub(super) fn start_spares(
    disk: Arc<dyn Disk>,
    queue: Arc<Queue>,
) -> Result<(Sender<SpareJob>, JoinHandle<()>), DiskError> {
    let (jobs, orders) = channel::<SpareJob>();
    let thread = named("wal-spares", move || {
        for job in orders {
            let mut began = Instant::now();
            let result = job.run_slowly(&*disk, &mut || {
                if !queue.is_in_hurry() {
                    std::thread::sleep(began.elapsed().min(LONGEST_PAUSE));
                }
                began = Instant::now();
            });
            queue.spare_made(job, result);
        }
    })?;
    Ok((jobs, thread))
}

pub(super) fn named(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, DiskError> {
    let spawned = std::thread::Builder::new().name(name.into()).spawn(body);
    spawned.map_err(|error| DiskError::Io {
        operation: "start",
        path: name.into(),
        reason: error.to_string(),
    })
}
