//! A meta machine to play with in tests.

use std::borrow::Borrow;

use flotilla_raft::{GroupId, ReplicaId, StoreId};
use flotilla_stream::{ConsumerConfig, StreamConfig, Timestamp};

use crate::asset::{AssetGroup, Reported, StreamAsset};
use crate::command::{Command, ConsumerAction, Seat, SeatChange, ServerInfo};
use crate::error::MetaError;
use crate::machine::{AssetRef, Meta, Outcome, Reply};
use crate::placement::{Fleet, Peer};
use crate::server::{ClusterId, PeerLimits};

pub(crate) const ACCOUNT: &str = "A";

/// What has a default is left out, as in a record of an older version.
pub(crate) fn stream_config(name: &str, subjects: &[&str], replicas: u8) -> StreamConfig {
    let config = serde_json::json!({
        "name": name,
        "subjects": subjects,
        "retention": "Limits",
        "discard": "Old",
        "storage": "File",
        "replicas": replicas,
        "duplicate_window": 0,
    });
    serde_json::from_value(config).unwrap()
}

pub(crate) fn consumer_config(name: &str, replicas: u8) -> ConsumerConfig {
    let config = serde_json::json!({
        "name": name,
        "durable": true,
        "deliver": "All",
        "ack": "Explicit",
        "ack_wait": 30_000_000_000_u64,
        "max_waiting": 512,
        "replicas": replicas,
    });
    serde_json::from_value(config).unwrap()
}

pub(crate) fn stores(numbers: &[u64]) -> Vec<StoreId> {
    numbers.iter().map(|n| StoreId(*n)).collect()
}

pub(crate) fn server(store: u64, name: &str) -> ServerInfo {
    ServerInfo {
        store: StoreId(store),
        name: name.to_owned(),
        cluster: "C1".to_owned(),
        tags: vec![],
        limits: PeerLimits { jetstream: true, ..PeerLimits::default() },
    }
}

/// What a meta leader knows of servers `1..=count`, all online but `offline`.
pub(crate) fn peers(count: u64, offline: &[u64]) -> Vec<Peer> {
    let peer = |n| Peer {
        store: StoreId(n),
        name: format!("n{n}"),
        cluster: "C1".to_owned(),
        tags: vec![],
        jetstream: true,
        online: !offline.contains(&n),
        has_room: true,
        file_available: None,
        memory_available: None,
        assets: 0,
        ha_assets: 0,
        max_ha_assets: None,
        leaders: 0,
    };
    (1..=count).map(peer).collect()
}

pub(crate) fn fleet(peers: &[Peer]) -> Fleet<'_> {
    Fleet { peers, unique_tag: None, seed: 1 }
}

/// A machine and the entries that it applied.
pub(crate) struct Log {
    pub(crate) meta: Meta,
    pub(crate) entries: Vec<Vec<u8>>,
}

impl Log {
    /// Servers `n1` to `n{count}` on the stores of these numbers; the first one founded the
    /// cluster.
    pub(crate) fn new(count: u64) -> Self {
        let mut log = Self { meta: Meta::found(ClusterId(7), StoreId(1)), entries: vec![] };
        for n in 1..=count {
            log.ok(Command::RegisterServer { info: server(n, &format!("n{n}")), rejoin: false });
        }
        log
    }

    pub(crate) fn commit(&mut self, command: &Command) -> Outcome {
        let entry = command.encode(Timestamp(1_000 + self.entries.len() as i64));
        let outcome = self.meta.apply(&entry).unwrap();
        // What is derived follows every command.
        assert!(Meta::restore(&self.meta.base()).unwrap() == self.meta, "after {command:?}");
        self.entries.push(entry);
        outcome
    }

    pub(crate) fn ok(&mut self, command: impl Borrow<Command>) -> Reply {
        let command = command.borrow();
        match self.commit(command).reply {
            Reply::Error(error) => panic!("{command:?}: {error}"),
            reply => reply,
        }
    }

    pub(crate) fn refused(&mut self, command: impl Borrow<Command>) -> MetaError {
        let command = command.borrow();
        let before = self.meta.base();
        match self.commit(command).reply {
            Reply::Error(error) => {
                let unchanged = |meta: &Meta| {
                    (meta.servers().cloned().collect::<Vec<_>>(), meta.tombstones().clone())
                };
                let before = Meta::restore(&before).unwrap();
                assert_eq!(unchanged(&before), unchanged(&self.meta));
                assert!(before.groups().map(|(_, a)| a.group().clone()).eq(self.groups().cloned()));
                error
            }
            reply => panic!("{command:?} was not refused: {reply:?}"),
        }
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &AssetGroup> {
        self.meta.groups().map(|(_, a)| a.group())
    }

    pub(crate) fn stream(&mut self, config: StreamConfig, on: &[u64]) -> AssetRef {
        match self.ok(create_stream(config, on)) {
            Reply::Created(created) => created,
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) fn consumer(
        &mut self,
        stream: &str,
        config: ConsumerConfig,
        on: &[u64],
    ) -> AssetRef {
        match self.ok(create_consumer(stream, config, on)) {
            Reply::Created(created) => created,
            reply => panic!("{reply:?}"),
        }
    }

    pub(crate) fn asset(&self, stream: &str) -> &StreamAsset {
        self.meta.stream(ACCOUNT, stream).unwrap()
    }

    pub(crate) fn group(&self, group: GroupId) -> &AssetGroup {
        self.meta.asset(group).unwrap().group()
    }

    /// The stores that a group should be on.
    pub(crate) fn on(&self, group: GroupId) -> Vec<u64> {
        let mut on: Vec<_> = self.group(group).stores().map(|s| s.0).collect();
        on.sort_unstable();
        on
    }

    /// The group's leader carries out what is desired, and reports it.
    pub(crate) fn settle(&mut self, id: GroupId) {
        let group = self.group(id);
        let membership =
            AssetGroup::found(id, group.incarnation, group.desired.clone(), group.preferred);
        let membership = membership.founding_membership();
        let report = Reported { membership, index: group.actual.index + 10, epoch: group.epoch };
        self.ok(Command::ReportMembers { group: id, report });
    }

    pub(crate) fn settle_all(&mut self) {
        for id in self.groups().map(|g| g.id).collect::<Vec<_>>() {
            self.settle(id);
        }
    }

    /// A change to these seats, at the group's present epoch.
    pub(crate) fn change(&self, group: GroupId, seats: Vec<Seat>) -> SeatChange {
        let epoch = self.group(group).epoch;
        SeatChange { group, epoch, seats, preferred: None, repair: false }
    }

    pub(crate) fn replica_on(&self, group: GroupId, store: u64) -> ReplicaId {
        self.group(group).member_on(StoreId(store)).unwrap().replica
    }
}

pub(crate) fn create_stream(config: StreamConfig, on: &[u64]) -> Command {
    let (stores, preferred) = (stores(on), StoreId(on[0]));
    Command::CreateStream {
        account: ACCOUNT.to_owned(),
        config,
        stores,
        preferred,
        max_streams: None,
    }
}

pub(crate) fn create_consumer(stream: &str, config: ConsumerConfig, on: &[u64]) -> Command {
    Command::CreateConsumer {
        account: ACCOUNT.to_owned(),
        stream: stream.to_owned(),
        config,
        action: ConsumerAction::CreateOrUpdate,
        stores: stores(on),
        preferred: StoreId(on[0]),
        max_consumers: None,
    }
}

pub(crate) fn delete_stream(stream: &str) -> Command {
    Command::DeleteStream { account: ACCOUNT.to_owned(), stream: stream.to_owned(), group: None }
}
