//! A shard: one loop that owns many groups.
//!
//! A turn takes everything that came in since the last one, steps the groups that it concerns, and returns one WAL
//! batch, one bundle per peer, and the effects for clients. It is a pure function of its inputs, its clocks and its
//! seed, but for what it does through the [`Disk`]: it reads segments, stages those of peers, sets replicas aside, and keeps
//! the store's record.

mod aside;
mod awake;
mod catchup;
mod disown;
mod early;
mod fetching;
mod files;
mod input;
mod lost;
mod mend;
mod observe;
mod own_calls;
mod reconcile;
mod recover;
mod repair;
mod replicas;
mod room;
mod sleep;
mod tend;
mod turn;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_disk::{CreatedThrough, Disk, RecoveredGroup, StoreError, StoreFile, StoreRecord};
use flotilla_raft::{GroupId, ReplicaId, Slot};

use crate::random::Random;
use crate::share::Share;
use crate::standings::Known;
use crate::thresholds::Thresholds;
use crate::time::Now;
use crate::timers::Timers;
use crate::turn::{After, Cx, Output, WalTicket};

pub use disown::log_end;
pub use input::{Addressee, Input, Join};
pub use observe::{ReplicaView, StateView};
pub(crate) use replicas::Replicas;

/// What a shard is told about its server.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// `jetstream.unique_tag`.
    pub unique_tag: Option<String>,
    /// Seeds elections and ties.
    pub seed: u64,
    /// When replicas let go of what they hold.
    pub thresholds: Thresholds,
}

/// What a shard holds, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Replicas of streams.
    pub streams: u64,
    /// Those that lead.
    pub streams_led: u64,
    /// Replicas of consumers.
    pub consumers: u64,
    /// Those that lead.
    pub consumers_led: u64,
    /// Replicas, of whatever kind, whose group's time goes on; the others sleep.
    pub awake: u64,
    /// Replicas that the log gave back and that have had no turn yet: they do not serve.
    pub beginning: u64,
    /// Messages in the streams.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Replicas that take no part any more, and why.
    pub ended: Vec<(GroupId, String)>,
    /// Replicas of which something is being repaired from peers, and what.
    pub mending: Vec<(GroupId, String)>,
    /// Pieces of damage found since the start.
    pub damages: u64,
    /// Pieces repaired since the start.
    pub repairs: u64,
    /// Bytes of segments checked in the background since the start.
    pub scrubbed: u64,
    /// Replicas that applied what their leader applied, and came to another state.
    pub diverged: Vec<GroupId>,
}

impl std::iter::Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |mut sum, part| {
            sum.streams += part.streams;
            sum.streams_led += part.streams_led;
            sum.consumers += part.consumers;
            sum.consumers_led += part.consumers_led;
            sum.awake += part.awake;
            sum.beginning += part.beginning;
            sum.messages += part.messages;
            sum.bytes += part.bytes;
            sum.ended.extend(part.ended);
            sum.mending.extend(part.mending);
            sum.damages += part.damages;
            sum.repairs += part.repairs;
            sum.scrubbed += part.scrubbed;
            sum.diverged.extend(part.diverged);
            sum
        })
    }
}

/// A replica that takes no part any more.
struct Ended {
    reason: String,
    replica: ReplicaId,
    /// Whether it has forgotten what it promised, so that it needs a successor.
    lost: bool,
    left: Left,
}

/// What is left of a replica that takes no part: it is destroyed when its time has come, like any other. With its
/// incarnation, 0 if that cannot be read.
enum Left {
    /// Nothing.
    Nothing,
    /// The log has it.
    InLog(u64),
    /// The log has it, and this is it.
    Known(Box<RecoveredGroup>),
    /// It was set aside.
    Aside(u64),
}

impl Left {
    fn incarnation(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::InLog(incarnation) | Self::Aside(incarnation) => Some(*incarnation),
            Self::Known(remains) => Some(remains.incarnation),
        }
    }
}

