//! From whoever publishes to everyone who listens.
//!
//! Every [account](crate::account) has its own subscriptions. Their targets are clients of this server, parts of it
//! ([`Deliver`]), and other servers ([`Peers`]). For each message:
//!
//! * every plain subscription gets it once; a client's own only if it wants to hear itself;
//! * of each queue group one member gets it, a random one of this server, or else one of a server chosen at random
//!   by the number of its members;
//! * every other server with interest gets it once, with the groups it was chosen for; a message that came from a
//!   server goes to no third one.
//!
//! Publishing is done in [`Batch`]es. It takes no lock that others wait for: what a subject matches is remembered, and
//! what clients are to be sent is collected first and handed to each outbox once.

mod batch;
pub(crate) mod client;
mod close_reason;
mod fanout;
mod message;
pub(crate) mod outbox;
mod staging;
pub(crate) mod subscriptions;
mod traffic;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use close_reason::CloseReason;
pub use message::{ConnectionId, Deliver, Interest, Message, Origin, PeerId, Peers, Scope};
pub use traffic::{Traffic, TrafficSnapshot};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use bytes::Bytes;
use flotilla_subject::{EntryId, InvalidSubject};
use thiserror::Error;

use crate::account::{Account, GLOBAL_ACCOUNT, SYSTEM_ACCOUNT};
use crate::lock::{lock, read, write};
use batch::Publisher;
use fanout::Groups;
use subscriptions::Target;

/// Publishers that wait for work; more are not kept.
const IDLE_PUBLISHERS: usize = 64;

/// The router of one server; cheap to clone.
#[derive(Clone)]
pub struct RouterHandle {
    shared: Arc<Shared>,
}

struct Shared {
    accounts: RwLock<BTreeMap<Box<str>, Arc<Account>>>,
    peers: Arc<OnceLock<Arc<dyn Peers>>>,
    publishers: Mutex<Vec<Publisher>>,
    traffic: Traffic,
    last_connection: AtomicU64,
}

/// The router already has other servers to talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the router is already connected to the peers of this server")]
pub struct AlreadyConnected;

impl Default for RouterHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl RouterHandle {
    /// A router with the accounts `$G` and `$SYS`, without subscriptions and without peers.
    pub fn new() -> Self {
        let router = Self {
            shared: Arc::new(Shared {
                accounts: RwLock::default(),
                peers: Arc::default(),
                publishers: Mutex::default(),
                traffic: Traffic::default(),
                last_connection: AtomicU64::new(0),
            }),
        };
        router.account(GLOBAL_ACCOUNT);
        router.account(SYSTEM_ACCOUNT);
        router
    }

    /// Connects the other servers of the cluster. Interest from before is to be read by
    /// [`Account::visit_interest`].
    ///
    /// # Errors
    /// They are connected already.
    pub fn connect_peers(&self, peers: Arc<dyn Peers>) -> Result<(), AlreadyConnected> {
        self.shared.peers.set(peers).map_err(|_| AlreadyConnected)
    }

    /// The account of that name, which is made if it does not exist. Accounts are never removed.
    pub fn account(&self, name: &str) -> Arc<Account> {
        if let Some(account) = self.find_account(name) {
            return account;
        }
        let mut accounts = write(&self.shared.accounts);
        let index = accounts.len();
        let account = accounts
            .entry(name.into())
            .or_insert_with(|| Arc::new(Account::new(name, index, Arc::clone(&self.shared.peers))));
        Arc::clone(account)
    }

    /// The account of that name, if it exists.
    pub fn find_account(&self, name: &str) -> Option<Arc<Account>> {
        read(&self.shared.accounts).get(name).cloned()
    }

