//! One server: its disk, and while it runs its shards and its log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use flotilla_disk::{Disk, MemDisk, Room, SegmentJob, StoreFile, Wal, WalOptions};
use flotilla_host::{
    Addressee, Detector, Input, Shard, ShardOptions, Thresholds, addressed, log_end, shard_of,
};
use flotilla_meta::{PeerLimits, ServerInfo};
use flotilla_raft::StoreId;
use flotilla_stream::Timestamp;

use super::clock::{Clock, Wrong};
use super::log::{DiskPace, Log};

/// The most bytes of bundles, and as many of clients' messages, that wait for a shard; one that is larger is taken when no
/// other waits.
pub(crate) const INBOX: usize = 512 << 10;

/// What all servers of a world have in common.
#[derive(Clone, Copy, Debug)]
pub struct WorldOptions {
    /// The size of the log's files, and what of the log is a lot.
    pub wal: (u64, u64, u64),
    /// When replicas let go of what they hold.
    pub thresholds: Thresholds,
}

/// A server.
pub struct Server {
    pub(crate) store: StoreId,
    pub(crate) name: String,
    /// Its disk.
    pub disk: Arc<MemDisk>,
    pub(crate) boot: u64,
    pub(crate) clock: Wrong,
    pub(crate) pace: DiskPace,
    pub(crate) paused_until: u64,
    /// Its disk is an older image, and it does not know yet.
    pub(crate) rolled_back: bool,
    pub(crate) running: Option<Running>,
}

pub(crate) struct Running {
    pub(crate) boot: u64,
    pub(crate) clock: Clock,
    pub(crate) shards: Vec<Shard>,
    /// For each shard.
    pub(crate) inputs: Vec<Vec<Input>>,
    /// Bytes of bundles, and of clients' messages, that wait for each shard.
    bundled: Vec<usize>,
    published: Vec<usize>,
    /// When each shard has its next turn, and when it is looked whether it has one.
    pub(crate) next_turn: Vec<Option<u64>>,
    pub(crate) looks: Vec<Vec<u64>>,
    pub(crate) log: Log,
    /// What waits for the thread that writes segments.
    pub(crate) jobs: VecDeque<SegmentJob>,
    pub(crate) detector: Detector,
    /// Where its log ended when it started, as it tells others.
    pub(crate) log_end: Option<u64>,
    /// Whose log is not what it was.
    pub(crate) disowned: BTreeSet<StoreId>,
    /// How much room others have on their disks, as their beats say.
    pub(crate) rooms: BTreeMap<StoreId, Room>,
    pub(crate) beats: u64,
    pub(crate) registered: bool,
}

impl Server {
    pub(super) fn new(store: StoreId) -> Self {
        Self::named(store, format!("n{}", store.0))
    }

    pub(super) fn named(store: StoreId, name: String) -> Self {
        Self {
            store,
            name,
            disk: Arc::new(MemDisk::new()),
            boot: 0,
            clock: Wrong::default(),
            pace: DiskPace::default(),
            paused_until: 0,
            rolled_back: false,
            running: None,
        }
    }

    /// Whether it lives, in the life `boot`.
    pub(crate) fn lives(&self, boot: u64) -> bool {
        self.running.as_ref().is_some_and(|r| r.boot == boot)
    }

    pub(crate) fn shards(&self) -> &[Shard] {
        self.running.as_ref().map_or(&[], |r| &r.shards)
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.running.as_ref().is_some_and(|r| r.registered)
    }

    pub(crate) fn info(&self) -> ServerInfo {
        let limits =
            PeerLimits { jetstream: true, max_file_store: Some(1 << 40), ..PeerLimits::default() };
        let (name, cluster) = (self.name.clone(), "C1".to_owned());
        ServerInfo { store: self.store, name, cluster, tags: Vec::new(), limits }
    }

