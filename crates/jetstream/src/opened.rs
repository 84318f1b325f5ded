//! From a store directory to JetStream in service: the store opened, the threads started, the parts joined.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use flotilla_disk::{
    Disk, DiskError, Pressure, Room, StoreError, StoreFile, StoreRecord, Wal, WalError, WalOptions,
};
use flotilla_host::{Input, Shard, ShardOptions, Thresholds, WalTicket, log_end};
use flotilla_meta::{PeerLimits, ServerInfo};
use flotilla_raft::{Slot, StoreId};
use flotilla_server_core::RouterHandle;
use flotilla_storage::{
    FileDisk, FlusherOptions, SegmentFlusher, WalCompletion, WalReports, WalWriter,
    WalWriterOptions,
};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::advisories::{Advisories, Sender};
use crate::api::{Api, ApiOptions, ContextParts};
use crate::buffers::Buffers;
use crate::calls::{Calls, Remote};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::hands::{Hands, Tools};
use crate::inbox::Inbox;
use crate::inboxes::Inboxes;
use crate::ingest::{Ingest, IngestParts};
use crate::leaders::Leaders;
use crate::opening::{Opening, Stage};
use crate::room::RoomNews;
use crate::service::JetStream;
use crate::shards::{Ending, Shards};

/// What JetStream is told.
#[derive(Clone, Debug)]
pub struct JetStreamOptions {
    /// `jetstream.store_dir`, with `jetstream` behind it as in the reference server.
    pub store_dir: PathBuf,
    /// `server_name`.
    pub server_name: String,
    /// The id of this life of the server, for advisories.
    pub server_id: String,
    /// `system_account`, which advisories about servers go to.
    pub system_account: String,
    /// `cluster.name`, or a name for a cluster of one.
    pub cluster_name: String,
    /// `server_tags`.
    pub tags: Vec<String>,
    /// What may be put on this server.
    pub limits: PeerLimits,
    /// `jetstream.unique_tag`.
    pub unique_tag: Option<String>,
    /// How many shards drive the groups; more than there are slots would have nothing to do.
    pub shards: usize,
    /// The cap of the log, in bytes.
    pub wal_max_size: Option<u64>,
    /// How much may wait in memory.
    pub buffers: Buffers,
    /// What the API says and allows.
    pub api: ApiOptions,
}

