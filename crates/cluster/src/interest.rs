//! What this server's clients listen to, told to every other server; and messages for what they listen to.
//!
//! Both go on one lane in the order in which they are queued, so that a request finds the interest in its reply. A
//! server that comes is told everything first, and gets no message before it knows all.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bytes::Bytes;
use flotilla_routes::interest::{EncodeError, Interest as Stated, Statement};
use flotilla_routes::{Lane, Parts, PeerId, SendError};
use flotilla_server_core::{Interest, Message, Peers, RouterHandle};
use tokio::time::sleep;

use crate::envelope::{Names, routed};
use crate::links::Links;
use crate::lock::{read, write};

/// Changes that wait while a server is told everything. A server for which more come takes too long.
const MOST_WAITING: usize = 1 << 17;

/// Pause before a full lane is tried again.
const RETRY: Duration = Duration::from_millis(5);

/// The linked servers, by the numbers that the router knows them by.
pub(crate) struct Neighbours {
    links: Arc<Links>,
    table: RwLock<BTreeMap<u64, Neighbour>>,
}

struct Neighbour {
    peer: PeerId,
    /// What changed since it began to be told everything; `None` once it knows all.
    waiting: Option<Vec<Bytes>>,
}

impl Neighbours {
    pub(crate) fn new(links: Arc<Links>) -> Self {
        Self { links, table: RwLock::default() }
    }

    /// Tells a server that was just linked everything, and from then on every change. It gets messages when this is
    /// done. Ends early when the link does.
    pub(crate) async fn tell_all(&self, peer: PeerId, router: &RouterHandle) {
        // From here on changes wait: some of them are in what is collected next, and stated twice then.
        let neighbour = Neighbour { peer, waiting: Some(Vec::new()) };
        write(&self.table).insert(peer.get(), neighbour);
        let frames = match collect(router) {
            Ok(frames) => frames,
            Err(error) => return self.links.refuse(peer, &error),
        };
        for frame in frames {
            if !self.tell(peer, frame).await {
                return self.forget(peer);
            }
        }
        self.catch_up(peer);
    }

    /// Sends one frame of a full statement, however long the lane takes it. Returns whether the link holds.
    async fn tell(&self, peer: PeerId, frame: Bytes) -> bool {
        loop {
            match self.links.handle.send(peer, Lane::Messages, frame.clone()) {
                Ok(()) => return true,
                Err(SendError::Full { .. }) => sleep(RETRY).await,
                Err(_) => return false,
            }
            if !read(&self.table).contains_key(&peer.get()) {
                return false;
            }
        }
    }

    /// Sends what changed meanwhile; the last of it and the first message cannot overtake each other.
    fn catch_up(&self, peer: PeerId) {
        let mut table = write(&self.table);
        let Some(neighbour) = table.get_mut(&peer.get()) else { return };
        let waiting = neighbour.waiting.take().unwrap_or_default();
        let send =
            |frame| self.links.send_for_sure(peer, Lane::Messages, Parts::from_iter([frame]));
        if !waiting.into_iter().all(send) {
            table.remove(&peer.get());
        }
    }

    /// The link is gone: nothing more is sent.
    pub(crate) fn forget(&self, peer: PeerId) {
        write(&self.table).remove(&peer.get());
    }

    /// The link, once its server knows all interest.
    pub(crate) fn ready(&self, number: u64) -> Option<PeerId> {
        let table = read(&self.table);
        let neighbour = table.get(&number)?;
        neighbour.waiting.is_none().then_some(neighbour.peer)
    }
}

impl Peers for Neighbours {
    fn forward(
        &self,
        peer: flotilla_server_core::PeerId,
        message: &Message<'_>,
        queues: &[Arc<str>],
    ) {
        let Some(peer) = self.ready(peer.0) else { return };
        let names = Names {
            account: message.account.name(),
            subject: message.subject,
            shown: message.shown,
            reply: message.reply,
            queues,
        };
        match routed(names, message.headers, message.payload) {
            // A message that a full lane refuses is lost, as core NATS allows.
            Ok(parts) => drop(self.links.send(peer, Lane::Messages, parts)),
            Err(error) => log::warn!("A message cannot be forwarded to {peer}: {error}"),
        }
    }

    fn interest_changed(&self, interest: Interest<'_>) {
        let statement = Statement { replaces: false, interests: vec![stated(interest)] };
        let frame = match statement.encode() {
            Ok(frame) => frame,
            Err(error) => return log::warn!("Interest cannot be told to other servers: {error}"),
        };
        write(&self.table).retain(|_, neighbour| match &mut neighbour.waiting {
            Some(waiting) if waiting.len() < MOST_WAITING => {
                waiting.push(frame.clone());
                true
            }
            Some(_) => {
                self.links.refuse(neighbour.peer, &"it takes too long to be told all interest");
                false
            }
            None => {
                let frame = Parts::from_iter([frame.clone()]);
                self.links.send_for_sure(neighbour.peer, Lane::Messages, frame)
            }
        });
    }
}

/// All interest of this server's own subscribers.
fn collect(router: &RouterHandle) -> Result<Vec<Bytes>, EncodeError> {
    let mut all = Vec::new();
    for account in router.accounts() {
        account.visit_interest(|interest| all.push(stated(interest)));
    }
    Statement::resync(&all)
}

fn stated(interest: Interest<'_>) -> Stated {
    let Interest { account, subject, queue, weight } = interest;
    Stated {
        account: Bytes::copy_from_slice(account.as_bytes()),
        subject: Bytes::copy_from_slice(subject.as_bytes()),
        queue: queue.map(|queue| Bytes::copy_from_slice(queue.as_bytes())),
        weight,
    }
}
