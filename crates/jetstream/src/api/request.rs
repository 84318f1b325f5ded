//! One request, and the count of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flotilla_jsapi::level::API_LEVEL;
use flotilla_jsapi::{AccountLimits, ApiError, ApiStats, ErrorKind};
use flotilla_server_core::{Account, Message, Origin};
use serde_json::{Map, Value};
use tokio::time::Instant;

/// How long a request may take, from when it came. Clients wait for 5 s.
pub(crate) const PATIENCE: Duration = Duration::from_millis(4500);

/// A request as it came.
pub(super) struct ApiRequest {
    pub(super) account: Arc<Account>,
    pub(super) subject: String,
    pub(super) reply: Option<String>,
    pub(super) headers: Bytes,
    pub(super) payload: Bytes,
    pub(super) counters: Arc<Counters>,
    /// What the account may use.
    pub(super) limits: Arc<AccountLimits>,
    came: Instant,
}

impl ApiRequest {
    /// Copies the message: it may lie in a much larger buffer, and may have to wait.
    pub(super) fn new(
        message: &Message<'_>,
        counters: &Arc<Counters>,
        limits: &Arc<AccountLimits>,
    ) -> Self {
        Self {
            account: Arc::clone(message.account),
            subject: message.subject.to_owned(),
            reply: message.reply.map(str::to_owned),
            headers: message.headers.map(|h| Bytes::copy_from_slice(h)).unwrap_or_default(),
            payload: Bytes::copy_from_slice(message.payload),
            counters: Arc::clone(counters),
            limits: Arc::clone(limits),
            came: Instant::now(),
        }
    }

    /// What it takes in memory.
    pub(super) fn size(&self) -> usize {
        let reply = self.reply.as_ref().map_or(0, String::len);
        let own = size_of::<Self>();
        own + self.subject.len() + reply + self.headers.len() + self.payload.len()
    }

    /// The account's name.
    pub(super) fn account(&self) -> String {
        self.account.name().to_owned()
    }

    /// When it must be answered.
    pub(super) fn deadline(&self) -> Instant {
        self.came + PATIENCE
    }

    /// Whether it is too late to answer it.
    pub(super) fn is_late(&self) -> bool {
        Instant::now() >= self.deadline()
    }

    /// The moment `patience` from now, or when the request must be answered, if that is earlier.
    pub(super) fn within(&self, patience: Duration) -> Instant {
        self.deadline().min(Instant::now() + patience)
    }

    /// The message it came as.
    pub(super) fn message(&self) -> Message<'_> {
        Message {
            account: &self.account,
            subject: &self.subject,
            shown: None,
            reply: self.reply.as_deref(),
            headers: (!self.headers.is_empty()).then_some(&self.headers),
            payload: &self.payload,
            origin: Origin::Server,
        }
    }

    /// Refuses a body where the request has none: who sends one believes that it means something.
    pub(super) fn require_empty(&self) -> Result<(), ApiError> {
        let is_empty = self.payload.trim_ascii().is_empty()
            || serde_json::from_slice::<Map<String, Value>>(&self.payload)
                .is_ok_and(|fields| fields.is_empty());
        if is_empty { Ok(()) } else { Err(ErrorKind::NotEmptyRequest.error()) }
    }
}

/// The use of the API on this server: an account's, or all.
#[derive(Debug, Default)]
pub(super) struct Counters {
    total: AtomicU64,
    errors: AtomicU64,
    /// What these count counts there too.
    all: Option<Arc<Self>>,
}

impl Counters {
    /// An account's, beside those of `all`.
    pub(super) fn of_account(all: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self { all: Some(Arc::clone(all)), ..Self::default() })
    }

    /// Counts a request. Those whose answers are messages and statuses do not count, as in the reference server.
    pub(super) fn begin(&self) {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.all.iter().for_each(|all| all.begin());
    }

    /// Counts that it failed.
    pub(super) fn fail(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        self.all.iter().for_each(|all| all.fail());
    }

    /// As clients are told.
    pub(super) fn stats(&self) -> ApiStats {
        ApiStats {
            level: API_LEVEL,
            total: self.total.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            inflight: 0,
        }
    }
}
