//! What the cluster gives to JetStream on this server, and what it wants of it.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_host::{Answer, Input, Request, Room};
use flotilla_jetstream::{JetStream, Leaders, Wire};
use flotilla_meta::ServerInfo;
use flotilla_raft::{GroupId, StoreId};

/// A request under way; see [`LocalStore::ask`].
pub type Asking<'a> = Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'a>>;

/// Why the bootstrap state could not be made durable.
pub type PersistError = Box<dyn Error + Send + Sync>;

/// JetStream on this server, as the cluster sees it. None of the methods may block, except [`persist`](Self::persist).
pub trait LocalStore: Send + Sync + 'static {
    /// Gives something to the shards that it is for. Returns whether it was taken.
    fn input(&self, input: Input) -> bool;

    /// Has what was given in bundles, or forwarded, dealt with: called behind the last of several that came together.
    fn settle(&self);

    /// Asks the replica of `group` at one store, which may be this one. `None` when there is no way to it.
    fn ask(&self, store: StoreId, group: GroupId, request: Request) -> Asking<'_>;

    /// A call of another server, or its answer to one of this server's.
    fn receive(&self, from: StoreId, wire: Wire);

    /// A pull request or an acknowledgement that another server's client sent, for a consumer that is led here.
    fn forwarded(
        &self,
        account: &str,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Bytes>,
        payload: &Bytes,
    );

    /// Replaces what the store file holds as `bootstrap`; it is durable when this returns. May block.
    ///
    /// # Errors
    /// It may not be durable. The store then takes no further part in the bootstrap.
    fn persist(&self, bootstrap: Bytes) -> Result<(), PersistError>;

    /// Did every shard turn, and every queued WAL write finish, within the last second? Only then may this server
    /// tell others that it lives. Asked ten times a second by a thread that may wait for nothing.
    fn is_well(&self) -> bool;

    /// How much room the store has on its disk. Asked as often, by the same thread.
    fn room(&self) -> Room;

    /// How far the store's log is on stable storage. Asked as often, by the same thread.
    fn synced(&self) -> u64;
}

/// JetStream on this server, and what it knows when it starts.
#[derive(Clone)]
pub struct JetStreamLink {
    /// The way to it.
    pub jetstream: Arc<dyn LocalStore>,
    /// Who leads what. Claims of other servers are put into it.
    pub leaders: Arc<Leaders>,
    /// What this server says about itself to the meta group.
    pub info: ServerInfo,
    /// The cluster that the store belongs to, if it does already.
    pub cluster: Option<u64>,
    /// What was [persisted](LocalStore::persist) last; empty if nothing ever was.
    pub bootstrap: Bytes,
    /// How many stores the cluster shall have at least: the distinct configured routes to other servers, and this
    /// one, but no fewer than two. One without a `cluster` block.
    pub expected: usize,
}

impl JetStreamLink {
    /// For a store that is in service. `cluster` and `bootstrap` are what it held when it was opened; `expected` is
    /// the [field](Self::expected).
    #[must_use]
    pub fn new(
        jetstream: Arc<JetStream>,
        cluster: Option<u64>,
        bootstrap: Bytes,
        expected: usize,
    ) -> Self {
        let (leaders, info) = (jetstream.leaders().clone(), jetstream.info().clone());
        Self { jetstream, leaders, info, cluster, bootstrap, expected }
    }
}

impl LocalStore for JetStream {
    fn input(&self, input: Input) -> bool {
        self.tell(input)
    }

    fn settle(&self) {
        Self::settle(self);
    }

    fn ask(&self, store: StoreId, group: GroupId, request: Request) -> Asking<'_> {
        Box::pin(self.calls().ask(store, group, request))
    }

    fn receive(&self, from: StoreId, wire: Wire) {
        self.calls().receive(from, wire);
    }

    fn forwarded(
        &self,
        account: &str,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Bytes>,
        payload: &Bytes,
    ) {
        self.ingest().forwarded(account, subject, reply, headers, payload);
    }

    fn persist(&self, bootstrap: Bytes) -> Result<(), PersistError> {
        Ok(self.keep_bootstrap(bootstrap)?)
    }

    fn is_well(&self) -> bool {
        self.is_lively()
    }

    fn room(&self) -> Room {
        Self::room(self)
    }

    fn synced(&self) -> u64 {
        Self::synced(self)
    }
}
