//! A server whose shard is the test's: requests to groups are carried out on a meta machine, and by simple answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use flotilla_host::{
    Answer, ClusterAnswer, ConsumerAnswer, Get, Input, MemberAnswer, MetaFeed, MetaRequest,
    Request, StoredMessage, StreamAnswer, StreamRequest,
};
use flotilla_jsapi::ErrorKind;
use flotilla_meta::{ClusterId, Command, Meta, PeerLimits, Reply, ServerInfo};
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{Account, Deliver, Message, RouterHandle, Scope};
use flotilla_stream::Timestamp;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::api::{Api, ApiOptions, ContextParts};
use crate::calls::{Calls, Remote, Wire};
use crate::directory::Directory;
use crate::inbox::Inbox;
use crate::ingest::{Ingest, IngestParts};
use crate::leaders::{Claim, Leaders};

/// This server; n2 and n3 are elsewhere and never answer.
pub(crate) const HERE: StoreId = StoreId(1);
pub(crate) const THERE: StoreId = StoreId(2);

/// Notes what would leave for other servers.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<String>>);

impl Notes {
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Remote for Notes {
    fn send(&self, _: StoreId, _: &Wire) -> bool {
        false
    }

    fn bundle(&self, _: StoreId, _: Vec<Bytes>, _: bool) -> bool {
        false
    }

    fn claims(&self, _: &[Claim]) {}

    fn forward(
        &self,
        to: StoreId,
        account: &str,
        subject: &str,
        reply: Option<&str>,
        _: Option<&Bytes>,
        payload: &Bytes,
    ) -> bool {
        let payload = String::from_utf8_lossy(payload);
        self.0.lock().unwrap().push(format!("{to} {account} {subject} {reply:?} {payload}"));
        true
    }
}

/// What a shard would know.
pub(crate) struct FakeShard {
    directory: Arc<Directory>,
    leaders: Arc<Leaders>,
    state: Mutex<(Meta, u64)>,
    asked: Mutex<Vec<Request>>,
}

impl FakeShard {
    fn state(&self) -> MutexGuard<'_, (Meta, u64)> {
        self.state.lock().unwrap()
    }

    /// The requests that changed no asset of the meta machine.
    pub(crate) fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    pub(crate) fn apply(&self, command: &Command) -> Answer {
        let command = Bytes::from(command.encode(Timestamp(1)));
        let mut state = self.state();
        state.1 += 1;
        let index = state.1;
        let reply = state.0.apply(&command).unwrap().reply;
        self.directory.feed(vec![MetaFeed::Entry { index, command }]);
        let asset = |group, created| Answer::Asset { group, created, index };
        match reply {
            Reply::Created(new) => {
                self.leaders.claim(HERE, Claim { group: new.group, term: 1, leads: true });
                asset(new.group, true)
            }
            Reply::Exists(it) | Reply::Updated(it) => asset(it.group, false),
            Reply::Error(error) => {
                let kind = ErrorKind::from_number(error.err_code()).unwrap();
                Answer::Error(kind.because(&error))
            }
            _ => Answer::Done,
        }
    }

    fn carry_out(&self, group: GroupId, request: Request) -> Answer {
        match request {
            Request::Meta(request) => self.change(request),
            Request::Stream(StreamRequest::Info { .. }) => self.stream(group),
            Request::Consumer(flotilla_host::ConsumerRequest::Info) => self.consumer(group),
            Request::Stream(StreamRequest::Get(Get::Seq(1))) => Answer::Message(StoredMessage {
                subject: "orders.1".to_owned(),
                seq: 1,
                time: Timestamp(0),
                headers: Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n"),
                payload: Bytes::from_static(b"one"),
                last_seq: 1,
            }),
            Request::Stream(StreamRequest::Get(_)) => {
                Answer::Error(ErrorKind::NoMessageFound.error())
            }
            other => {
                let is_purge = matches!(other, Request::Stream(StreamRequest::Purge { .. }));
                self.asked.lock().unwrap().push(other);
                if is_purge { Answer::Purged(3) } else { Answer::Done }
            }
        }
    }

