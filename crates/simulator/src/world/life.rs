//! The lives of servers: they start, register, are killed, lose their power, and end by themselves.

use flotilla_host::{Input, Join, MILLISECOND, MetaRequest, Request};
use flotilla_raft::{Membership, ReplicaId, StoreId};

use super::event::Event;
use super::{Happening, Server, World};

impl World {
    /// Starts a server on what its disk holds.
    ///
    /// # Errors
    /// It does not start, and says why.
    pub fn start(&mut self, store: StoreId) -> Result<(), String> {
        let seed = self.random.next_u64();
        let options = self.options;
        let now = self.now;
        let Some(offset) = self.servers.get(&store).map(|s| s.clock.offset) else { return Ok(()) };
        let wall = self.wall(offset);
        let Some(server) = self.servers.get_mut(&store) else { return Ok(()) };
        if server.running.is_some() {
            return Ok(());
        }
        server.start(seed, &options, now, wall)?;
        let (boot, shards) = (server.boot, server.shards().len());
        self.trace.note(now, || format!("{store} starts, life {boot}, {shards} shards"));
        for shard in 0..shards {
            self.turn_at(store, shard, now);
        }
        for delay in [Event::Beat { store, boot }, Event::Watch { store, boot }] {
            let at = self.soon(0, 50_000);
            self.schedule(at, delay);
        }
        let at = self.soon(1_000, 100_000);
        self.schedule(at, Event::Register { store, boot });
        self.schedule(now, Event::LogWork { store, boot });
        self.found_unless_done(store);
        for other in self.stores().into_iter().filter(|other| *other != store) {
            self.reconnect(store, other);
        }
        Ok(())
    }

    /// Ends a server's process. Its disk keeps what was written.
    pub fn kill(&mut self, store: StoreId) {
        let Some(server) = self.servers.get_mut(&store) else { return };
        if server.running.take().is_none() {
            return;
        }
        server.disk.restart();
        server.paused_until = 0;
        self.trace.note(self.now, || format!("{store} is killed"));
        self.forget(store);
    }

    /// Ends it with its power: what was not synced may be lost, torn or reordered.
    pub fn power_loss(&mut self, store: StoreId) {
        self.kill(store);
        let seed = self.random.next_u64();
        if let Some(server) = self.servers.get_mut(&store) {
            server.disk.power_loss(seed);
        }
        self.trace.note(self.now, || format!("{store} lost power"));
    }

    /// A server that was killed comes back under its name with an empty disk: as another store, which is returned.
    pub fn wipe(&mut self, store: StoreId) -> StoreId {
        let heir = StoreId(store.0 + 100);
        if let Some(server) = self.servers.remove(&store) {
            self.servers.insert(heir, Server::named(heir, server.name));
            self.heirs.insert(store, heir);
        }
        self.trace.note(self.now, || format!("{store} is wiped, and {heir} now"));
        heir
    }

    /// Who bears the name that a store had in the beginning.
    #[must_use]
    pub fn heir(&self, store: StoreId) -> StoreId {
        self.heirs.get(&store).map_or(store, |heir| self.heir(*heir))
    }

    /// The server lives no more: nobody leads on it, and its links end.
    fn forget(&mut self, store: StoreId) {
        for claims in self.claims.values_mut() {
            claims.remove(&store);
        }
        for other in self.stores().into_iter().filter(|other| *other != store) {
            self.disconnect(store, other);
        }
    }

    /// The machine crashed at the disk call that was ordered.
    pub(crate) fn crashed(&mut self, store: StoreId) {
        self.end(store, "crashed at a disk call".to_owned());
    }

    /// The server's process ends by itself.
    pub(crate) fn end(&mut self, store: StoreId, why: String) {
        let Some(server) = self.servers.get_mut(&store) else { return };
        if server.running.take().is_none() {
            return;
        }
        // It may end of something else before it knows.
        server.rolled_back &= !why.contains("rolled back");
        self.trace.note(self.now, || format!("{store} ends: {why}"));
        self.forget(store);
        self.tell(Happening::Ended(store, why));
    }

    /// Founds the cluster on the first server; the others register, as any server does at its start.
    pub fn found(&mut self) {
        for store in self.stores() {
            if let Err(reason) = self.start(store) {
                self.tell(Happening::Ended(store, reason));
            }
        }
    }

    /// The first server founds the cluster when it starts, until the first one has registered: before, a crash may take
    /// back all of it.
    fn found_unless_done(&mut self, store: StoreId) {
        if self.founded || store != StoreId(1) {
            return;
        }
        let replica = ReplicaId(1);
        let founding = Membership {
            voters: vec![replica],
            stores: [(replica, StoreId(1))].into(),
            ..Membership::default()
        };
        self.give(StoreId(1), Input::Join(Join { cluster: 77, replica, founding }));
    }

    /// A server asks to belong to the cluster, until it is answered.
    pub(super) fn register(&mut self, store: StoreId, boot: u64) {
        let Some(server) = self.servers.get(&store).filter(|s| s.lives(boot)) else { return };
        if server.is_registered() {
            return;
        }
        let info = server.info();
        let request = Request::Meta(MetaRequest::Register { info, rejoin: true });
        self.call_to_register(store, boot, request);
        let again = self.now + 2_000 * MILLISECOND;
        self.schedule(again, Event::Register { store, boot });
    }
}
