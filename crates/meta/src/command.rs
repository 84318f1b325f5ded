//! The commands of the meta log. Whatever needs a view of who is online (placement, replacements,
//! limits of an account) is decided by the meta leader and carried in the command; apply validates
//! it against the state and allocates ids, alike on every server.

use flotilla_raft::{GroupId, ReplicaId, StoreId};
use flotilla_stream::{ConsumerConfig, StreamConfig, Timestamp};
use serde::{Deserialize, Serialize};

use crate::asset::Reported;
use crate::codec::{self, DamagedCommand};
use crate::server::PeerLimits;

/// What a server says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Its store.
    pub store: StoreId,
    /// `server_name`.
    pub name: String,
    /// `cluster.name`.
    pub cluster: String,
    /// `server_tags`.
    pub tags: Vec<String>,
    /// What may be put on it.
    pub limits: PeerLimits,
}

/// One place in a group that is to be desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seat {
    /// A replica that is desired now, or still part of the actual configuration, stays.
    Keep(ReplicaId),
    /// A new replica on this store; apply allocates its id.
    Fresh(StoreId),
}

/// New desired members for one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatChange {
    /// The group.
    pub group: GroupId,
    /// The epoch that the plan was made from; another one makes the change stale.
    pub epoch: u64,
    /// All members from now on.
    pub seats: Vec<Seat>,
    /// Who should lead from now on; `None` leaves it.
    pub preferred: Option<StoreId>,
    /// Whether a replica is dropped because it is lost. Only such a change may overtake one that is
    /// not reported yet: a dead newcomer would otherwise block its group for ever.
    pub repair: bool,
}

/// `action` of a consumer create request (ADR-42, API code 10148 and 10149).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConsumerAction {
    /// Create or update, whichever fits.
    CreateOrUpdate,
    /// Must not exist, unless with the same configuration.
    Create,
    /// Must exist.
    Update,
}

/// A record of before it was said.
fn whatever_was_given() -> ReplicaId {
    ReplicaId(u64::MAX)
}

/// One entry of the meta log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// A server joined. A known store updates its entry; a new store under a member's name takes
    /// over from it, and the old store's replicas count as lost.
    RegisterServer {
        /// Who.
        info: ServerInfo,
        /// Whether a removed store may come back as a new member. True once, after the process
        /// started.
        rejoin: bool,
    },
    /// The replica of the meta group that a member had is lost: it gets a new one, under a new id.
    RenewReplica {
        /// Whose.
        store: StoreId,
        /// Names the loss, so that a request that comes twice gives one replica; never 0.
        loss: u64,
        /// The last id that was given away when it was asked for: a store that was given a later one since relies on that,
        /// or asks again.
        #[serde(default = "whatever_was_given")]
        after: ReplicaId,
    },
    /// A member's tags, limits or name changed.
    UpdateServer {
        /// The new values.
        info: ServerInfo,
    },
    /// An operator removed a server. Its replicas count as lost; [`heal`](crate::heal) plans their
    /// replacement.
    RemoveServer {
        /// Who.
        store: StoreId,
    },
    /// Creates a stream, or finds it with the same configuration.
    CreateStream {
        /// The account.
        account: String,
        /// The configuration, validated and with defaults filled in.
        config: StreamConfig,
        /// One store per replica.
        stores: Vec<StoreId>,
        /// Which of them should lead first.
        preferred: StoreId,
        /// The account's limit of streams.
        max_streams: Option<u64>,
    },
    /// Changes a stream's configuration, and with the replica count or placement its members.
    UpdateStream {
        /// The account.
        account: String,
        /// The whole new configuration.
        config: StreamConfig,
        /// The changes of members that it needs: of the stream and of its consumers.
        changes: Vec<SeatChange>,
    },
    /// Deletes a stream and its consumers.
    DeleteStream {
        /// The account.
        account: String,
        /// Its name.
        stream: String,
        /// Only this life of it; `None` whoever bears the name.
        group: Option<GroupId>,
    },
    /// Creates a consumer, finds it with the same configuration, or updates it.
    CreateConsumer {
        /// The account.
        account: String,
        /// The stream.
        stream: String,
        /// The configuration, validated and with defaults filled in.
        config: ConsumerConfig,
        /// What the client allows.
        action: ConsumerAction,
        /// Stores of the stream, one per replica.
        stores: Vec<StoreId>,
        /// Which of them should lead first.
        preferred: StoreId,
        /// The account's limit of consumers per stream.
        max_consumers: Option<u64>,
    },
    /// Changes a consumer's configuration, and with the replica count its members.
    UpdateConsumer {
        /// The account.
        account: String,
        /// The stream.
        stream: String,
        /// The whole new configuration.
        config: ConsumerConfig,
        /// The change of members that it needs.
        change: Option<SeatChange>,
    },
    /// Deletes a consumer.
    DeleteConsumer {
        /// The account.
        account: String,
        /// The stream.
        stream: String,
        /// Its name.
        consumer: String,
        /// Only this life of it; `None` whoever bears the name.
        group: Option<GroupId>,
    },
    /// Changes who should be a member, in several groups at once or in none.
    SetMembers {
        /// The changes.
        changes: Vec<SeatChange>,
    },
    /// Begins an asset anew and empty, under a new incarnation and group: a memory asset whose
    /// majority restarted, or one replica's asset whose peer was removed. A
    /// stream takes its consumers along.
    Recreate {
        /// The group that ends.
        group: GroupId,
        /// One store per replica of the new one.
        stores: Vec<StoreId>,
        /// Which of them should lead first.
        preferred: StoreId,
    },
    /// The leader of an asset's group reports its committed configuration. It must have confirmed
    /// its leadership (by a read index of that group) after its server's meta applied the epoch
    /// that it names.
    ReportMembers {
        /// The group.
        group: GroupId,
        /// What it reports.
        report: Reported,
    },
    /// A store destroyed these replicas, or never had them, durably.
    ConfirmDestroyed {
        /// The store.
        store: StoreId,
        /// Which replicas of which groups.
        replicas: Vec<(GroupId, ReplicaId)>,
    },
}

#[derive(Serialize)]
struct StampedRef<'a> {
    time: Timestamp,
    command: &'a Command,
}

#[derive(Deserialize)]
struct Stamped {
    time: Timestamp,
    command: Command,
}

impl Command {
    /// The data of the entry that carries this command, stamped by the leader that proposes it.
    #[must_use]
    pub fn encode(&self, time: Timestamp) -> Vec<u8> {
        codec::encode(&StampedRef { time, command: self })
    }

    /// The command in an entry's data, and the time that its leader stamped.
    ///
    /// # Errors
    /// [`DamagedCommand`] when this build did not write it, nor could have.
    pub fn decode(bytes: &[u8]) -> Result<(Timestamp, Self), DamagedCommand> {
        let Stamped { time, command } = codec::decode("meta command", bytes)?;
        Ok((time, command))
    }
}
