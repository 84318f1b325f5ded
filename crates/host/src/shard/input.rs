//! What comes into a turn.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_disk::{DiskError, Room};
use flotilla_raft::{GroupId, StoreId};

use crate::consumer::ConsumerInput;
use crate::liveness::Behind;
use crate::request::{Answer, CallId, Request};
use crate::standings::Standings;
use crate::stream::Inbound;
use crate::turn::WalTicket;

/// One thing that happened since the last turn.
#[derive(Clone, Debug)]
pub enum Input {
    /// A frame of a peer's shard.
    Bundle {
        /// From which store.
        from: StoreId,
        /// The frame.
        frame: Bytes,
    },
    /// The WAL batches up to this one are on stable storage.
    Persisted(WalTicket),
    /// The WAL wants these groups to move forward.
    Pressure {
        /// Which groups.
        groups: Arc<[GroupId]>,
        /// How many bytes of entries each may write again for it.
        movable: u64,
    },
    /// How much room a store has on its disk: this one, as its log found it, or another one, as its server says. It comes
    /// when that has changed; of this store also now and then while it has too little.
    Room {
        /// Which store.
        store: StoreId,
        /// How much.
        room: Room,
    },
    /// A peer knows that the log, as this life of the store opened it, is not what it was.
    Behind {
        /// Who says so.
        by: StoreId,
        /// What it says.
        behind: Behind,
    },
    /// A job on a stream's files ended.
    Flushed {
        /// The stream's group.
        group: GroupId,
        /// Which job.
        job: u64,
        /// How: when it is done, what it wrote is on stable storage.
        result: Result<(), DiskError>,
    },
    /// Messages for a stream.
    Publish {
        /// The stream's group.
        group: GroupId,
        /// The messages, in the order in which they came.
        messages: Inbound,
    },
    /// Pull requests and acknowledgements for a consumer.
    Consumer {
        /// The consumer's group.
        group: GroupId,
        /// What came, in the order in which it came.
        inputs: Vec<ConsumerInput>,
    },
    /// What meta decided. A shard takes what is in its share.
    Standings(Arc<Standings>),
    /// A request to a group.
    Call {
        /// Who asked.
        id: CallId,
        /// Whom.
        group: GroupId,
        /// What.
        request: Request,
    },
    /// The answer to a call that the shard made ([`Output::calls`](crate::Output)); `None` when nobody answered.
    Answered(CallId, Option<Answer>),
    /// A server was heard, in the life that `boot` names.
    Heard {
        /// Its store.
        store: StoreId,
        /// Its life.
        boot: u64,
    },
    /// A server is taken for dead.
    Died(StoreId),
    /// The link to a server was reset: what was on its way is lost.
    LinkReset(StoreId),
    /// This store belongs to a cluster now: as the founder of its meta group, or with a replica that its leader
    /// gave it.
    Join(Join),
    /// What the bootstrap's acceptor promises is to be kept; answered when it is on stable storage.
    KeepBootstrap {
        /// Who waits.
        id: CallId,
        /// What to keep.
        state: Bytes,
    },
    /// The server leaves on purpose: hand over what it leads.
    HandOver,
}

/// For which of a server's shards an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressee {
    /// For the one that drives this group.
    Group(GroupId),
    /// For those that [drive groups in the frame](crate::addressed).
    Frame,
    /// For every one.
    All,
    /// For the one whose own doing it is the end of.
    Doer,
}

impl Input {
    /// For whom it is.
    #[must_use]
    pub fn addressee(&self) -> Addressee {
        match self {
            Self::Publish { group, .. }
            | Self::Consumer { group, .. }
            | Self::Call { group, .. }
            | Self::Flushed { group, .. } => Addressee::Group(*group),
            Self::Join(_) | Self::KeepBootstrap { .. } | Self::Behind { .. } => {
                Addressee::Group(GroupId::META)
            }
            Self::Bundle { .. } => Addressee::Frame,
            Self::Heard { .. }
            | Self::Died(_)
            | Self::LinkReset(_)
            | Self::HandOver
            | Self::Pressure { .. }
            | Self::Room { .. }
            | Self::Standings(_) => Addressee::All,
            Self::Persisted(_) | Self::Answered(..) => Addressee::Doer,
        }
    }
}

/// How a store enters a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The cluster's id.
    pub cluster: u64,
    /// This store's replica of the meta group.
    pub replica: flotilla_raft::ReplicaId,
    /// The configuration that the meta group began with.
    pub founding: flotilla_raft::Membership,
}
