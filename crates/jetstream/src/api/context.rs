//! What all requests use: the directory, made current, and the leaders of groups.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_host::{Answer, MetaRequest, Request};
use flotilla_jsapi::{ApiError, ErrorKind, Success};
use flotilla_meta::{AssetGroup, Meta};
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::RouterHandle;
use flotilla_stream::{StreamConfig, Timestamp};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ApiOptions;
use super::barrier::Barrier;
use super::request::ApiRequest;
use crate::calls::Calls;
use crate::directory::Directory;
use crate::ingest::Ingest;
use crate::leaders::Leaders;

/// How long an asset's leader is waited for before any member is asked.
const LEADER_PATIENCE: Duration = Duration::from_secs(1);
/// How long members are waited for when no leader answers.
const MEMBER_PATIENCE: Duration = Duration::from_secs(1);
/// How long an asset's own machine may take to follow its configuration, before the client is answered all the same.
const FOLLOW_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether it did.
const FOLLOW_PAUSE: Duration = Duration::from_millis(20);
/// How many groups are asked at the same time for one request.
const GATHERED: usize = 256;
/// How many requests may ask that many groups at the same time.
const GATHERERS: usize = 8;

/// What the API works with.
pub(crate) struct ContextParts {
    /// This server.
    pub(crate) store: StoreId,
    pub(crate) router: RouterHandle,
    pub(crate) calls: Arc<Calls>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) ingest: Arc<Ingest>,
}

pub(super) struct Context {
    pub(super) options: ApiOptions,
    pub(super) store: StoreId,
    pub(super) router: RouterHandle,
    pub(super) leaders: Arc<Leaders>,
    pub(super) ingest: Arc<Ingest>,
    calls: Arc<Calls>,
    directory: Arc<Directory>,
    barrier: Barrier,
    gatherers: Semaphore,
}

/// A stream, as the directory knows it.
#[derive(Clone, Debug)]
pub(super) struct StreamEntry {
    pub(super) group: GroupId,
    pub(super) config: StreamConfig,
    /// Where its replicas are, those that come and those that go too.
    pub(super) stores: Vec<StoreId>,
    pub(super) consumers: u64,
}

/// A consumer, likewise.
#[derive(Clone, Debug)]
pub(super) struct ConsumerEntry {
    pub(super) group: GroupId,
    pub(super) stores: Vec<StoreId>,
}

impl Context {
    pub(super) fn new(options: ApiOptions, parts: ContextParts) -> Self {
        let ContextParts { store, router, calls, directory, leaders, ingest } = parts;
        let barrier =
            Barrier::start(Arc::clone(&calls), Arc::clone(&directory), Arc::clone(&leaders));
        let gatherers = Semaphore::new(GATHERERS);
        Self { options, store, router, leaders, ingest, calls, directory, barrier, gatherers }
    }

    /// Answers a request.
    pub(super) fn reply(&self, request: &ApiRequest, headers: Option<&Bytes>, payload: &Bytes) {
        if let Some(reply) = &request.reply {
            self.router.publish_internal(&request.account, reply, None, headers, payload);
        }
    }

    /// Makes the directory current. Fails while the meta group has no leader.
    pub(super) async fn current(&self) -> Result<(), ApiError> {
        if self.barrier.pass().await { Ok(()) } else { Err(unavailable()) }
    }

