//! The router's side of a connected client: its outbox and its subscriptions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flotilla_subject::{EntryId, InvalidSubject};
use thiserror::Error;

use super::outbox::Outbox;
use super::subscriptions::Target;
use super::{ConnectionId, Scope};
use crate::account::Account;
use crate::lock::lock;

/// A connected client, as publishers see it.
pub(crate) struct Client {
    id: ConnectionId,
    pub(crate) outbox: Outbox,
    takes_headers: AtomicBool,
    /// Messages and bytes of payload and headers that were queued for this client.
    pub(crate) out_messages: AtomicU64,
    pub(crate) out_bytes: AtomicU64,
    /// The lock is taken before that of an account, never after.
    subscriptions: Mutex<SubscriptionsBySid>,
}

/// By the client's names; with each its place in its account.
type SubscriptionsBySid = BTreeMap<Box<[u8]>, (Arc<ClientSubscription>, EntryId)>;

/// One subscription of a client.
pub(crate) struct ClientSubscription {
    pub(crate) client: Arc<Client>,
    account: Arc<Account>,
    pub(crate) sid: Box<[u8]>,
    subject: Box<str>,
    queue: Option<Box<str>>,
    /// Messages since the beginning.
    delivered: AtomicU64,
    /// The number of messages after which the subscription ends; zero: it does not.
    max: AtomicU64,
}

/// Why a client cannot subscribe.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum SubscribeError {
    #[error(transparent)]
    Subject(#[from] InvalidSubject),
    #[error("the connection has {0} subscriptions, as many as max_subscriptions allows")]
    TooMany(usize),
}

/// May one more message be delivered to a subscription?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Yes,
    /// Yes, and it is the last.
    Last,
    No,
}

impl Client {
    pub(crate) fn new(id: ConnectionId, max_pending: usize) -> Self {
        Self {
            id,
            outbox: Outbox::new(max_pending),
            takes_headers: AtomicBool::new(false),
            out_messages: AtomicU64::new(0),
            out_bytes: AtomicU64::new(0),
            subscriptions: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(crate) fn takes_headers(&self) -> bool {
        self.takes_headers.load(Ordering::Relaxed)
    }

    pub(crate) fn set_takes_headers(&self, takes_headers: bool) {
        self.takes_headers.store(takes_headers, Ordering::Relaxed);
    }

    pub(crate) fn subscription_count(&self) -> usize {
        lock(&self.subscriptions).len()
    }

    /// Subjects, queue groups, names and delivered messages of all subscriptions, for monitoring.
    pub(crate) fn visit_subscriptions(&self, mut visit: impl FnMut(&ClientSubscription)) {
        for (subscription, _) in lock(&self.subscriptions).values() {
            visit(subscription);
        }
    }

    /// Subscribes; a name that is in use stays with its subscription.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        account: &Arc<Account>,
        (subject, queue, sid): (&str, Option<&str>, Box<[u8]>),
        max_subscriptions: Option<usize>,
    ) -> Result<(), SubscribeError> {
        let mut subscriptions = lock(&self.subscriptions);
        if subscriptions.contains_key(&sid) {
            return Ok(());
        }
        let count = subscriptions.len();
        if max_subscriptions.is_some_and(|max| count >= max) {
            return Err(SubscribeError::TooMany(count));
        }
        let subscription = Arc::new(ClientSubscription {
            client: Arc::clone(self),
            account: Arc::clone(account),
            sid: sid.clone(),
            subject: subject.into(),
            queue: queue.map(Into::into),
            delivered: AtomicU64::new(0),
            max: AtomicU64::new(0),
        });
        let target = Target::Client(Arc::clone(&subscription));
        let entry = account.subscribe(subject, queue, Scope::Cluster, target)?;
        subscriptions.insert(sid, (subscription, entry));
        Ok(())
    }

    /// Ends the subscription named `sid`: now, or once `max` messages were delivered since it began.
    pub(crate) fn unsubscribe(&self, sid: &[u8], max: Option<u64>) {
        let mut subscriptions = lock(&self.subscriptions);
        if let Some(max) = max {
            let Some((subscription, _)) = subscriptions.get(sid) else { return };
            // Before the look at the count: a publisher counts first and then looks at the limit, so one of the
            // two notices when the limit is reached.
            subscription.max.store(max, Ordering::SeqCst);
            if subscription.delivered.load(Ordering::SeqCst) < max {
                return;
            }
        }
        if let Some((subscription, entry)) = subscriptions.remove(sid) {
            subscription.leave(entry);
        }
    }

    /// Ends every subscription.
    pub(crate) fn unsubscribe_all(&self) {
        let all = std::mem::take(&mut *lock(&self.subscriptions));
        for (subscription, entry) in all.into_values() {
            subscription.leave(entry);
        }
    }

    /// Ends `subscription`, which had its last message; another of the same name stays.
    pub(crate) fn expire(&self, subscription: &Arc<ClientSubscription>) {
        let mut subscriptions = lock(&self.subscriptions);
        let sid = &*subscription.sid;
        if subscriptions.get(sid).is_some_and(|(held, _)| Arc::ptr_eq(held, subscription))
            && let Some((subscription, entry)) = subscriptions.remove(sid)
        {
            subscription.leave(entry);
        }
    }
}

impl ClientSubscription {
    /// Counts a message before it is delivered.
    pub(crate) fn take_turn(&self) -> Turn {
        let delivered = self.delivered.fetch_add(1, Ordering::SeqCst) + 1;
        match self.max.load(Ordering::SeqCst) {
            0 => Turn::Yes,
            max if delivered < max => Turn::Yes,
            max if delivered == max => Turn::Last,
            _ => Turn::No,
        }
    }

    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn queue(&self) -> Option<&str> {
        self.queue.as_deref()
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    fn leave(&self, entry: EntryId) {
        self.account.unsubscribe(&self.subject, self.queue.as_deref(), Scope::Cluster, entry);
    }
}
