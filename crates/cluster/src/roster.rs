//! Which servers there are: those that are linked, and those that were.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_raft::StoreId;
use flotilla_routes::{PeerId, PeerInfo};

/// The servers of the cluster but this one, by their names, which are unique. A server that comes back under its name
/// takes its place.
#[derive(Default)]
pub(crate) struct Roster {
    servers: BTreeMap<String, Server>,
    stores: BTreeMap<StoreId, PeerId>,
    peers: BTreeMap<PeerId, Linked>,
}

/// A server as it was known last.
struct Server {
    link: Option<PeerId>,
    store: Option<StoreId>,
    boot: u64,
    /// Not taken for dead.
    alive: bool,
}

/// A server that is linked now.
struct Linked {
    name: String,
    boot: u64,
    /// Only of a server that runs JetStream.
    store: Option<StoreId>,
    cluster: Option<u64>,
    client_urls: Vec<String>,
}

/// A server in words.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) link: Option<PeerId>,
    pub(crate) store: Option<StoreId>,
    pub(crate) alive: bool,
}

impl Roster {
    /// A server is linked, or says something new about itself.
    pub(crate) fn up(&mut self, info: &PeerInfo) {
        let (peer, identity) = (info.peer, &info.identity);
        let store = identity.store_id.filter(|_| identity.jetstream).map(StoreId);
        self.forget_store(peer);
        if let Some(store) = store {
            self.stores.insert(store, peer);
        }
        let linked = Linked {
            name: identity.server_name.clone(),
            boot: identity.boot_id,
            store,
            cluster: identity.cluster_id,
            client_urls: identity.client_urls.clone(),
        };
        self.peers.insert(peer, linked);
        let before = self.servers.get(&identity.server_name);
        let before = before.filter(|s| s.store == store && s.boot == identity.boot_id);
        // A link alone does not bring a server back that its beats told dead.
        let alive = before.is_none_or(|server| server.alive || store.is_none());
        let server = Server { link: Some(peer), store, boot: identity.boot_id, alive };
        self.servers.insert(identity.server_name.clone(), server);
    }

    /// The link is gone. Of a server with a store that means nothing yet, if its beats are watched.
    pub(crate) fn down(&mut self, peer: PeerId, watches_beats: bool) {
        self.forget_store(peer);
        let Some(linked) = self.peers.remove(&peer) else { return };
        if let Some(server) = self.servers.get_mut(&linked.name)
            && server.link == Some(peer)
        {
            server.link = None;
            server.alive &= watches_beats && server.store.is_some();
        }
    }

    fn forget_store(&mut self, peer: PeerId) {
        self.stores.retain(|_, of| *of != peer);
    }

    /// A store is known to live, or taken for dead.
    pub(crate) fn set_alive(&mut self, store: StoreId, alive: bool) {
        for server in self.servers.values_mut().filter(|server| server.store == Some(store)) {
            server.alive = alive;
        }
    }

    /// The name of a linked server.
    pub(crate) fn name_of(&self, peer: PeerId) -> Option<&str> {
        self.peers.get(&peer).map(|linked| &*linked.name)
    }

    /// The name of the server that has, or had, a store.
    pub(crate) fn name_with(&self, store: StoreId) -> Option<&str> {
        let mut servers = self.servers.iter();
        servers.find(|(_, server)| server.store == Some(store)).map(|(name, _)| &**name)
    }

    /// The link to a store.
    pub(crate) fn peer_of(&self, store: StoreId) -> Option<PeerId> {
        self.stores.get(&store).copied()
    }

    /// The store of a linked server, and the life that it is in.
    pub(crate) fn store_of(&self, peer: PeerId) -> Option<(StoreId, u64)> {
        let linked = self.peers.get(&peer)?;
        Some((linked.store?, linked.boot))
    }

    /// The stores that are linked, and the clusters they belong to.
    pub(crate) fn stores(&self) -> BTreeMap<StoreId, Option<u64>> {
        self.peers.values().filter_map(|linked| Some((linked.store?, linked.cluster))).collect()
    }

    /// The links to servers with a store.
    pub(crate) fn store_links(&self) -> Vec<PeerId> {
        self.stores.values().copied().collect()
    }

    /// Where clients reach the linked servers.
    pub(crate) fn client_urls(&self) -> BTreeSet<&str> {
        self.peers.values().flat_map(|linked| &linked.client_urls).map(String::as_str).collect()
    }

    /// All servers by name.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |(name, server): (&String, &Server)| Entry {
            name: name.clone(),
            link: server.link,
            store: server.store,
            alive: server.alive,
        };
        self.servers.iter().map(entry).collect()
    }
}
