//! One turn: what it is given, and everything it leaves for others to do.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_disk::{Disk, SegmentJob, WalBatch};
use flotilla_raft::{GroupId, Message, ReplicaId, StoreId};

use crate::bundle::{Bundle, Say};
use crate::meta::MetaFeed;
use crate::notice::Notice;
use crate::peers::PeerTable;
use crate::random::Random;
use crate::request::{Answer, CallId, Request};
use crate::standings::Standings;
use crate::thresholds::Thresholds;
use crate::time::Now;

/// Names the WAL batch of one turn. Batches of one shard reach stable storage in the order of their tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalTicket(pub u64);

/// A message for whoever has interest in its subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// In which account.
    pub account: Arc<str>,
    /// To whoever listens to this subject.
    pub to: Bytes,
    /// The subject that the receiver sees, if it is another one: of a delivery, the one it was published on.
    pub subject: Option<Bytes>,
    /// Where an answer is expected.
    pub reply: Option<Bytes>,
    /// A header block, or nothing.
    pub headers: Bytes,
    /// The payload.
    pub payload: Bytes,
}

impl Publish {
    /// An answer to whoever listens to `to`.
    pub(crate) fn answer(account: Arc<str>, to: Bytes, payload: Bytes) -> Self {
        Self { account, to, subject: None, reply: None, headers: Bytes::new(), payload }
    }
}

/// A group changed hands, as far as this server is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leading {
    /// Which group.
    pub group: GroupId,
    /// In which term.
    pub term: u64,
    /// Whether the replica here leads it now, and serves.
    pub leads: bool,
}

/// Everything that one turn leaves to be done. The order of the fields is no order of work: nothing here depends
/// on anything else here, but for what [`WalTicket`]s hold back inside the shard.
#[derive(Debug, Default)]
pub struct Output {
    /// To be written and synced; the shard is told with [`Input::Persisted`](crate::Input::Persisted).
    pub wal: Option<(WalTicket, WalBatch)>,
    /// To be sent, one frame per peer.
    pub bundles: BTreeMap<StoreId, Bundle>,
    /// To be sent on the bulk lane, so that it never stands before an append.
    pub bulk: BTreeMap<StoreId, Bundle>,
    /// To be routed.
    pub publishes: Vec<Publish>,
    /// To be given to whoever called.
    pub answers: Vec<(CallId, Answer)>,
    /// To be asked of the leader of a group, wherever it is; the answer comes back with the same number.
    pub calls: Vec<(CallId, GroupId, Request)>,
    /// Work on streams' files, to be done in the background; those of one stream in this order. The shard is told with
    /// [`Input::Flushed`](crate::Input::Flushed).
    pub jobs: Vec<SegmentJob>,
    /// Groups whose configuration meta changed, or that it ended.
    pub reconfigured: Vec<GroupId>,
    /// What meta decided for this store: to be said to all of its shards, this one too, with
    /// [`Input::Standings`](crate::Input::Standings).
    pub standings: Option<Arc<Standings>>,
    /// To be told to all servers.
    pub leading: Vec<Leading>,
    /// What a copy of the meta machine is fed with.
    pub meta: Vec<MetaFeed>,
    /// To be logged.
    pub notices: Vec<Notice>,
    /// What this server knows about itself cannot be written any more. It must end, as when its log fails: a disk on which a
    /// sync failed proves nothing to this process any more.
    pub fatal: Option<String>,
}

/// What a replica needs while it is driven, and where it leaves what is to be done.
pub(crate) struct Cx {
    pub(crate) now: Now,
    pub(crate) store: StoreId,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) thresholds: Thresholds,
    /// How many bytes of entries a group may write again when the log asks it to let go.
    pub(crate) movable: u64,
    pub(crate) peers: PeerTable,
    pub(crate) random: Random,
    pub(crate) out: Output,
    pub(crate) wal: WalBatch,
    /// Bytes of messages in the queues of all streams, as of the end of the last turn.
    pub(crate) queued: usize,
    /// What waits for this turn's batch to be synced.
    pub(crate) after: Vec<After>,
    /// What the last entry of a stream did, whichever stream that was: kept for its memory.
    pub(crate) applied: flotilla_stream::Applied,
    /// The same of a consumer.
    pub(crate) consumer_applied: flotilla_stream::ConsumerApplied,
}

/// What waits for a WAL batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// A unit of a group's work.
    Unit { group: GroupId, number: u64 },
    /// A new base.
    Base { group: GroupId, index: u64 },
    /// A state that a peer gave.
    Install { group: GroupId },
    /// The log of a replica that is whole again.
    Mended { group: GroupId },
    /// That a replica has forgotten what it promised.
    Lost { group: GroupId, replica: ReplicaId },
    /// The creation of a replica.
    Create { group: GroupId, replica: ReplicaId },
    /// The end of a replica: its files may go.
    Destroy { group: GroupId, replica: ReplicaId },
}

impl Cx {
    /// Puts something on the way to a store.
    pub(crate) fn say(&mut self, to: StoreId, group: GroupId, say: &Say) {
        let lanes = match say {
            Say::Piece(_) => &mut self.out.bulk,
            _ => &mut self.out.bundles,
        };
        lanes.entry(to).or_default().push(group, say);
    }

    pub(crate) fn raft(&mut self, to: StoreId, group: GroupId, message: Message) {
        self.say(to, group, &Say::Raft(message));
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.out.notices.push(notice);
    }
}
