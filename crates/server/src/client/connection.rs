//! What is known of one connection by others than its own tasks.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use flotilla_proto::{Connect, Info, encoder};

use crate::auth::Admission;
use crate::lock::lock;
use crate::router::client::Client;
use crate::router::outbox::Appended;
use crate::router::{CloseReason, ConnectionId};

pub(super) struct Connection {
    pub(super) client: Arc<Client>,
    remote: SocketAddr,
    start: SystemTime,
    started: Instant,
    /// Milliseconds from `started` to the last input.
    last_input: AtomicU64,
    pub(super) in_messages: AtomicU64,
    pub(super) in_bytes: AtomicU64,
    /// Does the client take an `INFO` at any time?
    takes_info: AtomicBool,
    identity: Mutex<Identity>,
}

#[derive(Default)]
struct Identity {
    name: Option<String>,
    lang: Option<String>,
    version: Option<String>,
    admission: Option<Admission>,
    round_trip: Option<Duration>,
}

/// One connection at one moment, for monitoring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The connection's id.
    pub id: ConnectionId,
    /// The client's address.
    pub remote: SocketAddr,
    /// When it connected.
    pub start: SystemTime,
    /// For how long it has been connected.
    pub uptime: Duration,
    /// For how long nothing has been heard from it.
    pub idle: Duration,
    /// The time from a ping to its answer.
    pub round_trip: Option<Duration>,
    /// The client's name for itself.
    pub name: Option<String>,
    /// The client library's language.
    pub lang: Option<String>,
    /// The client library's version.
    pub version: Option<String>,
    /// The account, once the client is in one.
    pub account: Option<String>,
    /// The user, if there are users.
    pub user: Option<String>,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// How many bytes wait to be written to it.
    pub pending_bytes: usize,
    /// Messages it published.
    pub in_messages: u64,
    /// Their headers and payloads, in bytes.
    pub in_bytes: u64,
    /// Messages queued for it.
    pub out_messages: u64,
    /// Their headers and payloads, in bytes.
    pub out_bytes: u64,
}

/// One subscription of a connection, for monitoring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// The subject or pattern.
    pub subject: String,
    /// The queue group.
    pub queue: Option<String>,
    /// The client's name for it.
    pub sid: String,
    /// How many messages it got.
    pub delivered: u64,
}

impl Connection {
    pub(super) fn new(client: Arc<Client>, remote: SocketAddr) -> Self {
        Self {
            client,
            remote,
            start: SystemTime::now(),
            started: Instant::now(),
            last_input: AtomicU64::new(0),
            in_messages: AtomicU64::new(0),
            in_bytes: AtomicU64::new(0),
            takes_info: AtomicBool::new(false),
            identity: Mutex::default(),
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.client.id()
    }

    pub(super) fn close(&self, reason: CloseReason) {
        self.client.outbox.close(reason);
    }

    pub(super) fn note_input(&self, now: Instant) {
        let since_start = now.saturating_duration_since(self.started).as_millis();
        self.last_input.store(u64::try_from(since_start).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn note_identity(&self, connect: &Connect, admission: Option<&Admission>) {
        let mut identity = lock(&self.identity);
        identity.name.clone_from(&connect.name);
        identity.lang.clone_from(&connect.lang);
        identity.version.clone_from(&connect.version);
        identity.admission = admission.cloned();
    }

    pub(super) fn note_round_trip(&self, round_trip: Option<Duration>) {
        lock(&self.identity).round_trip = round_trip;
    }

    /// From now on the client may be sent an `INFO` at any time.
    pub(super) fn accept_info(&self) {
        self.takes_info.store(true, Ordering::Release);
    }

    /// Sends `info`, made out to this client, if the client takes it.
    pub(super) fn offer_info(&self, info: &Info) {
        if !self.takes_info.load(Ordering::Acquire) {
            return;
        }
        let mut line = Vec::new();
        // To write JSON into memory cannot fail; a client would merely miss a hint.
        if encoder::put_info(&mut line, &self.info_of(info)).is_ok() {
            let appended = self.client.outbox.append(&mut line);
            debug_assert_ne!(appended, Appended::Overflow, "an INFO is small");
        }
    }

    /// `info` with what is this client's own.
    pub(super) fn info_of(&self, info: &Info) -> Info {
        Info {
            client_id: self.id().get(),
            client_ip: self.remote.ip().to_canonical().to_string(),
            ..info.clone()
        }
    }

    pub(super) fn snapshot(&self) -> ConnectionInfo {
        let uptime = self.started.elapsed();
        let last_input = Duration::from_millis(self.last_input.load(Ordering::Relaxed));
        let identity = lock(&self.identity);
        ConnectionInfo {
            id: self.id(),
            remote: self.remote,
            start: self.start,
            uptime,
            idle: uptime.saturating_sub(last_input),
            round_trip: identity.round_trip,
            name: identity.name.clone(),
            lang: identity.lang.clone(),
            version: identity.version.clone(),
            account: identity.admission.as_ref().map(|admission| admission.account.clone()),
            user: identity.admission.as_ref().and_then(|admission| admission.user.clone()),
            subscriptions: self.client.subscription_count(),
            pending_bytes: self.client.outbox.pending(),
            in_messages: self.in_messages.load(Ordering::Relaxed),
            in_bytes: self.in_bytes.load(Ordering::Relaxed),
            out_messages: self.client.out_messages.load(Ordering::Relaxed),
            out_bytes: self.client.out_bytes.load(Ordering::Relaxed),
        }
    }

    pub(super) fn subscriptions(&self) -> Vec<SubscriptionInfo> {
        let mut all = Vec::new();
        self.client.visit_subscriptions(|subscription| {
            all.push(SubscriptionInfo {
                subject: subscription.subject().to_owned(),
                queue: subscription.queue().map(ToOwned::to_owned),
                sid: String::from_utf8_lossy(&subscription.sid).into_owned(),
                delivered: subscription.delivered(),
            });
        });
        all
    }
}
