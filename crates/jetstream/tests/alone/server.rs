//! JetStream on one server, and a client of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_disk::MemDisk;
use flotilla_host::{Answer, Join, MetaRequest, Request};
use flotilla_jetstream::{
    ApiOptions, Buffers, Claim, JetStream, JetStreamOptions, Opened, Opening, Remote, Wire, open,
    open_on,
};
use flotilla_jsapi::publish::PubAckReply;
use flotilla_jsapi::{AccountLimits, ReplyKind};
use flotilla_meta::{Meta, PeerLimits};
use flotilla_raft::{GroupId, Membership, StoreId};
use flotilla_server_core::{Account, Deliver, InternalSubscription, Message, RouterHandle, Scope};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// There are no others.
struct Nobody;

impl Remote for Nobody {
    fn bundle(&self, _: StoreId, _: u8, _: Vec<Bytes>, _: bool) -> bool {
        true
    }

    fn claims(&self, _: &[Claim]) {}

    fn send(&self, _: StoreId, _: &Wire) -> bool {
        false
    }

    fn forward(
        &self,
        _: StoreId,
        _: &str,
        _: &str,
        _: Option<&str>,
        _: Option<&Bytes>,
        _: &Bytes,
    ) -> bool {
        false
    }
}

/// A message as a client would see it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: String,
    pub(crate) payload: Bytes,
}

struct Listener(mpsc::UnboundedSender<Seen>);

impl Deliver for Listener {
    fn deliver(&self, message: &Message<'_>) {
        let headers = message.headers.map(|h| h.to_vec()).unwrap_or_default();
        let seen = Seen {
            subject: message.shown.unwrap_or(message.subject).to_owned(),
            reply: message.reply.map(str::to_owned),
            headers: String::from_utf8(headers).expect("text"),
            payload: message.payload.clone(),
        };
        drop(self.0.send(seen));
    }
}

/// An inbox, for as long as it lives.
pub(crate) struct Inbox {
    messages: mpsc::UnboundedReceiver<Seen>,
    _subscription: InternalSubscription,
}

impl Inbox {
    pub(crate) async fn next(&mut self) -> Seen {
        let message = timeout(PATIENCE, self.messages.recv()).await;
        message.expect("a message in time").expect("a message")
    }
}

pub(crate) struct Server {
    pub(crate) router: RouterHandle,
    pub(crate) account: Arc<Account>,
    pub(crate) jetstream: JetStream,
}

pub(crate) fn options(store_dir: &std::path::Path) -> JetStreamOptions {
    JetStreamOptions {
        store_dir: store_dir.to_owned(),
        server_name: "S1".to_owned(),
        server_id: "NS1".to_owned(),
        system_account: "$SYS".to_owned(),
        cluster_name: "S1".to_owned(),
        tags: Vec::new(),
        limits: PeerLimits { jetstream: true, ..PeerLimits::default() },
        unique_tag: None,
        shards: 2,
        wal_max_size: Some(32 << 20),
        buffers: Buffers::default(),
        api: ApiOptions {
            server_name: "S1".to_owned(),
            cluster_name: None,
            domain: None,
            server_version: "2.10.29".to_owned(),
            stream_limits: Default::default(),
            consumer_bounds: Default::default(),
        },
    }
}

impl Server {
    /// On real files.
    pub(crate) async fn start(store_dir: &std::path::Path) -> Self {
        Self::serve(open(options(store_dir), &Opening::default()).expect("a store")).await
    }

    /// On a disk that does what the test wants.
    pub(crate) async fn start_on(disk: &MemDisk) -> Self {
        let options = options(std::path::Path::new("/store"));
        Self::serve(open_on(Arc::new(disk.clone()), options, &Opening::default()).expect("a store"))
            .await
    }

    async fn serve(opened: Opened) -> Self {
        let router = RouterHandle::new();
        let (store, known) = (opened.store(), opened.cluster());
        let jetstream = opened.start(&router, Arc::new(Nobody)).expect("threads");
        if known.is_none() {
            let replica = Meta::FOUNDER;
            let stores = [(replica, store)].into();
            let founding = Membership { voters: vec![replica], stores, ..Membership::default() };
            jetstream.join(Join { cluster: 7, replica, founding });
        }
        let info = jetstream.info().clone();
        let register = Request::Meta(MetaRequest::Register { info, rejoin: true });
        let deadline = Instant::now() + PATIENCE;
        let registered = jetstream.calls().call(GroupId::META, &register, deadline).await;
        assert!(matches!(registered, Some(Answer::Registered { .. })), "{registered:?}");
        let account = router.account("$G");
        jetstream.api().enable(&account, AccountLimits::default());
        Self { router, account, jetstream }
    }

    pub(crate) fn listen(&self, subject: &str) -> Inbox {
        self.listen_in(&self.account, subject)
    }

    pub(crate) fn listen_in(&self, account: &Arc<Account>, subject: &str) -> Inbox {
        let (listener, messages) = mpsc::unbounded_channel();
        let listener = Arc::new(Listener(listener));
        let subscription =
            self.router.subscribe_internal(account, subject, None, Scope::Cluster, listener);
        Inbox { messages, _subscription: subscription.expect("a subject") }
    }

    pub(crate) fn publish(&self, subject: &str, reply: &str, body: &str) -> bool {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.router.publish_internal(&self.account, subject, Some(reply), None, &body)
    }

    pub(crate) async fn request(&self, subject: &str, body: &str) -> Bytes {
        let mut inbox = self.listen("_INBOX.request");
        assert!(self.publish(subject, "_INBOX.request", body), "nobody listens to {subject}");
        inbox.next().await.payload
    }

    pub(crate) async fn api<T: DeserializeOwned>(
        &self,
        kind: ReplyKind,
        subject: &str,
        body: &str,
    ) -> T {
        let answer = self.request(&format!("$JS.API.{subject}"), body).await;
        kind.decode(&answer).unwrap_or_else(|error| panic!("{subject}: {error}"))
    }

    pub(crate) async fn store(&self, subject: &str, body: &str) -> u64 {
        let ack: PubAckReply =
            serde_json::from_slice(&self.request(subject, body).await).expect("an acknowledgement");
        assert_eq!(ack.error, None);
        ack.sequence
    }
}
