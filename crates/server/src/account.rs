//! A subject space of its own: what is published in one account is heard only there.

use std::sync::{Arc, OnceLock, RwLock};

use flotilla_subject::{EntryId, Found, Generations, InvalidSubject};

use crate::lock::{read, write};
use crate::router::subscriptions::{Subscriptions, Target};
use crate::router::{Interest, PeerId, Peers, Scope};

/// The account of clients that have no other.
pub const GLOBAL_ACCOUNT: &str = "$G";
/// The account of the server's own requests and events.
pub const SYSTEM_ACCOUNT: &str = "$SYS";

/// One account: a name and the subscriptions of its clients, of this server's own parts, and of other servers.
///
/// One lock guards the subscriptions. Those who publish take it only to look up a subject that they do not
/// remember; nobody holds it while a message is handed over.
pub struct Account {
    name: Arc<str>,
    /// Small and never used twice: publishers keep one cache for each.
    index: usize,
    generations: Arc<Generations>,
    subscriptions: RwLock<Subscriptions>,
    peers: Arc<OnceLock<Arc<dyn Peers>>>,
}

impl Account {
    pub(crate) fn new(name: &str, index: usize, peers: Arc<OnceLock<Arc<dyn Peers>>>) -> Self {
        let subscriptions = Subscriptions::default();
        Self {
            name: name.into(),
            index,
            generations: Arc::clone(subscriptions.generations()),
            subscriptions: RwLock::new(subscriptions),
            peers,
        }
    }

    /// The account's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many subscriptions clients and parts of this server have.
    pub fn subscription_count(&self) -> usize {
        read(&self.subscriptions).local_count()
    }

    /// Would a message to `subject` reach anyone, here or on another server?
    pub fn has_interest(&self, subject: &str) -> bool {
        read(&self.subscriptions).has_match(subject)
    }

    /// Calls `visit` with all that other servers should know about this account. No change is reported to
    /// [`Peers::interest_changed`] meanwhile, so a peer that is told this list and every later change knows all.
    pub fn visit_interest(&self, mut visit: impl FnMut(Interest<'_>)) {
        for (subject, queue, weight) in read(&self.subscriptions).local_interest() {
            visit(Interest { account: &self.name, subject, queue, weight });
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn generations(&self) -> &Generations {
        &self.generations
    }

    pub(crate) fn find(&self, subject: &str) -> Found<Target> {
        read(&self.subscriptions).find(subject)
    }

    pub(crate) fn subscribe(
        &self,
        subject: &str,
        queue: Option<&str>,
        scope: Scope,
        target: Target,
    ) -> Result<EntryId, InvalidSubject> {
        let mut subscriptions = write(&self.subscriptions);
        let (entry, weight) = subscriptions.add_local(subject, queue, scope, target)?;
        self.report(subject, queue, weight);
        Ok(entry)
    }

    pub(crate) fn unsubscribe(
        &self,
        subject: &str,
        queue: Option<&str>,
        scope: Scope,
        entry: EntryId,
    ) {
        let mut subscriptions = write(&self.subscriptions);
        let weight = subscriptions.remove_local(subject, queue, scope, entry);
        self.report(subject, queue, weight);
    }

    pub(crate) fn set_remote_interest(
        &self,
        peer: PeerId,
        subject: &str,
        queue: Option<&str>,
        weight: u32,
    ) -> Result<(), InvalidSubject> {
        write(&self.subscriptions).set_remote(peer, subject, queue, weight)
    }

    pub(crate) fn forget_peer(&self, peer: PeerId) {
        write(&self.subscriptions).forget_peer(peer);
    }

    /// Tells the other servers. Called under the lock, so that they hear of changes in their order.
    fn report(&self, subject: &str, queue: Option<&str>, weight: Option<u32>) {
        if let (Some(weight), Some(peers)) = (weight, self.peers.get()) {
            peers.interest_changed(Interest { account: &self.name, subject, queue, weight });
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}
