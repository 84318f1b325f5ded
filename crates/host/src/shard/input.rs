//! What comes into a turn.

use bytes::Bytes;
use flotilla_disk::DiskError;
use flotilla_raft::{GroupId, StoreId};

use crate::consumer::ConsumerInput;
use crate::request::{Answer, CallId, Request};
use crate::stream::Inbound;
use crate::turn::WalTicket;

/// One thing that happened since the last turn.
#[derive(Debug)]
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
    Pressure(Vec<GroupId>),
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
        messages: Vec<Inbound>,
    },
    /// Pull requests and acknowledgements for a consumer.
    Consumer {
        /// The consumer's group.
        group: GroupId,
        /// What came, in the order in which it came.
        inputs: Vec<ConsumerInput>,
    },
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
