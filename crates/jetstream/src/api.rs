//! The JetStream API: `$JS.API.…` in, exactly one answer out.
//!
//! Every JetStream server listens, in each account that has JetStream, as a member of one queue group: so one server
//! takes each request, the client's own where it can. It asks the meta group and the leaders of assets for what it
//! needs, wherever these are, and answers. A request that has come is answered within [`request::PATIENCE`].
//!
//! The way of a request: [`Door`] takes it on the client's thread, [`dispatch`] hands out at most [`IN_FLIGHT`] at a
//! time, [`route`](route::answer) tells them apart, and a function of `stream`, `consumer`, … carries it out. Up to
//! [`QUEUED`] requests, or [`QUEUED_BYTES`], wait their turn; one beyond is refused with 10008 at once, on which
//! clients try again (the reference server drops all that wait, without a word).

mod account;
mod barrier;
mod cluster_info;
mod consumer;
mod context;
mod direct;
mod leadership;
mod listing;
mod membership;
mod messages;
mod request;
mod route;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_jsapi::ack::ACK_PREFIX;
use flotilla_jsapi::consumer::ConsumerBounds;
use flotilla_jsapi::stream::StreamLimits;
use flotilla_jsapi::{API_PREFIX, AccountLimits, ApiStats, ApiSubject, ErrorKind, ReplyKind};
use flotilla_server_core::{Account, Deliver, InternalSubscription, Message, Scope};
use tokio::sync::{Semaphore, mpsc};

use crate::ingest::{Fate, Ingest};
use context::Context;
pub(crate) use context::ContextParts;
use request::{ApiRequest, Counters};

/// The queue group of the servers.
const QUEUE: &str = "_js_";
/// How many requests are carried out at the same time.
const IN_FLIGHT: usize = 512;
/// How many wait.
const QUEUED: usize = 10_000;
/// How many bytes of them wait.
const QUEUED_BYTES: usize = 64 << 20;

/// What the API says about this server, and what it allows.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// `server_name`.
    pub server_name: String,
    /// `cluster.name`; `None` for a server without a cluster, which refuses what only clusters do.
    pub cluster_name: Option<String>,
    /// `jetstream.domain`.
    pub domain: Option<String>,
    /// The version that `INFO` says.
    pub server_version: String,
    /// What streams may be.
    pub stream_limits: StreamLimits,
    /// What consumers may be.
    pub consumer_bounds: ConsumerBounds,
}

/// The API of this server. It ends when it is dropped; what is being carried out then is still answered.
pub struct Api {
    shared: Arc<Shared>,
    doors: Mutex<Doors>,
}

#[derive(Default)]
struct Doors {
    /// By account.
    open: BTreeMap<String, Vec<InternalSubscription>>,
    /// None is opened any more.
    closed: bool,
}

struct Shared {
    context: Arc<Context>,
    queue: mpsc::Sender<ApiRequest>,
    queued_bytes: Arc<AtomicUsize>,
    /// Of all accounts.
    counters: Arc<Counters>,
}

impl Api {
    /// Begins to carry out requests, on the Tokio runtime that this is called in. None come before
    /// [`enable`](Self::enable).
    pub(crate) fn start(options: ApiOptions, parts: ContextParts) -> Self {
        let context = Arc::new(Context::new(options, parts));
        let (queue, requests) = mpsc::channel(QUEUED);
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        tokio::spawn(dispatch(Arc::clone(&context), requests, Arc::clone(&queued_bytes)));
        let counters = Arc::default();
        let shared = Arc::new(Shared { context, queue, queued_bytes, counters });
        Self { shared, doors: Mutex::default() }
    }

