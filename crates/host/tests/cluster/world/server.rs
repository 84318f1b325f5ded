//! One server of the world: its disk, and while it runs its shards and its log.

use std::sync::Arc;

use flotilla_disk::{Disk, MemDisk, Pressure, StoreFile, Wal, WalBatch, WalOptions};
use flotilla_host::{
    Addressee, Input, Now, Output, Shard, ShardOptions, Thresholds, WalTicket, addressed, shard_of,
};
use flotilla_meta::{PeerLimits, ServerInfo};
use flotilla_raft::StoreId;

/// How many bytes each server has for streams.
pub(crate) const ROOM: u64 = 1 << 40;

pub(crate) struct Server {
    pub(crate) disk: Arc<MemDisk>,
    pub(crate) name: String,
    thresholds: Thresholds,
    pub(super) boot: u64,
    pub(super) running: Option<Running>,
}

pub(super) struct Running {
    pub(super) shards: Vec<Shard>,
    /// For each shard.
    pub(super) inputs: Vec<Vec<Input>>,
    wal: Wal,
    /// Waits for the sync under way: of which shard.
    waiting: Vec<(usize, WalTicket, WalBatch)>,
    /// When the last write was made, and the tickets in it, until it is synced.
    unsynced: Option<(u64, Vec<(usize, WalTicket)>)>,
}

impl Server {
    pub(super) fn new(disk: Arc<MemDisk>, name: String, thresholds: Thresholds) -> Self {
        Self { disk, name, thresholds, boot: 0, running: None }
    }

    pub(super) fn info(&self, store: StoreId) -> ServerInfo {
        ServerInfo {
            store,
            name: self.name.clone(),
            cluster: "C1".to_owned(),
            tags: Vec::new(),
            limits: PeerLimits {
                jetstream: true,
                max_file_store: Some(ROOM),
                ..PeerLimits::default()
            },
        }
    }

    /// Starts it on what its disk holds.
    pub(super) fn start(&mut self, store: StoreId, now: Now) {
        self.boot += 1;
        self.disk.restart();
        let disk: Arc<dyn Disk> = self.disk.clone();
        let store_file = StoreFile::open_or_create(&*disk, store.0).unwrap();
        let options = WalOptions { file_size: 1 << 20, ..WalOptions::new(store) };
        let (wal, recovery) = Wal::open(&*disk, options).unwrap();
        let options = ShardOptions {
            unique_tag: None,
            seed: store.0 * 7 + self.boot,
            thresholds: self.thresholds,
        };
        let shards = 1 + usize::try_from((store.0 + self.boot) % 3).unwrap();
        let shards = Shard::recover(&options, shards, &disk, store_file, recovery, now, &mut || {});
        let inputs = shards.iter().map(|_| Vec::new()).collect();
        let (waiting, unsynced) = (Vec::new(), None);
        self.running = Some(Running { shards, inputs, wal, waiting, unsynced });
    }

    /// Every shard takes its turn; what each leaves for others.
    pub(super) fn turn(&mut self, now: Now, sync_time: u64) -> Vec<(usize, Output)> {
        let Some(running) = &mut self.running else { return Vec::new() };
        let disk = &*self.disk;
        running.sync(disk, now.mono, sync_time);
        let mut outputs = Vec::new();
        for at in 0..running.shards.len() {
            let due = running.shards[at].next_deadline().is_some_and(|due| due <= now.mono);
            if running.inputs[at].is_empty() && !due {
                continue;
            }
            let inputs = std::mem::take(&mut running.inputs[at]);
            let mut output = running.shards[at].turn(now, inputs);
            running.keep(at, &mut output, disk, now.mono);
            outputs.push((at, output));
        }
        outputs
    }
}

impl Running {
    /// Gives an input to the shards that it is for.
    pub(super) fn give(&mut self, input: Input) {
        let shards = self.shards.len();
        match input.addressee() {
            Addressee::Group(group) => self.inputs[shard_of(group, shards)].push(input),
            Addressee::All => self.inputs.iter_mut().for_each(|to| to.push(input.clone())),
            Addressee::Frame => {
                let Input::Bundle { frame, .. } = &input else { unreachable!() };
                addressed(frame, shards, |shard| self.inputs[shard].push(input.clone()));
            }
            Addressee::Doer => panic!("{input:?}: whose doing?"),
        }
    }

    /// What a turn leaves for the server itself: its log, its files, its other shards.
    fn keep(&mut self, shard: usize, output: &mut Output, disk: &dyn Disk, now: u64) {
        if let Some((ticket, batch)) = output.wal.take() {
            self.waiting.push((shard, ticket, batch));
            self.write(disk, now);
        }
        for job in output.jobs.drain(..) {
            let result = job.run(disk);
            self.give(Input::Flushed { group: job.group(), job: job.id(), result });
        }
        let Pressure { pins, movable, .. } = self.wal.pressure();
        if !pins.is_empty() && self.unsynced.is_none() {
            let groups = pins.iter().map(|pin| pin.group).collect();
            self.give(Input::Pressure { groups, movable });
        }
        if let Some(standings) = output.standings.take() {
            self.give(Input::Standings(standings));
        }
    }

    /// Writes what waits, of all shards together, unless something is not synced yet.
    fn write(&mut self, disk: &dyn Disk, now: u64) {
        if self.unsynced.is_some() || self.waiting.is_empty() {
            return;
        }
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let (tickets, batches): (Vec<_>, Vec<_>) =
            waiting.map(|(shard, ticket, batch)| ((shard, ticket), batch)).unzip();
        self.wal.write(disk, &batches).unwrap();
        self.unsynced = Some((now, tickets));
    }

    /// What was written so long ago is synced now.
    fn sync(&mut self, disk: &dyn Disk, now: u64, sync_time: u64) {
        let Some((_, tickets)) = self.unsynced.take_if(|(since, _)| *since + sync_time <= now)
        else {
            return;
        };
        self.wal.sync(disk).unwrap();
        for (shard, ticket) in tickets {
            self.inputs[shard].push(Input::Persisted(ticket));
        }
        self.write(disk, now);
    }
}
