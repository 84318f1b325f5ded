//! What clients send to streams and consumers, on its way to the shard that leads them.
//!
//! A stream that is led here listens to its subjects, in its account, as long as it is: [`Ingest::leading`]. What
//! comes for consumers is taken by whichever server the client is connected to; from there it goes to the consumer's
//! leader, here or on another server: [`Ingest::pull`], [`Ingest::ack`], [`Ingest::forwarded`].
//!
//! All of it runs on the publisher's thread: one look into the directory, one short lock of the inbox, no waiting.

mod consumer;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_meta::AssetName;
use flotilla_proto::headers;
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{InternalSubscription, Message, RouterHandle, Scope};

use crate::calls::Remote;
use crate::directory::Directory;
use crate::inbox::Inbox;
use crate::leaders::Leaders;

pub(crate) use consumer::Fate;
use stream::Intake;

/// The way of clients' messages to the shard.
pub struct Ingest {
    store: StoreId,
    domain: Option<String>,
    router: RouterHandle,
    inbox: Arc<Inbox>,
    directory: Arc<Directory>,
    leaders: Arc<Leaders>,
    remote: Arc<dyn Remote>,
    streams: Mutex<BTreeMap<GroupId, Led>>,
}

/// What `Ingest` works with.
pub(crate) struct IngestParts {
    /// This server.
    pub(crate) store: StoreId,
    /// JetStream's domain, if it has one.
    pub(crate) domain: Option<String>,
    pub(crate) router: RouterHandle,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) remote: Arc<dyn Remote>,
}

/// A stream that is led here.
struct Led {
    intake: Arc<Intake>,
    /// By subject.
    subscriptions: BTreeMap<String, InternalSubscription>,
}

impl Ingest {
    pub(crate) fn new(parts: IngestParts) -> Self {
        let IngestParts { store, domain, router, inbox, directory, leaders, remote } = parts;
        let streams = Mutex::default();
        Self { store, domain, router, inbox, directory, leaders, remote, streams }
    }

    /// The replica of `group` on this server leads it now, or does not any more; to be said again when the
    /// configuration changed. Groups that are no streams listen to nothing.
    ///
    /// The subjects are those that the directory knows, so it is to be fed before. Returns whether it knows the group:
    /// after a restart a stream can have a leader before the meta group has one, and is to be told of again then.
    pub fn leading(&self, group: GroupId, leads: bool) -> bool {
        let known = self.directory.with(|meta| meta.name_of(group).is_some()).unwrap_or(false);
        let wanted = if leads { self.stream(group) } else { None };
        // Only whole values are put into the map and taken out of it: a poisoned lock holds a sound one.
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Wanted { account, stream, subjects, no_ack }) = wanted else {
            streams.remove(&group);
            return known;
        };
        let Led { intake, subscriptions } = streams.entry(group).or_insert_with(|| Led {
            intake: Arc::new(Intake::new(&self.router, &self.inbox, group, stream)),
            subscriptions: BTreeMap::new(),
        });
        intake.set_no_ack(no_ack);
        // What is given up goes first: an old subject may overlap with a new one, and a message must not be taken
        // twice. Who publishes in between is told that nobody listens, and tries again.
        subscriptions.retain(|subject, _| subjects.contains(subject));
        let account = self.router.account(&account);
        for subject in subjects {
            if subscriptions.contains_key(&subject) {
                continue;
            }
            let part = Arc::clone(intake);
            match self.router.subscribe_internal(&account, &subject, None, Scope::Cluster, part) {
                Ok(subscription) => drop(subscriptions.insert(subject, subscription)),
                Err(error) => log::error!("A stream cannot listen to one of its subjects: {error}"),
            }
        }
        known
    }

    /// Nothing is led here any more: streams stop to listen, so that publishers are told that nobody is there.
    pub(crate) fn leave(&self) {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn stream(&self, group: GroupId) -> Option<Wanted> {
        self.directory
            .with(|meta| {
                let AssetName::Stream { account, stream } = meta.name_of(group)? else {
                    return None;
                };
                let config = &meta.stream(account, stream)?.config;
                Some(Wanted {
                    account: account.clone(),
                    stream: stream.clone(),
                    subjects: config.subjects.clone(),
                    no_ack: config.no_ack,
                })
            })
            .flatten()
    }

    /// Tells the client, if it waits for an answer, that nobody is there to give one; clients try again.
    pub(crate) fn nobody(&self, message: &Message<'_>) {
        if let Some(reply) = message.reply {
            let headers = headers::no_responders(message.subject);
            let nothing = bytes::Bytes::new();
            self.router.publish_internal(message.account, reply, None, Some(&headers), &nothing);
        }
    }
}

/// What a stream is to listen to.
struct Wanted {
    account: String,
    stream: String,
    subjects: Vec<String>,
    no_ack: bool,
}

#[cfg(test)]
mod tests;
