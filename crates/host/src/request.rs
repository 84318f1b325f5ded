//! What may be asked of a group's leader, and what it answers. The JetStream API is carried out with these; they
//! cross servers as JSON, because they are few and are read by people when something is wrong.

use bytes::Bytes;
use flotilla_jsapi::ApiError;
use flotilla_meta::{ConsumerAction, Reported, ServerInfo};
use flotilla_raft::{GroupId, Membership, ReplicaId, StoreId};
use flotilla_stream::{ConsumerConfig, StreamConfig, Timestamp};
use serde::{Deserialize, Serialize};

/// Numbers a call within the server that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub u64);

/// A request on its way to the group that answers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Who asked.
    pub id: CallId,
    /// What.
    pub request: Request,
}

/// What may be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Of the meta group.
    Meta(MetaRequest),
    /// Of a stream.
    Stream(StreamRequest),
    /// Of a consumer.
    Consumer(ConsumerRequest),
}

/// What may be asked of the meta group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetaRequest {
    /// How far must a server have applied the meta log, to answer from its own copy what the leader would?
    Barrier,
    /// Up to which one were the ids of replicas given away?
    Ids,
    /// A server wants to belong to the cluster.
    Register {
        /// Who.
        info: ServerInfo,
        /// Whether a removed store may come back.
        rejoin: bool,
    },
    /// A member's replica of the meta group is lost, and it needs a new one.
    Renew {
        /// The member.
        store: StoreId,
        /// Names the loss, so that asking again gives the same replica.
        loss: u64,
        /// Up to which one ids were given away before.
        after: ReplicaId,
    },
    /// Replicas on a store are lost: they have forgotten what they promised, and need successors.
    ReportLost {
        /// Which replicas of which groups.
        replicas: Vec<(GroupId, ReplicaId)>,
    },
    /// Creates a stream, or finds it.
    CreateStream {
        /// The account.
        account: String,
        /// Its configuration.
        config: Box<StreamConfig>,
        /// How many streams the account may have.
        max_streams: Option<u64>,
    },
    /// Changes a stream's configuration.
    UpdateStream {
        /// The account.
        account: String,
        /// The whole new configuration.
        config: Box<StreamConfig>,
    },
    /// Deletes a stream.
    DeleteStream {
        /// The account.
        account: String,
        /// Its name.
        stream: String,
    },
    /// Creates, finds or updates a consumer.
    CreateConsumer {
        /// The account.
        account: String,
        /// The stream.
        stream: String,
        /// Its configuration.
        config: Box<ConsumerConfig>,
        /// What the client allows.
        action: ConsumerAction,
        /// How many consumers a stream of the account may have.
        max_consumers: Option<u64>,
    },
    /// Deletes a consumer.
    DeleteConsumer {
        /// The account.
        account: String,
        /// The stream.
        stream: String,
        /// Its name.
        consumer: String,
        /// If given, this one and no other that has come under its name.
        group: Option<GroupId>,
    },
    /// Takes a stream's replica, and those of its consumers, away from a server, and puts them elsewhere.
    RemovePeer {
        /// The account.
        account: String,
        /// The stream.
        stream: String,
        /// The server.
        store: StoreId,
    },
    /// Takes a server out of the cluster.
    RemoveServer {
        /// The server.
        store: StoreId,
    },
    /// Hands over the leadership of the meta group.
    StepDown {
        /// To which server; `None` leaves the choice to the leader.
        preferred: Option<StoreId>,
    },
    /// An asset's leader reports its committed configuration.
    Report {
        /// The asset's group.
        group: GroupId,
        /// What it reports.
        report: Reported,
    },
    /// A store has destroyed these replicas.
    ConfirmDestroyed {
        /// The store.
        store: StoreId,
        /// Which replicas of which groups.
        replicas: Vec<(GroupId, ReplicaId)>,
    },
    /// Who belongs to the meta group, and how far each is.
    Info,
}

/// What may be asked of a stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum StreamRequest {
    /// How far must a replica have applied the stream's log, to know all that is committed now?
    Barrier,
    /// Its state.
    Info {
        /// Whether to list the sequences that have no message.
        deleted_details: bool,
        /// Which subjects to count.
        subjects_filter: Option<String>,
        /// How many of these subjects to skip.
        offset: u64,
    },
    /// One message.
    Get(Get),
    /// Removes one message.
    Delete {
        /// Its sequence.
        seq: u64,
        /// Whether its bytes are overwritten.
        erase: bool,
    },
    /// Removes messages.
    Purge {
        /// Only those on matching subjects.
        filter: Option<String>,
        /// Only those below this sequence.
        up_to: Option<u64>,
        /// All but this many of the newest.
        keep: Option<u64>,
    },
    /// Hands over leadership.
    StepDown {
        /// To which server; `None` leaves the choice to the leader.
        preferred: Option<StoreId>,
    },
}

