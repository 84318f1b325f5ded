//! What must hold, whatever happens: one file for each, by the numbers of `docs/testing.md`.

mod i01_acknowledged_is_kept;
mod i02_nothing_is_made_up;
mod i03_one_sequence_one_message;
mod i04_replicas_agree;
mod i05_raft;
mod i06_consumers;
mod i08_duplicates;
mod i09_leader_reads;
mod i10_meta_and_disks;
mod i13_bounds;
mod i14_honest_stops;
mod i15_damage_is_repaired;
mod i18_time;

use std::collections::{BTreeMap, BTreeSet};

use flotilla_disk::Pin;
use flotilla_host::{ReplicaView, StoredMessage, Totals};
use flotilla_meta::Meta;
use flotilla_raft::{GroupId, ReplicaId, StoreId};
use flotilla_stream::Timestamp;

use crate::history::History;

/// Something that an invariant may have to do with.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A client was told that its message is stored.
    Stored {
        /// Which publication.
        id: u64,
        /// Where.
        seq: u64,
        /// Whether it was there already.
        duplicate: bool,
    },
    /// A consumer delivered a message.
    Delivered {
        /// The consumer.
        consumer: GroupId,
        /// The message's sequence.
        seq: u64,
        /// How often it was delivered, as the delivery says.
        deliveries: u64,
        /// Its payload.
        payload: &'a [u8],
        /// Whether who delivered it had a successor already: it stood still, say, between the decision and this.
        late: bool,
    },
    /// A stream's leader said how far the stream is.
    LastSeq {
        /// The stream.
        stream: GroupId,
        /// The greatest sequence that anybody had been told of when it was asked.
        known: u64,
        /// What it said.
        last_seq: u64,
    },
    /// A consumer's leader said how far it is.
    Floor {
        /// The consumer.
        consumer: GroupId,
        /// The greatest floor that anybody had been told of when it was asked.
        known: u64,
        /// What it said.
        floor: u64,
    },
    /// A replica after a turn of its shard.
    Replica {
        /// Where.
        store: StoreId,
        /// In which life of the server.
        boot: u64,
        /// How it stands.
        view: &'a ReplicaView<'a>,
        /// The latest time of day that any clock could have shown by now.
        latest: Timestamp,
    },
    /// A server's log after a turn.
    Log {
        /// Where.
        store: StoreId,
        /// Bytes in files that are in use.
        used: u64,
        /// The size that the log should not pass.
        cap: u64,
        /// If it did, whom it waits for.
        pins: &'a [Pin],
    },
    /// A server after a turn.
    Server {
        /// Where.
        store: StoreId,
        /// What its shards hold.
        totals: &'a Totals,
        /// Whether something of its disk was damaged.
        hurt: bool,
    },
    /// Everything has come to rest.
    Final(&'a Final),
}

/// The cluster at rest.
#[derive(Debug)]
pub struct Final {
    /// What the meta group's leader knows.
    pub meta: Meta,
    /// The messages of each stream's replicas, by store; without those that are beyond repair.
    pub streams: BTreeMap<GroupId, BTreeMap<StoreId, Messages>>,
    /// The replicas on each store.
    pub replicas: BTreeMap<StoreId, BTreeMap<GroupId, ReplicaId>>,
    /// The names in each store's directory of streams.
    pub folders: BTreeMap<StoreId, Vec<String>>,
    /// What logs that were damaged, and forgot its end, brought back: it is kept in quarantine.
    pub kept: BTreeMap<StoreId, BTreeSet<GroupId>>,
    /// Groups of which so much was damaged that nobody could repair it, and that say so: they have no leader.
    pub beyond_repair: BTreeSet<GroupId>,
}

/// A stream as one replica has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Messages {
    /// The greatest sequence given out.
    pub last_seq: u64,
    /// The messages, by sequence.
    pub messages: BTreeMap<u64, StoredMessage>,
    /// Sequences that the index has and that cannot be read.
    pub unreadable: Vec<u64>,
}

/// One thing that must hold.
pub trait Invariant {
    /// Its number and what it says.
    fn name(&self) -> &'static str;

    /// Looks at something.
    ///
    /// # Errors
    /// It does not hold; in words.
    fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), String>;
}

/// An invariant that does not hold.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

/// All invariants.
pub struct Invariants(Vec<Box<dyn Invariant>>);

impl Default for Invariants {
    fn default() -> Self {
        Self(vec![
            Box::new(i01_acknowledged_is_kept::AcknowledgedIsKept),
            Box::new(i02_nothing_is_made_up::NothingIsMadeUp),
            Box::new(i03_one_sequence_one_message::OneSequenceOneMessage::default()),
            Box::new(i04_replicas_agree::ReplicasAgree::default()),
            Box::new(i05_raft::Raft::default()),
            Box::new(i06_consumers::Consumers),
            Box::new(i08_duplicates::Duplicates::default()),
            Box::new(i09_leader_reads::LeaderReads),
            Box::new(i10_meta_and_disks::MetaAndDisks),
            Box::new(i13_bounds::Bounds),
            Box::new(i14_honest_stops::HonestStops),
            Box::new(i15_damage_is_repaired::DamageIsRepaired),
            Box::new(i18_time::Time),
        ])
    }
}

impl Invariants {
    /// Shows something to all of them.
    ///
    /// # Errors
    /// The first that does not hold.
    pub fn see(&mut self, history: &History, seen: &Seen<'_>) -> Result<(), Violation> {
        self.0.iter_mut().try_for_each(|invariant| {
            invariant
                .see(history, seen)
                .map_err(|what| Violation { invariant: invariant.name(), what })
        })
    }
}