    fn change(&self, request: MetaRequest) -> Answer {
        let on = |replicas: u8| (1..=u64::from(replicas.max(1))).map(StoreId).collect();
        let command = match request {
            MetaRequest::Barrier => return Answer::Applied(self.state().1),
            MetaRequest::CreateStream { account, config } => {
                let stores = on(config.replicas);
                let (config, preferred, max_streams) = (*config, HERE, None);
                Command::CreateStream { account, config, stores, preferred, max_streams }
            }
            MetaRequest::UpdateStream { account, config } => {
                Command::UpdateStream { account, config: *config, changes: Vec::new() }
            }
            MetaRequest::DeleteStream { account, stream } => {
                Command::DeleteStream { account, stream, group: None }
            }
            MetaRequest::CreateConsumer { account, stream, config, action } => {
                let replicas = self
                    .state()
                    .0
                    .stream(&account, &stream)
                    .map(|s| flotilla_meta::consumer_replicas(&s.config, &config));
                Command::CreateConsumer {
                    account,
                    stream,
                    config: *config,
                    action,
                    stores: on(replicas.unwrap_or(1)),
                    preferred: HERE,
                    max_consumers: None,
                }
            }
            MetaRequest::DeleteConsumer { account, stream, consumer } => {
                Command::DeleteConsumer { account, stream, consumer, group: None }
            }
            MetaRequest::RemoveServer { store } => Command::RemoveServer { store },
            other => {
                self.asked.lock().unwrap().push(Request::Meta(other));
                return Answer::Done;
            }
        };
        self.apply(&command)
    }

    fn cluster(&self, group: GroupId, stores: impl Iterator<Item = StoreId>) -> ClusterAnswer {
        let leader = self.leaders.of(group);
        let members = stores.filter(|store| Some(*store) != leader).map(|store| MemberAnswer {
            store,
            current: true,
            offline: false,
            lag: 0,
            active: 5,
        });
        ClusterAnswer { group, leader, leader_since: None, members: members.collect() }
    }

    fn stream(&self, group: GroupId) -> Answer {
        let state = self.state();
        let Some(flotilla_meta::Asset::Stream(asset)) = state.0.asset(group) else {
            return Answer::NotLeader;
        };
        Answer::Stream(Box::new(StreamAnswer {
            config: asset.config.clone(),
            created: asset.created,
            messages: 2,
            bytes: 100,
            first_seq: 1,
            first_time: Some(Timestamp(0)),
            last_seq: 2,
            last_time: Some(Timestamp(1)),
            num_subjects: 2,
            num_deleted: 0,
            deleted: None,
            subjects: Some((vec![("orders.1".to_owned(), 1)], 7)),
            cluster: self.cluster(group, asset.group.stores()),
        }))
    }

    fn consumer(&self, group: GroupId) -> Answer {
        let state = self.state();
        let Some(flotilla_meta::Asset::Consumer(asset)) = state.0.asset(group) else {
            return Answer::NotLeader;
        };
        Answer::Consumer(Box::new(ConsumerAnswer {
            config: asset.config.clone(),
            created: asset.created,
            delivered: (2, 2, Some(Timestamp(0))),
            ack_floor: (1, 1, None),
            num_ack_pending: 1,
            num_redelivered: 0,
            num_waiting: 0,
            num_pending: 3,
            cluster: self.cluster(group, asset.group.stores()),
        }))
    }
}

/// Hands what it is given to the test.
struct Listener(mpsc::UnboundedSender<(Bytes, Bytes)>);

impl Deliver for Listener {
    fn deliver(&self, message: &Message<'_>) {
        let headers = message.headers.cloned().unwrap_or_default();
        drop(self.0.send((headers, message.payload.clone())));
    }
}

/// The server.
pub(crate) struct Fixture {
    pub(crate) router: RouterHandle,
    pub(crate) account: Arc<Account>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) api: Api,
    pub(crate) shard: Arc<FakeShard>,
    pub(crate) remote: Arc<Notes>,
    /// What came for the shard beside requests.
    pub(crate) inputs: mpsc::UnboundedReceiver<Input>,
    inbox: Arc<Inbox>,
    next: AtomicU64,
}

impl Fixture {
    /// A member of a cluster of three, which leads everything.
    pub(crate) fn start() -> Self {
        let router = RouterHandle::new();
        let (inbox, directory) = (Arc::new(Inbox::default()), Arc::new(Directory::default()));
        let (leaders, remote) = (Arc::new(Leaders::default()), Arc::new(Notes::default()));
        let meta = Meta::found(ClusterId(7), HERE);
        directory.feed(vec![MetaFeed::Base { index: 1, state: meta.base().into() }]);
        leaders.claim(HERE, Claim { group: GroupId::META, term: 1, leads: true });
        let shard = Arc::new(FakeShard {
            directory: Arc::clone(&directory),
            leaders: Arc::clone(&leaders),
            state: Mutex::new((meta, 1)),
            asked: Mutex::default(),
        });
        (1..=3).for_each(|n| drop(shard.apply(&register(n))));
        let calls = Calls::new(HERE, inbox.clone(), leaders.clone(), remote.clone());
        let calls = Arc::new(calls);
        let ingest = Arc::new(Ingest::new(IngestParts {
            store: HERE,
            domain: None,
            router: router.clone(),
            inbox: Arc::clone(&inbox),
            directory: Arc::clone(&directory),
            leaders: Arc::clone(&leaders),
            remote: remote.clone(),
        }));
        let parts = ContextParts {
            store: HERE,
            router: router.clone(),
            calls: Arc::clone(&calls),
            directory: Arc::clone(&directory),
            leaders: Arc::clone(&leaders),
            ingest: Arc::clone(&ingest),
        };
        let api = Api::start(options(), parts);
        let account = router.account("$G");
        api.enable(&account);
        let inputs = drive(&shard, &inbox, &calls);
        let next = AtomicU64::new(0);
        Self {
            router,
            account,
            directory,
            leaders,
            ingest,
            api,
            shard,
            remote,
            inputs,
            inbox,
            next,
        }
    }

