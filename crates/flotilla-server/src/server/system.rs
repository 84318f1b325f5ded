//! What the system account may ask the servers: `$SYS.REQ.SERVER.…` in, one answer of every server that is meant.
//!
//! All servers listen, and each answers for itself, from what monitoring shows. The way of a request: a [`Door`] takes
//! it on the publisher's thread, and one task works on them in the order in which they came. Up to [`QUEUED`] wait;
//! one beyond gets no answer, which for whoever asks all servers is no more than a server that is slow.

mod answer;
mod filter;
mod kind;
mod reply;
mod statsz;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use flotilla_server_core::{Account, Deliver, InternalSubscription, Message, RouterHandle, Scope};
use tokio::sync::mpsc;

use super::monitoring::Source;
pub(super) use answer::ServerInfo;
use kind::Kind;
use reply::Desk;
pub(super) use statsz::Route;

/// How many requests wait.
const QUEUED: usize = 1024;
/// The longest body that is read. Filters and options are short.
const BODY: usize = 16 << 10;

/// Answers the system account until it is dropped.
pub(super) struct System {
    _doors: Vec<InternalSubscription>,
}

/// A request.
struct Request {
    kind: Kind,
    reply: Box<str>,
    /// Its body, or the length of one that is too long.
    body: Result<Bytes, usize>,
}

impl System {
    /// Begins to answer, on the Tokio runtime that this is called in. `http` is where monitoring listens.
    ///
    /// # Errors
    /// The server cannot listen.
    pub(super) fn start(
        router: &RouterHandle,
        system_account: &str,
        own: ServerInfo,
        source: Arc<Source>,
        http: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let account = router.account(system_account);
        let (queue, requests) = mpsc::channel(QUEUED);
        let open = |(subject, kind): (String, Kind)| {
            let door = Arc::new(Door { kind, queue: queue.clone() });
            router.subscribe_internal(&account, &subject, None, Scope::Cluster, door)
        };
        let doors = Kind::subjects(&own.id).into_iter().map(open).collect::<Result<_, _>>();
        let doors = doors.context("system account")?;
        let desk = Arc::new(Desk::new(own, source, http));
        tokio::spawn(work(desk, requests, router.clone(), account.clone()));
        Ok(Self { _doors: doors })
    }
}

/// Where requests of one kind come in.
struct Door {
    kind: Kind,
    queue: mpsc::Sender<Request>,
}

impl Deliver for Door {
    fn deliver(&self, message: &Message<'_>) {
        let Some(reply) = message.reply else { return };
        let length = message.payload.len();
        // Copied: it may be a slice of a much larger buffer.
        let body =
            if length > BODY { Err(length) } else { Ok(Bytes::copy_from_slice(message.payload)) };
        let request = Request { kind: self.kind, reply: reply.into(), body };
        if self.queue.try_send(request).is_err() {
            log::debug!("A request to the system account is dropped: {QUEUED} others wait");
        }
    }
}

/// Answers one request after the other, where it may block: numbers are read under locks and from files.
async fn work(
    desk: Arc<Desk>,
    mut requests: mpsc::Receiver<Request>,
    router: RouterHandle,
    account: Arc<Account>,
) {
    while let Some(Request { kind, reply, body }) = requests.recv().await {
        let desk = Arc::clone(&desk);
        match tokio::task::spawn_blocking(move || desk.answer(kind, &body)).await {
            Ok(Some(answer)) => {
                router.publish_internal(&account, &reply, None, None, &answer.into());
            }
            Ok(None) => {}
            Err(error) => log::error!("A request to the system account is not answered: {error}"),
        }
    }
}