/// A shard.
pub struct Shard {
    options: ShardOptions,
    /// Which groups it drives.
    share: Share,
    replicas: Replicas,
    cx: Cx,
    /// What the store knows about itself; one for all shards.
    store_file: Arc<Mutex<StoreFile>>,
    /// The highest replica ids ever created here. While the records of a replica are in the WAL they say so; before the
    /// first of them is destroyed the store file says so, too.
    created: CreatedThrough,
    /// Of these, those whose creation is on stable storage.
    durable: CreatedThrough,
    /// Groups that the log gave back, and that have had no turn yet.
    beginning: BTreeSet<GroupId>,
    /// Groups that have something to do in this turn.
    dirty: BTreeSet<GroupId>,
    /// Groups that had something to do in this turn.
    settled: BTreeSet<GroupId>,
    awake: awake::Awake,
    /// Streams with messages in their queues, and how many bytes.
    queues: BTreeMap<GroupId, usize>,
    /// What waits for which WAL batch.
    tickets: VecDeque<(WalTicket, Vec<After>)>,
    next_ticket: u64,
    next_digest: u64,
    next_sweep: u64,
    timers: Timers,
    files: files::Files,
    /// Votes asked of replicas that are not here yet.
    early: BTreeMap<GroupId, early::Early>,
    /// States on their way here.
    catchup: BTreeMap<GroupId, catchup::Incoming>,
    /// Calls that the shard itself made.
    own_calls: BTreeMap<u64, own_calls::OwnCall>,
    next_call: u64,
    /// What meta decided, as far as it is known here.
    known: Known,
    /// Groups of which something else is known since they were looked at.
    changed: BTreeSet<GroupId>,
    /// Replicas to be created once the files of their predecessors are gone, and those behind them in the order of
    /// their slot.
    waiting: BTreeSet<(Slot, ReplicaId)>,
    /// Replicas whose end is on its way to stable storage.
    ending: BTreeSet<ReplicaId>,
    /// The end of a replica that never was waits to be confirmed, for the creations of others.
    unconfirmed: bool,
    /// What is known contained everything that meta had committed at this time.
    meta_current_at: Option<u64>,
    /// Replicas that were destroyed, not yet confirmed to meta.
    destroyed: Vec<(GroupId, ReplicaId)>,
    /// Replicas that take no part any more, and why.
    ended: BTreeMap<GroupId, Ended>,
    /// Of these, replicas that were found to be lost, which is to be kept.
    unkept: BTreeSet<GroupId>,
    /// Replicas that take no part until they are whole again.
    mending: BTreeMap<GroupId, mend::Mending>,
    /// Streams with a damaged segment.
    repairs_of: BTreeMap<GroupId, repair::Repair>,
    scrubber: repair::Scrubber,
    /// The log lost what may have told of replicas: until meta says which there were, none is created.
    /// Counts the shards of which that is so; with the last of them it is over.
    forgetful: Option<Arc<AtomicUsize>>,
    /// The highest id that was given away when this life of the store began, or a moment later.
    given: Option<ReplicaId>,
    /// Names what this life of the store finds lost.
    loss: u64,
    damages: u64,
    repairs: u64,
    scrubbed: u64,
    reconcile_all: bool,
    /// Up to this one, replicas that others rely on are lost.
    disowned: ReplicaId,
}

impl Shard {
    /// Which groups this shard drives.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// The cluster that this store belongs to, if it does already.
    fn cluster(&self) -> Option<u64> {
        self.store_file.lock().unwrap_or_else(PoisonError::into_inner).record().cluster_id
    }

    /// Changes the store's record; it is durable when this returns.
    fn update_store(&mut self, change: impl FnOnce(&mut StoreRecord)) -> Result<(), StoreError> {
        let updated = match self.store_file.lock() {
            Ok(mut store_file) => store_file.update(&*self.cx.disk, change),
            Err(_) => Err(StoreError::Poisoned("a shard panicked while it wrote".to_owned())),
        };
        if let Err(error @ (StoreError::Disk(_) | StoreError::Poisoned(_))) = &updated {
            self.cx.out.fatal = Some(format!("the store's record cannot be written: {error}"));
        }
        updated
    }