    /// Publishes a request.
    pub(crate) fn publish(&self, subject: &str, reply: Option<&str>, headers: &str, body: &str) {
        let headers = Bytes::copy_from_slice(headers.as_bytes());
        let headers = (!headers.is_empty()).then_some(&headers);
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.router.publish_internal(&self.account, subject, reply, headers, &body);
    }

    /// Sends a request with headers, and returns headers and payload of its one answer.
    pub(crate) async fn request_with(
        &self,
        subject: &str,
        headers: &str,
        body: &str,
    ) -> (String, Bytes) {
        let reply = format!("_INBOX.{}", self.next.fetch_add(1, Ordering::Relaxed));
        let (listener, mut answers) = mpsc::unbounded_channel();
        let listener = Arc::new(Listener(listener));
        let _subscription = self
            .router
            .subscribe_internal(&self.account, &reply, None, Scope::Cluster, listener)
            .unwrap();
        self.publish(subject, Some(&reply), headers, body);
        let answer = timeout(Duration::from_secs(10), answers.recv()).await;
        let (headers, payload) = answer.expect("an answer").expect("an answer");
        assert!(answers.try_recv().is_err(), "more than one answer to {subject}");
        (String::from_utf8(headers.to_vec()).unwrap(), payload)
    }

    /// Sends a request, and returns its one answer.
    pub(crate) async fn request(&self, subject: &str, body: &str) -> Bytes {
        self.request_with(subject, "", body).await.1
    }

    /// The next thing that comes for the shard beside requests.
    pub(crate) async fn input(&mut self) -> Input {
        let input = timeout(Duration::from_secs(10), self.inputs.recv()).await;
        input.expect("an input").expect("an input")
    }

    /// The group of a consumer, or of a stream.
    pub(crate) fn group(&self, stream: &str, consumer: Option<&str>) -> GroupId {
        let found = self.directory.with(|meta| match consumer {
            Some(consumer) => meta.consumer("$G", stream, consumer).map(|c| c.group.id),
            None => meta.stream("$G", stream).map(|s| s.group.id),
        });
        found.flatten().expect("an asset")
    }

    /// Lets another server lead a group, or none.
    pub(crate) fn lead(&self, group: GroupId, store: Option<StoreId>) {
        self.leaders.claim(HERE, Claim { group, term: 2, leads: false });
        if let Some(store) = store {
            self.leaders.claim(store, Claim { group, term: 3, leads: true });
        }
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.inbox.close();
    }
}

fn register(n: u64) -> Command {
    let info = ServerInfo {
        store: StoreId(n),
        name: format!("n{n}"),
        cluster: "C1".to_owned(),
        tags: vec![format!("zone:{n}")],
        limits: PeerLimits { jetstream: true, ..PeerLimits::default() },
    };
    Command::RegisterServer { info, rejoin: false }
}

fn options() -> ApiOptions {
    ApiOptions {
        server_name: "n1".to_owned(),
        cluster_name: Some("C1".to_owned()),
        domain: None,
        server_version: "2.10.29".to_owned(),
        stream_limits: Default::default(),
        consumer_bounds: Default::default(),
    }
}

/// The shard's thread, until the inbox is closed.
fn drive(
    shard: &Arc<FakeShard>,
    inbox: &Arc<Inbox>,
    calls: &Arc<Calls>,
) -> mpsc::UnboundedReceiver<Input> {
    let (shard, inbox, calls) = (Arc::clone(shard), Arc::clone(inbox), Arc::clone(calls));
    let (taken, inputs) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut waiting = Vec::new();
        while inbox.take(None, &mut waiting) {
            for input in waiting.drain(..) {
                match input {
                    Input::Call { id, group, request } => {
                        calls.answer(id, shard.carry_out(group, request));
                    }
                    other => drop(taken.send(other)),
                }
            }
        }
    });
    inputs
}

/// By name, what the meta machine holds in `$G`.
pub(crate) fn names(directory: &Directory) -> BTreeMap<String, usize> {
    let names = directory.with(|meta| {
        meta.streams_of("$G").map(|(name, s)| (name.to_owned(), s.consumers.len())).collect()
    });
    names.unwrap_or_default()
}