    pub(super) fn start(
        &mut self,
        seed: u64,
        options: &WorldOptions,
        now: u64,
        wall: Timestamp,
    ) -> Result<(), String> {
        self.boot += 1;
        let clock = Clock::start(now, self.clock);
        let disk: Arc<dyn Disk> = self.disk.clone();
        let fresh = self.store.0;
        let store_file = StoreFile::open_or_create(&*disk, fresh).map_err(|e| e.to_string())?;
        let (file_size, soft, cap) = options.wal;
        let wal_options = WalOptions { store: self.store, file_size, soft, cap };
        let (wal, recovery) = Wal::open(&*disk, wal_options).map_err(|e| e.to_string())?;
        let log_end = log_end(store_file.record(), &recovery, &wal);
        let shard_options = ShardOptions { unique_tag: None, seed, thresholds: options.thresholds };
        let shards = 1 + usize::try_from((self.store.0 + self.boot) % 3).unwrap_or(0);
        let (time, file) = (clock.now(now, wall), store_file);
        let shards =
            Shard::recover(&shard_options, shards, &disk, file, recovery, time, &mut || {});
        if self.disk.has_crashed() {
            return Err("crashed at a disk call while it started".to_owned());
        }
        self.running = Some(Running {
            boot: self.boot,
            clock,
            inputs: shards.iter().map(|_| Vec::new()).collect(),
            bundled: vec![0; shards.len()],
            published: vec![0; shards.len()],
            next_turn: vec![None; shards.len()],
            looks: vec![Vec::new(); shards.len()],
            shards,
            log: Log::new(wal),
            jobs: VecDeque::new(),
            detector: Detector::default(),
            log_end,
            disowned: BTreeSet::new(),
            rooms: BTreeMap::new(),
            beats: 0,
            registered: false,
        });
        Ok(())
    }
}

impl Running {
    /// Puts an input before the shards that it is for. Returns which these are.
    pub(crate) fn give(&mut self, input: Input) -> Vec<usize> {
        let shards = self.shards.len();
        let mut woken = Vec::new();
        match input.addressee() {
            Addressee::Group(group) => {
                let shard = shard_of(group, shards);
                if self.has_room(shard, &input) {
                    self.push(shard, input, &mut woken);
                }
            }
            Addressee::All => {
                (0..shards).for_each(|shard| self.push(shard, input.clone(), &mut woken));
            }
            Addressee::Frame => {
                let Input::Bundle { frame, .. } = &input else { return woken };
                // What there is no room for is lost; Raft sends again.
                let (bytes, bundled) = (frame.len(), &mut self.bundled);
                addressed(frame, shards, |shard| {
                    if bundled[shard] == 0 || bundled[shard] + bytes <= INBOX {
                        bundled[shard] += bytes;
                        woken.push(shard);
                    }
                });
                for shard in &woken {
                    self.inputs[*shard].push(input.clone());
                }
            }
            // What a shard itself asked for is given to it by number.
            Addressee::Doer => {}
        }
        woken
    }

    /// Whether there is room for it, if clients sent it; it then counts.
    fn has_room(&mut self, shard: usize, input: &Input) -> bool {
        let Input::Publish { messages, .. } = input else { return true };
        let bytes = messages.size();
        let all = &mut self.published[shard];
        let has_room = *all == 0 || *all + bytes <= INBOX;
        *all += if has_room { bytes } else { 0 };
        has_room
    }

    /// What waits for a shard, without what has to wait on. Returns also whether anything has to.
    pub(crate) fn take_inputs(&mut self, shard: usize) -> (Vec<Input>, bool) {
        let hold = self.log.is_full();
        if !hold {
            self.bundled[shard] = 0;
            self.published[shard] = 0;
        }
        let inputs = &mut self.inputs[shard];
        let held = |input: &mut Input| match input {
            Input::Publish { .. } | Input::Consumer { .. } | Input::Bundle { .. } => hold,
            _ => false,
        };
        (inputs.extract_if(.., |input| !held(input)).collect(), hold)
    }

    fn push(&mut self, shard: usize, input: Input, woken: &mut Vec<usize>) {
        self.inputs[shard].push(input);
        woken.push(shard);
    }
}