    /// All accounts, by name.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        read(&self.shared.accounts).values().cloned().collect()
    }

    /// Begins a batch of messages.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self, self.take_publisher(), None)
    }

    /// Publishes one message for a part of this server. Answers whether it reached anyone. Who has several should
    /// use one [`batch`](Self::batch).
    pub fn publish_internal(
        &self,
        account: &Arc<Account>,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Bytes>,
        payload: &Bytes,
    ) -> bool {
        let origin = Origin::Server;
        self.batch().publish(&Message {
            account,
            subject,
            shown: None,
            reply,
            headers,
            payload,
            origin,
        })
    }

    /// Subscribes a part of this server, until the returned value is dropped.
    ///
    /// # Errors
    /// `subject` is no valid subscription subject.
    pub fn subscribe_internal(
        &self,
        account: &Arc<Account>,
        subject: &str,
        queue: Option<&str>,
        scope: Scope,
        part: Arc<dyn Deliver>,
    ) -> Result<InternalSubscription, InvalidSubject> {
        let entry = account.subscribe(subject, queue, scope, Target::Internal(part))?;
        Ok(InternalSubscription {
            account: Arc::clone(account),
            subject: subject.into(),
            queue: queue.map(Into::into),
            scope,
            entry,
        })
    }

    /// Notes what another server's subscribers listen to: `interest.weight` of one kind now, zero if none is left.
    /// Saying it twice changes nothing.
    ///
    /// # Errors
    /// The subject is no valid subscription subject.
    pub fn remote_interest(
        &self,
        peer: PeerId,
        interest: Interest<'_>,
    ) -> Result<(), InvalidSubject> {
        let Interest { account, subject, queue, weight } = interest;
        self.account(account).set_remote_interest(peer, subject, queue, weight)
    }

    /// Forgets all interest of another server: it is gone, or about to say everything anew.
    pub fn peer_gone(&self, peer: PeerId) {
        for account in self.accounts() {
            account.forget_peer(peer);
        }
    }

    /// Begins a batch of messages that another server forwards.
    pub fn batch_from_peer(&self) -> PeerBatch<'_> {
        PeerBatch { batch: self.batch() }
    }

    /// The counters of all clients together.
    pub fn traffic(&self) -> &Traffic {
        &self.shared.traffic
    }

    pub(crate) fn peers(&self) -> Option<&Arc<dyn Peers>> {
        self.shared.peers.get()
    }

    pub(crate) fn next_connection(&self) -> ConnectionId {
        ConnectionId::new(self.shared.last_connection.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// A batch of what one client sent; what it is itself sent comes last.
    pub(crate) fn batch_of(&self, client: ConnectionId) -> Batch<'_> {
        Batch::new(self, self.take_publisher(), Some(client))
    }

    fn take_publisher(&self) -> Publisher {
        // The last one given back is the one whose memory is warm.
        let idle = lock(&self.shared.publishers).pop();
        idle.unwrap_or_else(Publisher::new)
    }

    fn give_back(&self, publisher: Publisher) {
        let mut idle = lock(&self.shared.publishers);
        if idle.len() < IDLE_PUBLISHERS {
            idle.push(publisher);
        }
    }
}

impl fmt::Debug for RouterHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterHandle").finish_non_exhaustive()
    }
}

/// Messages of other servers, delivered to this server's own subscribers only.
pub struct PeerBatch<'r> {
    batch: Batch<'r>,
}

impl PeerBatch<'_> {
    /// Delivers `message` to every plain subscriber of this server, and to one member of each of `queues`, for which
    /// the sender chose this server. The origin must be [`Origin::Peer`]. Answers whether anyone got it.
    pub fn deliver(&mut self, message: &Message<'_>, queues: &[&str]) -> bool {
        debug_assert!(matches!(message.origin, Origin::Peer(_)), "only peers choose the groups");
        self.batch.publish_to(message, Groups::Chosen(queues))
    }
}

/// A subscription of a part of this server; dropping it ends it.
#[must_use = "the subscription ends when this is dropped"]
pub struct InternalSubscription {
    account: Arc<Account>,
    subject: Box<str>,
    queue: Option<Box<str>>,
    scope: Scope,
    entry: EntryId,
}

impl Drop for InternalSubscription {
    fn drop(&mut self) {
        self.account.unsubscribe(&self.subject, self.queue.as_deref(), self.scope, self.entry);
    }
}