/// Why JetStream does not start.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The store directory.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The store's identity.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log.
    #[error(transparent)]
    Wal(#[from] WalError),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// A store that is open, and not yet in service: who it is must be known before the server meets others.
pub struct Opened {
    options: JetStreamOptions,
    disk: Arc<dyn Disk>,
    wal: Wal,
    log_end: Option<u64>,
    record: StoreRecord,
    shards: Vec<Shard>,
    clock: Clock,
    boot: u64,
}

/// Opens the store, and takes up everything that is in it. How far it is stands in `opening`.
///
/// # Errors
/// When the directory cannot be used, or what is in it cannot be relied on at all.
pub fn open(options: JetStreamOptions, opening: &Opening) -> Result<Opened, OpenError> {
    let disk = Arc::new(FileDisk::open(&options.store_dir)?);
    open_on(disk, options, opening)
}

/// The same, on any disk; `options.store_dir` is only what it is called.
///
/// # Errors
/// As [`open`].
pub fn open_on(
    disk: Arc<dyn Disk>,
    options: JetStreamOptions,
    opening: &Opening,
) -> Result<Opened, OpenError> {
    let fresh = rand::random::<u64>().max(1);
    let store_file = StoreFile::open_or_create(&*disk, fresh)?;
    let record = store_file.record().clone();
    let mut wal_options = WalOptions::new(record.store_id);
    if let Some(cap) = options.wal_max_size {
        wal_options.cap = cap;
        wal_options.soft = cap / 2;
        wal_options.file_size = (cap / 8).clamp(4 << 20, 64 << 20) & !4095;
    }
    let (wal, recovery) = Wal::open(&*disk, wal_options)?;
    let log_end = log_end(&record, &recovery, &wal);
    let clock = Clock::start();
    let boot = rand::random::<u64>().max(1);
    let count = options.shards.clamp(1, Slot::COUNT);
    let mut thresholds = Thresholds::default();
    options.buffers.limit(count, &mut thresholds);
    let (unique_tag, seed) = (options.unique_tag.clone(), rand::random());
    let shard_options = ShardOptions { unique_tag, seed, thresholds };
    let now = clock.now();
    let (mut open, of) = (0, recovery.groups.len());
    opening.reached(Stage::Groups { open, of });
    let mut taken_up = || {
        open += 1;
        opening.reached(Stage::Groups { open, of });
    };
    let shards =
        Shard::recover(&shard_options, count, &disk, store_file, recovery, now, &mut taken_up);
    Ok(Opened { options, disk, wal, log_end, record, shards, clock, boot })
}

fn server_info(options: &JetStreamOptions, store: StoreId) -> ServerInfo {
    ServerInfo {
        store,
        name: options.server_name.clone(),
        cluster: options.cluster_name.clone(),
        tags: options.tags.clone(),
        limits: options.limits.clone(),
    }
}

fn sender(options: &JetStreamOptions) -> Sender {
    Sender {
        server: options.server_name.clone(),
        server_id: options.server_id.clone(),
        cluster: options.api.cluster_name.clone(),
        domain: options.api.domain.clone(),
        system_account: options.system_account.clone(),
    }
}

impl Opened {
    /// This store.
    #[must_use]
    pub fn store(&self) -> StoreId {
        self.record.store_id
    }

    /// The cluster that it belongs to, if it does already.
    #[must_use]
    pub fn cluster(&self) -> Option<u64> {
        self.record.cluster_id
    }

    /// This life of the process.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Where its log ended; see [`log_end`](flotilla_host::log_end).
    #[must_use]
    pub fn log_end(&self) -> Option<u64> {
        self.log_end
    }

    /// What the bootstrap's acceptor last promised; empty if it never did.
    #[must_use]
    pub fn bootstrap(&self) -> Bytes {
        self.record.bootstrap.clone()
    }

    /// Starts the threads. `remote` is the way to other servers. To be called in a Tokio runtime.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        self,
        router: &RouterHandle,
        remote: Arc<dyn Remote>,
    ) -> Result<JetStream, OpenError> {
        let Self { options, disk, wal, record, shards, clock, boot, .. } = self;
        let store = record.store_id;
        let inboxes = Arc::new(Inboxes::new(shards.len(), options.buffers.inbox(shards.len())));
        let leaders = Arc::new(Leaders::default());
        let directory = Arc::new(Directory::default());
        let (sender, runtime) = (sender(&options), Handle::current());
        let advisories =
            Arc::new(Advisories::new(sender, router.clone(), directory.clone(), runtime.clone()));
        let news = RoomNews {
            store,
            store_dir: options.store_dir.clone(),
            inboxes: inboxes.clone(),
            advisories: advisories.clone(),
            said: Mutex::new(Room::Enough),
        };
        let writer = start_writer(Arc::clone(&disk), wal, &inboxes, news)?;
        let calls = Calls::new(store, inboxes.clone(), leaders.clone(), remote.clone());
        let calls = Arc::new(calls);
        let ingest = Arc::new(Ingest::new(IngestParts {
            store,
            domain: options.api.domain.clone(),
            router: router.clone(),
            inboxes: inboxes.clone(),
            directory: directory.clone(),
            leaders: leaders.clone(),
            remote: remote.clone(),
        }));
        let info = server_info(&options, store);
        let api = Arc::new(Api::start(
            options.api,
            ContextParts {
                store,
                router: router.clone(),
                calls: calls.clone(),
                directory: directory.clone(),
                leaders: leaders.clone(),
                ingest: ingest.clone(),
            },
        ));
        let tools = Arc::new(Tools {
            store,
            inboxes: inboxes.clone(),
            flusher: SegmentFlusher::start(disk.clone(), FlusherOptions::default())?,
            router: router.clone(),
            calls: calls.clone(),
            directory: directory.clone(),
            leaders: leaders.clone(),
            ingest: ingest.clone(),
            advisories,
            remote,
            runtime,
        });
        let with_hands = |(number, (shard, inbox)): (u8, (Shard, &Arc<Inbox>))| {
            let log = writer.submitter(persisted(inbox, &inboxes));
            let (inbox, accounts) = (inbox.clone(), BTreeMap::new());
            (shard, Hands { tools: tools.clone(), shard: number, log, inbox, accounts })
        };
        let shards = (0..=u8::MAX).zip(shards.into_iter().zip(inboxes.iter()));
        let shards = shards.map(with_hands).collect();
        let ending = Ending {
            store,
            inboxes: inboxes.clone(),
            leaders: leaders.clone(),
            ingest: ingest.clone(),
            api: api.clone(),
            calls: calls.clone(),
        };
        let shards = Shards::start(shards, clock, ending).map_err(OpenError::Thread)?;
        Ok(JetStream {
            info,
            boot,
            store_dir: options.store_dir,
            disk,
            inboxes,
            writer,
            shards,
            calls,
            directory,
            leaders,
            ingest,
            api,
        })
    }
}

fn start_writer(
    disk: Arc<dyn Disk>,
    wal: Wal,
    inboxes: &Arc<Inboxes>,
    news: RoomNews,
) -> Result<WalWriter, OpenError> {
    let inboxes = Arc::clone(inboxes);
    let pressure = Arc::new(move |pressure: Pressure| {
        let groups = pressure.pins.iter().map(|pin| pin.group).collect();
        inboxes.tell(Input::Pressure { groups, movable: pressure.movable });
    });
    let reports = WalReports { pressure, room: Arc::new(move |report| news.report(report)) };
    Ok(WalWriter::start(disk, wal, WalWriterOptions::default(), reports)?)
}

/// Tells a shard what is on stable storage.
fn persisted(inbox: &Arc<Inbox>, inboxes: &Arc<Inboxes>) -> flotilla_storage::WalCallback {
    let (inbox, inboxes) = (Arc::clone(inbox), Arc::clone(inboxes));
    Arc::new(move |WalCompletion { tickets, result, more_waits }: WalCompletion| match result {
        Ok(_) => {
            let Some(last) = tickets.last() else { return };
            let persisted = Input::Persisted(WalTicket(*last));
            if more_waits {
                // The log goes on; the shard's own thread takes the turn meanwhile.
                inbox.push(persisted);
            } else {
                inbox.put(persisted);
                inbox.offer();
            }
        }
        Err(error) => {
            // A log that cannot be trusted ends everything that rests on it.
            log::error!("JetStream's log failed, nothing is led or stored here any more: {error}");
            inboxes.close();
        }
    })
}
