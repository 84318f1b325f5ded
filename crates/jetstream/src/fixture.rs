//! A server whose shard is the test's: requests to groups are carried out on a meta machine, and by simple answers.

mod shard;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flotilla_host::Input;
use flotilla_jsapi::AccountLimits;
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{Account, Deliver, Message, RouterHandle, Scope};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::api::{Api, ApiOptions, ContextParts};
use crate::calls::{Calls, Remote, Wire};
use crate::directory::Directory;
use crate::inboxes::Inboxes;
use crate::ingest::{Ingest, IngestParts};
use crate::leaders::{Claim, Leaders};

use shard::{FakeShard, drive};

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

    fn bundle(&self, _: StoreId, _: u8, _: Vec<Bytes>, _: bool) -> bool {
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
    inboxes: Arc<Inboxes>,
    next: AtomicU64,
}

impl Fixture {
    /// A member of a cluster of three, which leads everything.
    pub(crate) fn start() -> Self {
        let router = RouterHandle::new();
        let (inboxes, directory) =
            (Arc::new(Inboxes::new(1, 64 << 20)), Arc::new(Directory::default()));
        let (leaders, remote) = (Arc::new(Leaders::default()), Arc::new(Notes::default()));
        let shard = Arc::new(FakeShard::of_three(&directory, &leaders));
        let calls = Calls::new(HERE, inboxes.clone(), leaders.clone(), remote.clone());
        let calls = Arc::new(calls);
        let ingest = Arc::new(Ingest::new(IngestParts {
            store: HERE,
            domain: None,
            router: router.clone(),
            inboxes: Arc::clone(&inboxes),
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
        api.enable(&account, AccountLimits::default());
        let inputs = drive(&shard, inboxes.of(GroupId::META), &calls);
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
            inboxes,
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
        self.inboxes.close();
    }
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

/// By name, what the meta machine holds in `$G`.
pub(crate) fn names(directory: &Directory) -> BTreeMap<String, usize> {
    let names = directory.with(|meta| {
        meta.streams_of("$G").map(|(name, s)| (name.to_owned(), s.consumers.len())).collect()
    });
    names.unwrap_or_default()
}
