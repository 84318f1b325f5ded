//! JetStream on this server: its store opened, its threads started, its parts joined.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use flotilla_disk::{Disk, DiskError, Pressure, StoreError, StoreFile, Wal, WalError, WalOptions};
use flotilla_host::{Answer, Input, Join, RecoverError, Shard, ShardOptions, Totals, WalTicket};
use flotilla_meta::{PeerLimits, ServerInfo};
use flotilla_raft::StoreId;
use flotilla_server_core::RouterHandle;
use flotilla_storage::{
    FileDisk, FlusherOptions, SegmentFlusher, WalCompletion, WalStats, WalWriter, WalWriterOptions,
};
use thiserror::Error;
use tokio::runtime::Handle;

use crate::api::{Api, ApiOptions, ContextParts};
use crate::calls::{Calls, Remote};
use crate::directory::Directory;
use crate::hands::Hands;
use crate::inbox::Inbox;
use crate::ingest::{Ingest, IngestParts};
use crate::leaders::Leaders;
use crate::shard_thread::{Clock, Pulse, run};

/// How long a turn or a write may take before the server stops to beat.
const HUNG: Duration = Duration::from_secs(1);

/// What JetStream is told.
#[derive(Clone, Debug)]
pub struct JetStreamOptions {
    /// `jetstream.store_dir`, with `jetstream` behind it as in the reference server.
    pub store_dir: PathBuf,
    /// `server_name`.
    pub server_name: String,
    /// `cluster.name`, or a name for a cluster of one.
    pub cluster_name: String,
    /// `server_tags`.
    pub tags: Vec<String>,
    /// What may be put on this server.
    pub limits: PeerLimits,
    /// `jetstream.unique_tag`.
    pub unique_tag: Option<String>,
    /// The cap of the log, in bytes.
    pub wal_max_size: Option<u64>,
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
    /// What the log gave back.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// A store that is open, and not yet in service: who it is must be known before the server meets others.
pub struct Opened {
    options: JetStreamOptions,
    disk: Arc<dyn Disk>,
    wal: Wal,
    shard: Shard,
    clock: Clock,
    boot: u64,
    bootstrap: Bytes,
}

/// JetStream in service.
pub struct JetStream {
    info: ServerInfo,
    boot: u64,
    inbox: Arc<Inbox>,
    writer: Arc<WalWriter>,
    pulse: Arc<Pulse>,
    clock: Clock,
    calls: Arc<Calls>,
    directory: Arc<Directory>,
    leaders: Arc<Leaders>,
    ingest: Arc<Ingest>,
    api: Arc<Api>,
    thread: Mutex<Option<JoinHandle<()>>>,
    totals: Arc<Mutex<Totals>>,
}

/// Opens the store, and takes up everything that is in it.
///
/// # Errors
/// When the directory cannot be used, or what is in it cannot be relied on at all.
pub fn open(options: JetStreamOptions) -> Result<Opened, OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(FileDisk::open(&options.store_dir)?);
    let fresh = rand::random::<u64>().max(1);
    let store_file = StoreFile::open_or_create(&*disk, fresh)?;
    let store = store_file.record().store_id;
    let mut wal_options = WalOptions::new(store);
    if let Some(cap) = options.wal_max_size {
        wal_options.cap = cap;
        wal_options.soft = cap / 2;
        wal_options.file_size = (cap / 8).clamp(4 << 20, 64 << 20) & !4095;
    }
    let (wal, recovery) = Wal::open(&*disk, wal_options)?;
    let clock = Clock::start();
    let boot = rand::random::<u64>().max(1);
    let bootstrap = store_file.record().bootstrap.clone();
    let shard_options = ShardOptions {
        server: server_info(&options, store),
        boot,
        unique_tag: options.unique_tag.clone(),
        seed: rand::random(),
    };
    let shard =
        Shard::recover(shard_options, Arc::clone(&disk), store_file, recovery, clock.now())?;
    Ok(Opened { options, disk, wal, shard, clock, boot, bootstrap })
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

impl Opened {
    /// This store.
    #[must_use]
    pub fn store(&self) -> StoreId {
        self.shard.store()
    }

    /// The cluster that it belongs to, if it does already.
    #[must_use]
    pub fn cluster(&self) -> Option<u64> {
        self.shard.cluster()
    }