    /// Whether groups that the log gave back have had no turn yet.
    #[must_use]
    pub fn is_beginning(&self) -> bool {
        !self.beginning.is_empty()
    }

    /// What this shard holds.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let (streams, consumers) = (&self.replicas.streams, &self.replicas.consumers);
        let mut totals = Totals {
            streams: streams.len() as u64,
            consumers: consumers.len() as u64,
            consumers_led: consumers.values().filter(|c| c.serves()).count() as u64,
            ended: self.ended.iter().map(|(group, e)| (*group, e.reason.clone())).collect(),
            mending: self.mending(),
            beginning: self.beginning.len() as u64,
            damages: self.damages,
            repairs: self.repairs,
            scrubbed: self.scrubbed,
            ..Totals::default()
        };
        for stream in streams.values() {
            let state = stream.machine.stream.state();
            totals.messages += state.messages;
            totals.bytes += state.bytes;
            totals.streams_led += u64::from(stream.serves());
        }
        for (group, replica) in self.replicas.iter() {
            totals.awake += u64::from(replica.is_awake());
            totals.diverged.extend(Some(group).filter(|_| replica.differs()));
        }
        totals
    }

    fn mending(&self) -> Vec<(GroupId, String)> {
        let whole = self.mending.iter().map(|(group, mending)| (*group, mending.reason.clone()));
        let parts = self.repairs_of.iter().map(|(group, repair)| (*group, repair.reason()));
        whole.chain(parts).collect()
    }

    fn empty(
        options: ShardOptions,
        share: Share,
        disk: Arc<dyn Disk>,
        store_file: Arc<Mutex<StoreFile>>,
        now: Now,
    ) -> Self {
        let record = store_file.lock().unwrap_or_else(PoisonError::into_inner).record().clone();
        let store = record.store_id;
        let mut random = Random::new(options.seed.wrapping_add(share.shard() as u64));
        let loss = 1 + random.below(u64::MAX);
        let cx = Cx {
            now,
            store,
            disk,
            thresholds: options.thresholds,
            movable: 0,
            peers: crate::peers::PeerTable::default(),
            random,
            out: Output::default(),
            wal: flotilla_disk::WalBatch::new(),
            queued: 0,
            after: Vec::new(),
            applied: flotilla_stream::Applied::default(),
            consumer_applied: flotilla_stream::ConsumerApplied::default(),
        };
        Self {
            options,
            share,
            replicas: Replicas::default(),
            cx,
            store_file,
            durable: record.created.clone(),
            created: record.created,
            beginning: BTreeSet::new(),
            dirty: BTreeSet::new(),
            settled: BTreeSet::new(),
            awake: awake::Awake::new(now.mono),
            queues: BTreeMap::new(),
            tickets: VecDeque::new(),
            next_ticket: 1,
            next_digest: now.mono,
            next_sweep: now.mono,
            timers: Timers::default(),
            files: files::Files::default(),
            early: BTreeMap::new(),
            catchup: BTreeMap::new(),
            own_calls: BTreeMap::new(),
            next_call: 1,
            known: Known::default(),
            changed: BTreeSet::new(),
            waiting: BTreeSet::new(),
            ending: BTreeSet::new(),
            unconfirmed: false,
            meta_current_at: None,
            destroyed: Vec::new(),
            ended: BTreeMap::new(),
            unkept: BTreeSet::new(),
            mending: BTreeMap::new(),
            repairs_of: BTreeMap::new(),
            scrubber: repair::Scrubber::default(),
            forgetful: None,
            given: None,
            loss,
            damages: 0,
            repairs: 0,
            scrubbed: 0,
            reconcile_all: false,
            disowned: ReplicaId::NONE,
        }
    }
}