    /// Looks into the directory, as it is.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Meta) -> T) -> Result<T, ApiError> {
        self.directory.with(look).ok_or_else(unavailable)
    }

    /// A stream that exists now; while the meta group has no leader, one that this server knows of. Its own leader
    /// then says whether it lives.
    pub(super) async fn stream(
        &self,
        request: &ApiRequest,
        stream: &str,
    ) -> Result<StreamEntry, ApiError> {
        let current = self.current().await;
        let account = request.account.name();
        let found = self.with(|meta| meta.stream(account, stream).map(StreamEntry::of))?;
        found.ok_or_else(|| missing(current, ErrorKind::StreamNotFound))
    }

    /// A consumer that exists, likewise.
    pub(super) async fn consumer(
        &self,
        request: &ApiRequest,
        stream: &str,
        consumer: &str,
    ) -> Result<ConsumerEntry, ApiError> {
        let current = self.current().await;
        let account = request.account.name();
        let (has_stream, found) = self.with(|meta| {
            let found = meta.consumer(account, stream, consumer).map(ConsumerEntry::of);
            (meta.stream(account, stream).is_some(), found)
        })?;
        let kind = if has_stream { ErrorKind::ConsumerNotFound } else { ErrorKind::StreamNotFound };
        found.ok_or_else(|| missing(current, kind))
    }

    /// Asks a group's leader. An error that it answers is the outcome; 10008 when nobody answers in time.
    pub(super) async fn ask(
        &self,
        group: GroupId,
        request: Request,
        deadline: Instant,
    ) -> Result<Answer, ApiError> {
        match self.calls.call(group, &request, deadline).await {
            Some(Answer::Error(error)) => Err(error),
            Some(answer) => Ok(answer),
            None => Err(unavailable()),
        }
    }

    /// Asks the meta leader.
    pub(super) async fn ask_meta(
        &self,
        request: MetaRequest,
        deadline: Instant,
    ) -> Result<Answer, ApiError> {
        self.ask(GroupId::META, Request::Meta(request), deadline).await
    }

    /// Has the meta group create or change an asset, and waits until the directory knows. Returns the asset's group.
    pub(super) async fn change(
        &self,
        request: &ApiRequest,
        change: MetaRequest,
    ) -> Result<GroupId, ApiError> {
        let deadline = request.deadline();
        match self.ask_meta(change, deadline).await? {
            Answer::Asset { group, index, .. } => {
                let reached = timeout_at(deadline, self.directory.reaches(index)).await;
                reached.map(|()| group).map_err(|_| unavailable())
            }
            other => Err(unexpected(&other)),
        }
    }

    /// What an asset's leader says once it `follows` its configuration. That may take long, if the leader was lost
    /// meanwhile; the configuration is committed already, so after a while the last answer is as good.
    pub(super) async fn follow(
        &self,
        request: &ApiRequest,
        (group, question): (GroupId, &Request),
        follows: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, ApiError> {
        let patience = request.within(FOLLOW_PATIENCE);
        loop {
            let answer = self.ask(group, question.clone(), request.deadline()).await?;
            if follows(&answer) || Instant::now() >= patience {
                return Ok(answer);
            }
            sleep(FOLLOW_PAUSE).await;
        }
    }

    /// What an asset's leader says of it; during an election what any member says, first come.
    pub(super) async fn state(
        &self,
        request: &ApiRequest,
        (group, stores): (GroupId, &[StoreId]),
        question: Request,
    ) -> Result<Answer, ApiError> {
        let leader = self.ask(group, question.clone(), request.within(LEADER_PATIENCE)).await;
        match leader {
            Err(error) if error.kind() == Some(ErrorKind::ClusterNotAvail) => {
                self.ask_members(stores, group, &question).await.ok_or(error)
            }
            answered => answered,
        }
    }

    async fn ask_members(
        &self,
        stores: &[StoreId],
        group: GroupId,
        question: &Request,
    ) -> Option<Answer> {
        let mut asked = JoinSet::new();
        for store in stores.iter().copied() {
            let (calls, question) = (Arc::clone(&self.calls), question.clone());
            asked.spawn(async move { calls.ask(store, group, question).await });
        }
        let first = async {
            while let Some(answered) = asked.join_next().await {
                match answered {
                    Ok(Some(Answer::NotLeader | Answer::Error(_)) | None) | Err(_) => {}
                    Ok(answer) => return answer,
                }
            }
            None
        };
        timeout(MEMBER_PATIENCE, first).await.ok().flatten()
    }

    /// Asks the leaders of many groups at the same time. `None` for those that did not answer in time.
    pub(super) async fn gather(
        &self,
        asked: Vec<(GroupId, Request)>,
        deadline: Instant,
    ) -> Vec<Option<Answer>> {
        let mut answers = vec![None; asked.len()];
        let Ok(Ok(_permit)) = timeout_at(deadline, self.gatherers.acquire()).await else {
            return answers;
        };
        let mut queue = asked.into_iter().enumerate();
        let mut calls = JoinSet::new();
        loop {
            while calls.len() < GATHERED
                && let Some((at, (group, request))) = queue.next()
            {
                let leader = Arc::clone(&self.calls);
                calls.spawn(async move { (at, leader.call(group, &request, deadline).await) });
            }
            match calls.join_next().await {
                Some(Ok((at, answer))) => answers[at] = answer,
                Some(Err(_)) => {}
                None => return answers,
            }
        }
    }

    /// Refuses what only clusters do.
    pub(super) fn require_cluster(&self) -> Result<(), ApiError> {
        match self.options.cluster_name {
            Some(_) => Ok(()),
            None => Err(ErrorKind::ClusterRequired.error()),
        }
    }
}

impl StreamEntry {
    pub(super) fn of(asset: &flotilla_meta::StreamAsset) -> Self {
        Self {
            group: asset.group.id,
            config: asset.config.clone(),
            stores: stores(&asset.group),
            consumers: asset.consumers.len() as u64,
        }
    }
}

impl ConsumerEntry {
    pub(super) fn of(asset: &flotilla_meta::ConsumerAsset) -> Self {
        Self { group: asset.group.id, stores: stores(&asset.group) }
    }
}

fn stores(group: &AssetGroup) -> Vec<StoreId> {
    let actual = group.actual.membership.stores.values().copied();
    let mut stores: Vec<_> = group.stores().chain(actual).collect();
    stores.sort_unstable();
    stores.dedup();
    stores
}

/// 10008: clients try again.
pub(super) fn unavailable() -> ApiError {
    ErrorKind::ClusterNotAvail.error()
}

/// Something is not there; or, if the directory could not be made current, perhaps it is.
fn missing(current: Result<(), ApiError>, kind: ErrorKind) -> ApiError {
    current.err().unwrap_or_else(|| kind.error())
}

/// An answer of a kind that the request does not have. Only a server of another version gives one.
pub(super) fn unexpected(answer: &Answer) -> ApiError {
    log::warn!("A request of the JetStream API was answered with {answer:?}");
    unavailable()
}

/// The outcome of a request whose answer says no more than that it was done.
pub(super) fn done(answer: &Answer) -> Result<Success, ApiError> {
    match answer {
        Answer::Done => Ok(Success::DONE),
        other => Err(unexpected(other)),
    }
}

/// The time of day.
pub(super) fn now() -> Timestamp {
    crate::clock::wall()
}