    /// This life of the process.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// What the bootstrap's acceptor last promised; empty if it never did.
    #[must_use]
    pub fn bootstrap(&self) -> Bytes {
        self.bootstrap.clone()
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
        let Self { options, disk, wal, shard, clock, boot, .. } = self;
        let store = shard.store();
        let inbox = Arc::new(Inbox::default());
        let writer = start_writer(Arc::clone(&disk), wal, &inbox)?;
        let leaders = Arc::new(Leaders::default());
        let directory = Arc::new(Directory::default());
        let calls = Calls::new(store, inbox.clone(), leaders.clone(), remote.clone());
        let calls = Arc::new(calls);
        let ingest = Arc::new(Ingest::new(IngestParts {
            store,
            domain: options.api.domain.clone(),
            router: router.clone(),
            inbox: inbox.clone(),
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
        let hands = Hands {
            store,
            log: writer.submitter(persisted(&inbox)),
            flusher: SegmentFlusher::start(disk, FlusherOptions::default())?,
            inbox: inbox.clone(),
            router: router.clone(),
            accounts: BTreeMap::new(),
            calls: calls.clone(),
            directory: directory.clone(),
            leaders: leaders.clone(),
            ingest: ingest.clone(),
            remote,
            runtime: Handle::current(),
            unknown: BTreeSet::new(),
        };
        let pulse = Arc::new(Pulse::default());
        let totals = Arc::<Mutex<Totals>>::default();
        let thread = {
            let (inbox, pulse, totals) = (inbox.clone(), pulse.clone(), totals.clone());
            let (leaders, ingest, api) = (leaders.clone(), ingest.clone(), api.clone());
            let end =
                End { store, inbox: inbox.clone(), leaders, ingest, api, calls: calls.clone() };
            let builder = std::thread::Builder::new().name("shard-0".to_owned());
            builder
                .spawn(move || {
                    let _end = end;
                    run(shard, &inbox, hands, clock, &pulse, &totals);
                })
                .map_err(OpenError::Thread)?
        };
        let thread = Mutex::new(Some(thread));
        Ok(JetStream {
            info,
            boot,
            inbox,
            writer,
            pulse,
            clock,
            calls,
            directory,
            leaders,
            ingest,
            api,
            thread,
            totals,
        })
    }
}

/// The end of the shard's thread, by whatever cause: what it led is led by nobody here any more, and nothing is taken
/// for it. Other servers hear no beats of this one from now on.
struct End {
    store: StoreId,
    inbox: Arc<Inbox>,
    leaders: Arc<Leaders>,
    ingest: Arc<Ingest>,
    api: Arc<Api>,
    calls: Arc<Calls>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.inbox.close();
        self.api.close();
        self.ingest.leave();
        self.leaders.forget(self.store);
        self.calls.end();
    }
}

fn start_writer(
    disk: Arc<dyn Disk>,
    wal: Wal,
    inbox: &Arc<Inbox>,
) -> Result<Arc<WalWriter>, OpenError> {
    let inbox = Arc::clone(inbox);
    let pressure = Arc::new(move |pressure: Pressure| {
        inbox.push(Input::Pressure(pressure.pins.iter().map(|pin| pin.group).collect()));
    });
    let writer = WalWriter::start(disk, wal, WalWriterOptions::default(), pressure)?;
    Ok(Arc::new(writer))
}

/// Tells the shard what is on stable storage.
fn persisted(inbox: &Arc<Inbox>) -> flotilla_storage::WalCallback {
    let inbox = Arc::clone(inbox);
    Arc::new(move |WalCompletion { tickets, result }: WalCompletion| match result {
        Ok(_) => {
            if let Some(last) = tickets.last() {
                inbox.push(Input::Persisted(WalTicket(*last)));
            }
        }
        Err(error) => {
            // A log that cannot be trusted ends everything that rests on it.
            log::error!("JetStream's log failed, nothing is led or stored here any more: {error}");
            inbox.close();
        }
    })
}

impl JetStream {
    /// What this server says about itself to the meta group.
    #[must_use]
    pub fn info(&self) -> &ServerInfo {
        &self.info
    }

    /// This life of the process.
    #[must_use]
    pub fn boot(&self) -> u64 {
        self.boot
    }

    /// Tells the shard something. Returns whether it was taken.
    pub fn tell(&self, input: Input) -> bool {
        if let Input::LinkReset(store) | Input::Died(store) = &input {
            self.calls.link_lost(*store);
        }
        self.inbox.push(input)
    }

    /// This store belongs to a cluster now.
    pub fn join(&self, join: Join) {
        self.inbox.push(Input::Join(join));
    }

    /// Keeps what the bootstrap's acceptor promises; returns when it is on stable storage. It blocks for a disk
    /// write: not to be called on a runtime's thread.
    ///
    /// # Errors
    /// When it is not.
    pub fn keep_bootstrap(&self, state: Bytes) -> Result<(), String> {
        match self.calls.keep_bootstrap(state) {
            Some(Answer::Done) => Ok(()),
            Some(Answer::Error(error)) => Err(error.to_string()),
            _ => Err("JetStream has ended".to_owned()),
        }
    }

    /// Whether this server may beat: its shard turns and its disk writes.
    #[must_use]
    pub fn is_lively(&self) -> bool {
        let waits = self.writer.oldest_queued_since().map_or(Duration::ZERO, |at| at.elapsed());
        self.pulse.busy_for(self.clock) < HUNG && waits < HUNG && self.failure().is_none()
    }

    /// What this server holds; counted once a second at most.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why JetStream serves nothing any more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let log = self.writer.ended().map(|error| error.to_string());
        log.or_else(|| self.inbox.is_closed().then(|| "the shard has ended".to_owned()))
    }

    /// Requests to the leaders of groups.
    #[must_use]
    pub fn calls(&self) -> &Arc<Calls> {
        &self.calls
    }

    /// What the meta group decided.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Who leads what.
    #[must_use]
    pub fn leaders(&self) -> &Arc<Leaders> {
        &self.leaders
    }

    /// What clients send to streams and consumers.
    #[must_use]
    pub fn ingest(&self) -> &Arc<Ingest> {
        &self.ingest
    }

    /// The API.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// What the log's writer has done.
    #[must_use]
    pub fn log_stats(&self) -> WalStats {
        self.writer.stats()
    }

    /// Hands over what is led here, so that nobody waits for a leader that is gone.
    pub fn hand_over(&self) {
        self.inbox.push(Input::HandOver);
    }

    /// Ends the shard's thread. What is written is on stable storage when this returns.
    pub fn stop(&self) {
        self.inbox.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            log::error!("The shard's thread panicked");
        }
    }
}
