//! What clients send to streams and consumers, on its way to the shards that lead them.
//!
//! A stream that is led here listens to its subjects, in its account, as long as it is: [`Ingest::lead`]. What
//! comes for consumers is taken by whichever server the client is connected to; from there it goes to the consumer's
//! leader, here or on another server: [`Ingest::pull`], [`Ingest::ack`], [`Ingest::forwarded`].
//!
//! All of it runs on the publisher's thread: one look into the directory, one short lock of the inbox, no waiting.

mod consumer;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_meta::AssetName;
use flotilla_proto::headers;
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{InternalSubscription, Message, RouterHandle, Scope};

use crate::calls::Remote;
use crate::directory::Directory;
use crate::inboxes::Inboxes;
use crate::leaders::Leaders;

pub(crate) use consumer::Fate;
use stream::Intake;

/// The way of clients' messages to the shards.
pub struct Ingest {
    store: StoreId,
    domain: Option<String>,
    router: RouterHandle,
    inboxes: Arc<Inboxes>,
    directory: Arc<Directory>,
    leaders: Arc<Leaders>,
    remote: Arc<dyn Remote>,
    led: Mutex<LedHere>,
}

/// What `Ingest` works with.
pub(crate) struct IngestParts {
    /// This server.
    pub(crate) store: StoreId,
    /// JetStream's domain, if it has one.
    pub(crate) domain: Option<String>,
    pub(crate) router: RouterHandle,
    pub(crate) inboxes: Arc<Inboxes>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) remote: Arc<dyn Remote>,
}

/// What is led here.
#[derive(Default)]
struct LedHere {
    streams: BTreeMap<GroupId, Led>,
    /// Groups that the directory does not know yet.
    unknown: BTreeSet<GroupId>,
}

/// A stream that is led here.
struct Led {
    intake: Arc<Intake>,
    /// By subject.
    subscriptions: BTreeMap<String, InternalSubscription>,
}

impl Ingest {
    pub(crate) fn new(parts: IngestParts) -> Self {
        let IngestParts { store, domain, router, inboxes, directory, leaders, remote } = parts;
        let led = Mutex::default();
        Self { store, domain, router, inboxes, directory, leaders, remote, led }
    }

    /// The replica of `group` on this server leads it now. If it is a stream, it listens to the subjects that the
    /// directory knows; as soon as that knows it, for after a restart a stream can have a leader before the meta group
    /// has one.
    pub(crate) fn lead(&self, group: GroupId) {
        self.listen(&mut self.led(), group);
    }

    /// It does not any more.
    pub(crate) fn cede(&self, group: GroupId) {
        let mut led = self.led();
        led.streams.remove(&group);
        led.unknown.remove(&group);
    }

    /// The directory knows more than before, and of `reconfigured` something else; `None` is all.
    pub(crate) fn refresh(&self, reconfigured: Option<&[GroupId]>) {
        let mut led = self.led();
        let is_led = |group: &&GroupId| led.streams.contains_key(*group);
        let mut groups: BTreeSet<GroupId> = match reconfigured {
            Some(groups) => groups.iter().filter(is_led).copied().collect(),
            None => led.streams.keys().copied().collect(),
        };
        groups.append(&mut led.unknown);
        for group in groups {
            self.listen(&mut led, group);
        }
    }

    /// Nothing is led here any more: streams stop to listen, so that publishers are told that nobody is there.
    pub(crate) fn leave(&self) {
        *self.led() = LedHere::default();
    }

    /// Has what was taken dealt with: called behind the last of several messages that came together.
    pub fn settle(&self) {
        self.inboxes.offer();
    }

    /// Held while the directory is looked at: what is put into it later is seen by [`refresh`](Self::refresh).
    fn led(&self) -> MutexGuard<'_, LedHere> {
        // Only whole values are put into the maps and taken out of them: a poisoned lock holds sound ones.
        self.led.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, led: &mut LedHere, group: GroupId) {
        let known = self.directory.with(|meta| meta.name_of(group).is_some());
        if known != Some(true) {
            led.unknown.insert(group);
        }
        let Some(Wanted { account, stream, subjects, no_ack }) = self.stream(group) else {
            led.streams.remove(&group);
            return;
        };
        let Led { intake, subscriptions } = led.streams.entry(group).or_insert_with(|| {
            let inbox = Arc::clone(self.inboxes.of(group));
            let intake = Intake::new(self.router.clone(), inbox, group, stream);
            Led { intake: Arc::new(intake), subscriptions: BTreeMap::new() }
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