    /// Gives an account JetStream, within limits: its requests and acknowledgements are taken from now on. To be called
    /// again when the limits are others. Of them, those on the numbers of streams and of consumers are kept.
    pub fn enable(&self, account: &Arc<Account>, limits: AccountLimits) {
        let mut all = self.lock();
        if all.closed {
            return;
        }
        let context = &self.shared.context;
        let requests: Arc<dyn Deliver> = Arc::new(Door {
            shared: Arc::clone(&self.shared),
            counters: Counters::of_account(&self.shared.counters),
            limits: Arc::new(limits),
        });
        let acks: Arc<dyn Deliver> = Arc::new(AckDoor { ingest: Arc::clone(&context.ingest) });
        let mut doors =
            vec![(format!("{API_PREFIX}>"), &requests), (format!("{ACK_PREFIX}>"), &acks)];
        if let Some(domain) = &context.options.domain {
            doors.push((format!("$JS.{domain}.API.>"), &requests));
        }
        let opened = doors.into_iter().filter_map(|(subject, part)| {
            let (queue, part) = (Some(QUEUE), Arc::clone(part));
            let opened =
                context.router.subscribe_internal(account, &subject, queue, Scope::Cluster, part);
            opened.map_err(|error| log::error!("The JetStream API cannot listen: {error}")).ok()
        });
        let opened = opened.collect();
        all.open.insert(account.name().to_owned(), opened);
    }

    /// How much it was used, by all accounts together.
    #[must_use]
    pub fn stats(&self) -> ApiStats {
        self.shared.counters.stats()
    }

    /// Takes JetStream from all accounts but these: nobody answers their requests any more.
    pub fn keep_only(&self, accounts: &BTreeSet<&str>) {
        self.lock().open.retain(|account, _| accounts.contains(account.as_str()));
    }

    /// Takes no requests any more: JetStream on this server has ended. Clients' requests go to other servers.
    pub(crate) fn close(&self) {
        let mut doors = self.lock();
        doors.closed = true;
        doors.open.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Doors> {
        // Only whole values are put in and taken out: a poisoned lock holds a sound map.
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an account's requests come in.
struct Door {
    shared: Arc<Shared>,
    counters: Arc<Counters>,
    limits: Arc<AccountLimits>,
}

impl Deliver for Door {
    fn deliver(&self, message: &Message<'_>) {
        let context = &self.shared.context;
        // Pull requests go straight to their consumer. One for a consumer not known here takes the long way: it may
        // have been made on another server just now.
        if let Some(ApiSubject::ConsumerNext(stream, consumer)) =
            context.ingest.parse(message.subject)
            && context.ingest.pull(message, stream, consumer) == Fate::Settled
        {
            return;
        }
        self.shared.take(ApiRequest::new(message, &self.counters, &self.limits));
    }

    fn settle(&self) {
        self.shared.context.ingest.settle();
    }
}

impl Shared {
    fn take(&self, request: ApiRequest) {
        let size = request.size();
        let refused = if self.queued_bytes.load(Ordering::Relaxed) + size > QUEUED_BYTES {
            request
        } else {
            self.queued_bytes.fetch_add(size, Ordering::Relaxed);
            let Err(full) = self.queue.try_send(request) else { return };
            self.queued_bytes.fetch_sub(size, Ordering::Relaxed);
            full.into_inner()
        };
        let subject = self.context.ingest.parse(&refused.subject);
        let kind = subject.and_then(|s| s.reply_kind()).unwrap_or(ReplyKind::System);
        refused.counters.begin();
        refused.counters.fail();
        let refusal = kind.failure(&ErrorKind::ClusterNotAvail.error());
        self.context.reply(&refused, None, &refusal.into());
    }
}

/// Carries requests out, in the order in which they came, as far as there is room.
async fn dispatch(
    context: Arc<Context>,
    mut requests: mpsc::Receiver<ApiRequest>,
    queued_bytes: Arc<AtomicUsize>,
) {
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    while let Some(request) = requests.recv().await {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        queued_bytes.fetch_sub(request.size(), Ordering::Relaxed);
        let context = Arc::clone(&context);
        tokio::spawn(async move {
            route::answer(&context, &request).await;
            drop(permit);
        });
    }
}

/// Where an account's acknowledgements come in.
struct AckDoor {
    ingest: Arc<Ingest>,
}

impl Deliver for AckDoor {
    fn deliver(&self, message: &Message<'_>) {
        self.ingest.ack(message);
    }

    fn settle(&self) {
        self.ingest.settle();
    }
}
