//! Servers join, change and leave.

use flotilla_raft::{ReplicaId, StoreId};
use flotilla_stream::Timestamp;

use super::{Delta, Meta, Reply};
use crate::command::ServerInfo;
use crate::error::MetaError;
use crate::server::{PeerLimits, Server, ServerState};

impl Server {
    /// The founder before it registered.
    pub(super) fn founder(store: StoreId) -> Self {
        Self {
            store,
            name: String::new(),
            cluster: String::new(),
            tags: Vec::new(),
            limits: PeerLimits { jetstream: true, ..PeerLimits::default() },
            replica: Meta::FOUNDER,
            renewed: 0,
            joined: Timestamp::default(),
            state: ServerState::Member,
        }
    }

    fn new(info: ServerInfo, replica: ReplicaId, joined: Timestamp) -> Self {
        let ServerInfo { store, name, cluster, tags, limits } = info;
        let (renewed, state) = (0, ServerState::Member);
        Self { store, name, cluster, tags, limits, replica, renewed, joined, state }
    }
}

impl Meta {
    /// A known member keeps its replica. Anyone else gets a new one: a new store is empty, and a
    /// removed one that comes back must not answer for what its old replica promised.
    pub(super) fn register_server(
        &mut self,
        info: ServerInfo,
        rejoin: bool,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let known = self.server(info.store).map(Server::is_member);
        match known {
            Some(true) => return self.update_server(info, deltas),
            Some(false) if !rejoin => return Err(MetaError::ServerRemoved(info.store)),
            _ => {}
        }
        if let Some(previous) = self.member_named(&info.name).map(|s| s.store) {
            // The same name with another store: the old store is gone.
            self.retire(previous, Some(info.store), deltas);
        }
        let replica = self.next_replica();
        deltas.push(Delta::Server(info.store));
        self.servers.insert(info.store, Server::new(info, replica, self.time));
        Ok(Reply::Registered(replica))
    }

    pub(super) fn update_server(
        &mut self,
        info: ServerInfo,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        if let Some(other) = self.member_named(&info.name).filter(|s| s.store != info.store) {
            return Err(MetaError::ServerNameTaken { name: info.name, store: other.store });
        }
        let server = self.servers.get_mut(&info.store).filter(|s| s.is_member());
        let server = server.ok_or(MetaError::ServerNotMember)?;
        let renewed = server.renewed;
        let updated = Server { renewed, ..Server::new(info, server.replica, server.joined) };
        if *server != updated {
            *server = updated;
            deltas.push(Delta::Server(server.store));
        }
        Ok(Reply::Registered(server.replica))
    }

    /// A replica that has forgotten what it promised never comes back under its id. Asked again for the same loss, the
    /// answer is the same; a request of an earlier life that comes late takes nothing from one that has got
    /// another since.
    pub(super) fn renew_replica(
        &mut self,
        store: StoreId,
        loss: u64,
        after: ReplicaId,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let known =
            self.server(store).filter(|s| s.is_member()).ok_or(MetaError::ServerNotMember)?;
        let replica = known.replica;
        if known.renewed == loss {
            return Ok(Reply::Registered(replica));
        }
        if replica > after {
            return Err(MetaError::RenewedSince { store, replica });
        }
        let replica = self.next_replica();
        if let Some(server) = self.servers.get_mut(&store) {
            (server.replica, server.renewed) = (replica, loss);
        }
        deltas.push(Delta::Server(store));
        Ok(Reply::Registered(replica))
    }

    pub(super) fn remove_server(
        &mut self,
        store: StoreId,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        if !self.is_member(store) {
            return Err(MetaError::ServerNotMember);
        }
        if self.servers().filter(|s| s.is_member()).count() == 1 {
            return Err(MetaError::LastServer(store));
        }
        self.retire(store, None, deltas);
        Ok(Reply::Done)
    }

    /// From now on `store` counts as lost: nobody waits for it to destroy anything.
    fn retire(&mut self, store: StoreId, successor: Option<StoreId>, deltas: &mut Vec<Delta>) {
        if let Some(server) = self.servers.get_mut(&store) {
            server.state = ServerState::Removed { at: self.time, successor };
        }
        self.tombstones.retain(|_, tombstone| {
            tombstone.holders.retain(|_, holder| *holder != store);
            !tombstone.holders.is_empty()
        });
        for asset in self.accounts.values_mut().flat_map(|streams| streams.values_mut()) {
            asset.group.former.retain(|m| m.store != store);
            for consumer in asset.consumers.values_mut() {
                consumer.group.former.retain(|m| m.store != store);
            }
        }
        deltas.push(Delta::Server(store));
    }
}
