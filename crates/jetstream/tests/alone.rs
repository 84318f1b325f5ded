//! The whole of JetStream on one server, without sockets: from a publisher through a stream to a consumer, over a
//! real store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_host::{Answer, Join, MetaRequest, Request};
use flotilla_jetstream::{ApiOptions, Claim, JetStream, JetStreamOptions, Remote, Wire, open};
use flotilla_jsapi::consumer::ConsumerInfo;
use flotilla_jsapi::publish::PubAckReply;
use flotilla_jsapi::stream::{StreamCreated, StreamDescription, StreamNames};
use flotilla_jsapi::{AccountLimits, ReplyKind, Success};
use flotilla_meta::{Meta, PeerLimits};
use flotilla_raft::{GroupId, Membership, StoreId};
use flotilla_server_core::{Account, Deliver, InternalSubscription, Message, RouterHandle, Scope};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

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
struct Seen {
    subject: String,
    reply: Option<String>,
    headers: String,
    payload: Bytes,
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
struct Inbox {
    messages: mpsc::UnboundedReceiver<Seen>,
    _subscription: InternalSubscription,
}

impl Inbox {
    async fn next(&mut self) -> Seen {
        let message = timeout(PATIENCE, self.messages.recv()).await;
        message.expect("a message in time").expect("a message")
    }
}

struct Server {
    router: RouterHandle,
    account: Arc<Account>,
    jetstream: JetStream,
}

impl Server {
    async fn start(store_dir: &std::path::Path) -> Self {
        let router = RouterHandle::new();
        let options = JetStreamOptions {
            store_dir: store_dir.to_owned(),
            server_name: "S1".to_owned(),
            cluster_name: "S1".to_owned(),
            tags: Vec::new(),
            limits: PeerLimits { jetstream: true, ..PeerLimits::default() },
            unique_tag: None,
            shards: 2,
            wal_max_size: Some(32 << 20),
            api: ApiOptions {
                server_name: "S1".to_owned(),
                cluster_name: None,
                domain: None,
                server_version: "2.10.29".to_owned(),
                stream_limits: Default::default(),
                consumer_bounds: Default::default(),
            },
        };
        let opened = open(options).expect("a store");
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

    fn listen(&self, subject: &str) -> Inbox {
        let (listener, messages) = mpsc::unbounded_channel();
        let listener = Arc::new(Listener(listener));
        let subscription =
            self.router.subscribe_internal(&self.account, subject, None, Scope::Cluster, listener);
        Inbox { messages, _subscription: subscription.expect("a subject") }
    }

    fn publish(&self, subject: &str, reply: &str, body: &str) -> bool {
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.router.publish_internal(&self.account, subject, Some(reply), None, &body)
    }

    async fn request(&self, subject: &str, body: &str) -> Bytes {
        let mut inbox = self.listen("_INBOX.request");
        assert!(self.publish(subject, "_INBOX.request", body), "nobody listens to {subject}");
        inbox.next().await.payload
    }

    async fn api<T: DeserializeOwned>(&self, kind: ReplyKind, subject: &str, body: &str) -> T {
        let answer = self.request(&format!("$JS.API.{subject}"), body).await;
        kind.decode(&answer).unwrap_or_else(|error| panic!("{subject}: {error}"))
    }

    async fn store(&self, subject: &str, body: &str) -> u64 {
        let ack: PubAckReply =
            serde_json::from_slice(&self.request(subject, body).await).expect("an acknowledgement");
        assert_eq!(ack.error, None);
        ack.sequence
    }
}

const CONSUMER: &str =
    r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_from_publishers_to_consumers_and_outlive_the_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path()).await;
    let body = r#"{"name":"S","subjects":["orders.>"]}"#;
    let created: StreamCreated = server.api(ReplyKind::StreamCreate, "STREAM.CREATE.S", body).await;
    assert_eq!(created.info.cluster.and_then(|c| c.leader).as_deref(), Some("S1"));
    for expected in 1..=3 {
        assert_eq!(server.store(&format!("orders.{expected}"), "body").await, expected);
    }
    let consumer: ConsumerInfo =
        server.api(ReplyKind::ConsumerCreate, "CONSUMER.CREATE.S.C", CONSUMER).await;
    assert_eq!(consumer.config.durable_name, "C");

    let mut inbox = server.listen("_INBOX.pull");
    server.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", "_INBOX.pull", r#"{"batch":5,"no_wait":true}"#);
    for seq in 1..=3 {
        let message = inbox.next().await;
        assert_eq!(
            (message.subject, &message.payload[..]),
            (format!("orders.{seq}"), &b"body"[..])
        );
        let ack = message.reply.expect("a place for the acknowledgement");
        assert!(server.request(&ack, "+ACK").await.is_empty());
    }
    assert_eq!(inbox.next().await.headers, "NATS/1.0 404 No Messages\r\n\r\n");
    let consumer: ConsumerInfo = server.api(ReplyKind::ConsumerInfo, "CONSUMER.INFO.S.C", "").await;
    assert_eq!((consumer.ack_floor.stream_seq, consumer.num_ack_pending), (3, 0));
    server.jetstream.stop();
    drop(server);

    let server = Server::start(dir.path()).await;
    let stream: StreamDescription = server.api(ReplyKind::StreamInfo, "STREAM.INFO.S", "").await;
    assert_eq!((stream.info.state.messages, stream.info.state.consumer_count), (3, 1));
    let consumer: ConsumerInfo = server.api(ReplyKind::ConsumerInfo, "CONSUMER.INFO.S.C", "").await;
    assert_eq!(consumer.ack_floor.stream_seq, 3);
    let done: Success = server.api(ReplyKind::StreamDelete, "STREAM.DELETE.S", "").await;
    assert_eq!(done, Success::DONE);
    let names: StreamNames = server.api(ReplyKind::StreamNames, "STREAM.NAMES", "").await;
    assert!(names.streams.is_empty());
    server.jetstream.stop();
}
