//! Publishing, a batch at a time.

use std::sync::Arc;

use flotilla_proto::{Delivery, headers};
use flotilla_subject::MatchCache;
use rand::rngs::SmallRng;

use super::client::{Client, ClientSubscription};
use super::fanout::{Fanout, Forward, Groups};
use super::staging::Staging;
use super::subscriptions::Target;
use super::{ConnectionId, Deliver, Message, RouterHandle};
use crate::account::Account;

/// Subjects and targets that a publisher remembers per account.
const CACHE_CAPACITY: usize = 32 * 1024;

/// What publishing needs and can be kept from batch to batch. There are about as many as threads that publish at
/// the same time, not as many as connections.
pub(crate) struct Publisher {
    /// By [`Account::index`].
    caches: Vec<MatchCache<Target>>,
    staging: Staging,
    random: SmallRng,
    forwards: Vec<Forward>,
    expired: Vec<Arc<ClientSubscription>>,
    parts: Vec<Arc<dyn Deliver>>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self {
            caches: Vec::new(),
            staging: Staging::default(),
            random: rand::make_rng(),
            forwards: Vec::new(),
            expired: Vec::new(),
            parts: Vec::new(),
        }
    }
}

/// Several messages that are published together: each client they reach is woken once, when the batch ends. Other
/// servers and parts of this one get each message at once.
///
/// A batch is short-lived: it must not be held across an `.await`.
pub struct Batch<'r> {
    router: &'r RouterHandle,
    /// Taken only by `drop`.
    publisher: Option<Publisher>,
    /// Whose own output comes last.
    own: Option<ConnectionId>,
    crowded: bool,
}

impl<'r> Batch<'r> {
    pub(crate) fn new(
        router: &'r RouterHandle,
        publisher: Publisher,
        own: Option<ConnectionId>,
    ) -> Self {
        Self { router, publisher: Some(publisher), own, crowded: false }
    }

    /// Publishes `message`. Answers whether it reached anyone, here or on another server.
    pub fn publish(&mut self, message: &Message<'_>) -> bool {
        self.publish_to(message, Groups::All)
    }

    /// Is some client so far behind that this publisher should pause for a few milliseconds? Known once the batch
    /// was [flushed](Self::flush).
    pub fn is_crowded(&self) -> bool {
        self.crowded
    }

    /// Hands to the clients what was published so far. Done at the end of the batch in any case.
    pub fn flush(&mut self) {
        let Some(publisher) = &mut self.publisher else { return };
        self.crowded |= publisher.staging.flush(self.own, self.router.traffic());
        for subscription in publisher.expired.drain(..) {
            subscription.client.expire(&subscription);
        }
        // Last: it may take longer than all the rest.
        publisher.parts.drain(..).for_each(|part| part.settle());
    }

    pub(crate) fn publish_to(&mut self, message: &Message<'_>, groups: Groups<'_>) -> bool {
        let Some(publisher) = &mut self.publisher else { return false };
        let Publisher { caches, staging, random, forwards, expired, parts } = publisher;
        let account = message.account;
        let cache = cache_of(caches, account);
        let matches =
            cache.get(account.generations(), message.subject, || account.find(message.subject));
        let reached =
            Fanout::new(*message, staging, random, forwards, expired, parts).run(matches, groups);
        if let Some(peers) = self.router.peers() {
            for forward in forwards.iter() {
                peers.forward(forward.peer, message, &forward.queues);
            }
        }
        forwards.clear();
        if staging.is_full() {
            self.flush();
        }
        reached
    }

    /// Lets `write` append an answer to `client`, behind all it was sent before.
    pub(crate) fn write(&mut self, client: &Arc<Client>, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(publisher) = &mut self.publisher {
            publisher.staging.write(client, write);
        }
    }

    /// Tells `client`, if it listens to `reply`, that nobody listens to `subject`. Goes to that client alone and
    /// does not count as a message of the subscription, as with the reference server.
    pub(crate) fn no_responders(
        &mut self,
        client: &Arc<Client>,
        account: &Account,
        subject: &str,
        reply: &str,
    ) {
        let Some(publisher) = &mut self.publisher else { return };
        let cache = cache_of(&mut publisher.caches, account);
        let matches = cache.get(account.generations(), reply, || account.find(reply));
        let own = matches.plain.iter().find_map(|target| match target {
            Target::Client(subscription) if Arc::ptr_eq(&subscription.client, client) => {
                Some(subscription)
            }
            _ => None,
        });
        if let Some(subscription) = own {
            let headers = headers::no_responders(subject);
            let delivery = Delivery::new(reply, None, Some(&headers), b"");
            publisher.staging.message(client, headers.len(), |out| {
                delivery.put(out, &subscription.sid, true);
            });
        }
    }
}

fn cache_of<'c>(
    caches: &'c mut Vec<MatchCache<Target>>,
    account: &Account,
) -> &'c mut MatchCache<Target> {
    let index = account.index();
    if caches.len() <= index {
        caches.resize_with(index + 1, || MatchCache::new(CACHE_CAPACITY));
    }
    &mut caches[index]
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.flush();
        // A panic may have left a message half written: its publisher is not used again.
        if let Some(publisher) = self.publisher.take().filter(|_| !std::thread::panicking()) {
            self.router.give_back(publisher);
        }
    }
}