/// Which message is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Get {
    /// The one with this sequence.
    Seq(u64),
    /// The last one on a subject.
    LastBySubject(String),
    /// The first one at or after a sequence, on a subject.
    NextBySubject {
        /// The subject, wildcards allowed.
        subject: String,
        /// Where to begin.
        seq: u64,
    },
}

/// What may be asked of a consumer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ConsumerRequest {
    /// How far must a replica have applied the consumer's log, to know all that is committed now?
    Barrier,
    /// Its state.
    Info,
    /// Hands over leadership.
    StepDown {
        /// To which server; `None` leaves the choice to the leader.
        preferred: Option<StoreId>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// This server does not lead the group; ask again, elsewhere.
    NotLeader,
    /// What was asked for cannot be done.
    Error(ApiError),
    /// Done.
    Done,
    /// See [`MetaRequest::Barrier`].
    Applied(u64),
    /// The highest id of a replica that was given away.
    Ids(ReplicaId),
    /// The server belongs to the cluster.
    Registered {
        /// The cluster.
        cluster: u64,
        /// Its replica of the meta group.
        replica: ReplicaId,
        /// The configuration that the meta group began with.
        founding: Membership,
    },
    /// The asset is there, with this group; `created` tells whether it is new.
    Asset {
        /// Its group.
        group: GroupId,
        /// Whether this request made it.
        created: bool,
        /// The index of the meta log that a server must have applied to know it.
        index: u64,
    },
    /// A stream's state.
    Stream(Box<StreamAnswer>),
    /// A consumer's state.
    Consumer(Box<ConsumerAnswer>),
    /// One message.
    Message(StoredMessage),
    /// How many messages were purged.
    Purged(u64),
    /// Who belongs to a group.
    Cluster(ClusterAnswer),
}

/// What a stream says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamAnswer {
    /// Its configuration, as applied.
    pub config: StreamConfig,
    /// When it was created.
    pub created: Timestamp,
    /// How many messages.
    pub messages: u64,
    /// How many bytes.
    pub bytes: u64,
    /// The first sequence.
    pub first_seq: u64,
    /// When it was stored.
    pub first_time: Option<Timestamp>,
    /// The last sequence.
    pub last_seq: u64,
    /// When it was stored.
    pub last_time: Option<Timestamp>,
    /// How many subjects.
    pub num_subjects: u64,
    /// How many sequences have no message.
    pub num_deleted: u64,
    /// Which, if asked for.
    pub deleted: Option<Vec<u64>>,
    /// The subjects asked for, with their counts, and how many there are in all.
    pub subjects: Option<(Vec<(String, u64)>, u64)>,
    /// Who holds it.
    pub cluster: ClusterAnswer,
}

/// What a consumer says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConsumerAnswer {
    /// Its configuration, as applied.
    pub config: ConsumerConfig,
    /// When it was created.
    pub created: Timestamp,
    /// The last delivery: consumer sequence, stream sequence, when.
    pub delivered: (u64, u64, Option<Timestamp>),
    /// Everything up to here is acknowledged: consumer sequence, stream sequence, when.
    pub ack_floor: (u64, u64, Option<Timestamp>),
    /// Deliveries that wait for an acknowledgement.
    pub num_ack_pending: u64,
    /// Messages delivered more than once and not yet acknowledged.
    pub num_redelivered: u64,
    /// Pull requests that wait.
    pub num_waiting: u64,
    /// Messages not yet delivered.
    pub num_pending: u64,
    /// Who holds it.
    pub cluster: ClusterAnswer,
}

/// Who holds a group, as one member knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAnswer {
    /// The group.
    pub group: GroupId,
    /// Who leads; nobody during an election.
    pub leader: Option<StoreId>,
    /// Since when the leader serves, if it is the one that answers.
    pub leader_since: Option<Timestamp>,
    /// All members but the leader.
    pub members: Vec<MemberAnswer>,
}

/// One member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberAnswer {
    /// Where it lives.
    pub store: StoreId,
    /// Whether it has all that is committed, as far as the one that answers knows.
    pub current: bool,
    /// Whether its server is known to be dead.
    pub offline: bool,
    /// How many entries it is behind.
    pub lag: u64,
    /// Nanoseconds since its server was last heard.
    pub active: u64,
}

/// One message as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub seq: u64,
    /// When it was stored.
    pub time: Timestamp,
    /// Its headers.
    pub headers: Bytes,
    /// Its payload.
    pub payload: Bytes,
    /// The stream's last sequence when it was read.
    pub last_seq: u64,
}
