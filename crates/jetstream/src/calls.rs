//! Requests to the leader of a group, wherever it is: here, or on another server over the control lane.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flotilla_host::{Answer, CallId, Input, Request};
use flotilla_raft::{GroupId, StoreId};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};

use crate::inboxes::Inboxes;
use crate::leaders::{Claim, Leaders};

/// How long one try may take before another is made.
const TRY: Duration = Duration::from_secs(2);
/// How long to wait before a group is asked again that had no leader where it was looked for.
const PAUSE: Duration = Duration::from_millis(50);

/// What crosses servers. JSON: there are few, and people read them when something is wrong.
#[derive(Debug, Serialize, Deserialize)]
pub enum Wire {
    /// A request.
    Ask {
        /// The caller's number.
        id: u64,
        /// Whom.
        group: GroupId,
        /// What.
        request: Request,
    },
    /// Its answer.
    Answer {
        /// The caller's number.
        id: u64,
        /// What.
        answer: Answer,
    },
}

/// The way to other servers.
pub trait Remote: Send + Sync {
    /// Sends a bundle of one of the shards; `bulk` ones never stand before others. Returns whether it is on its way; if
    /// not, Raft is told that the link is reset.
    fn bundle(&self, to: StoreId, shard: u8, frame: Vec<Bytes>, bulk: bool) -> bool;

    /// Tells all servers who leads here, or ceased to.
    fn claims(&self, claims: &[Claim]);

    /// Sends `wire` to the server with that store. Returns whether it is on its way.
    fn send(&self, to: StoreId, wire: &Wire) -> bool;

    /// Sends a pull request or an acknowledgement, as a client sent it, to the server that leads the consumer; there
    /// it is given to [`Ingest::forwarded`](crate::Ingest::forwarded). Returns whether it is on its way. Called on
    /// the client's thread: it must not block.
    fn forward(
        &self,
        to: StoreId,
        account: &str,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Bytes>,
        payload: &Bytes,
    ) -> bool;
}

/// Who waits for an answer of a shard here.
enum Waits {
    Blocked(std::sync::mpsc::Sender<Answer>),
    Here(oneshot::Sender<Answer>),
    There { store: StoreId, id: u64 },
}

/// The calls of this server.
pub struct Calls {
    store: StoreId,
    inboxes: Arc<Inboxes>,
    leaders: Arc<Leaders>,
    remote: Arc<dyn Remote>,
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, Waits>>,
    /// What was asked of other servers: whom, and who waits.
    abroad: Mutex<BTreeMap<u64, (StoreId, oneshot::Sender<Answer>)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only maps are changed under these locks, one call at a time: a poisoned one is sound.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Calls {
    pub(crate) fn new(
        store: StoreId,
        inboxes: Arc<Inboxes>,
        leaders: Arc<Leaders>,
        remote: Arc<dyn Remote>,
    ) -> Self {
        Self {
            store,
            inboxes,
            leaders,
            remote,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            abroad: Mutex::default(),
        }
    }

    /// Asks the leader of `group`, again and elsewhere if need be, until `deadline`. `None` when no leader answered
    /// in time; a change may have been made all the same.
    pub async fn call(
        &self,
        group: GroupId,
        request: &Request,
        deadline: Instant,
    ) -> Option<Answer> {
        loop {
            let leader = timeout_at(deadline, self.leaders.wait_for(group)).await.ok()?;
            let until = deadline.min(Instant::now() + TRY);
            match timeout_at(until, self.ask(leader, group, request.clone())).await {
                Ok(Some(Answer::NotLeader) | None) | Err(_) => {}
                Ok(answer) => return answer,
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(PAUSE).await;
        }
    }

    /// Asks one server. `None` when it cannot be reached, or went away meanwhile.
    pub async fn ask(&self, store: StoreId, group: GroupId, request: Request) -> Option<Answer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        let _forget = Forget { calls: self, id };
        if store == self.store {
            lock(&self.waiting).insert(id, Waits::Here(answer));
            if !self.inboxes.tell(Input::Call { id: CallId(id), group, request }) {
                return None;
            }
        } else {
            lock(&self.abroad).insert(id, (store, answer));
            if !self.remote.send(store, &Wire::Ask { id, group, request }) {
                return None;
            }
        }
        answered.await.ok()
    }

    /// Has a shard keep what the bootstrap's acceptor promises, and waits until it did.
    pub(crate) fn keep_bootstrap(&self, state: Bytes) -> Option<Answer> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = std::sync::mpsc::channel();
        lock(&self.waiting).insert(id, Waits::Blocked(answer));
        if !self.inboxes.tell(Input::KeepBootstrap { id: CallId(id), state }) {
            lock(&self.waiting).remove(&id);
            return None;
        }
        answered.recv().ok()
    }

    /// Something came from another server.
    pub fn receive(&self, from: StoreId, wire: Wire) {
        match wire {
            Wire::Ask { id, group, request } => {
                let here = self.next.fetch_add(1, Ordering::Relaxed);
                lock(&self.waiting).insert(here, Waits::There { store: from, id });
                if !self.inboxes.tell(Input::Call { id: CallId(here), group, request }) {
                    self.answer(CallId(here), Answer::NotLeader);
                }
            }
            Wire::Answer { id, answer } => {
                if let Some((_, waits)) = lock(&self.abroad).remove(&id) {
                    // Whoever asked may have given up.
                    drop(waits.send(answer));
                }
            }
        }
    }

    /// The link to a server was lost, and with it perhaps what was asked there, or the answer: whoever waits asks again
    /// at once, instead of after its patience.
    pub(crate) fn link_lost(&self, store: StoreId) {
        lock(&self.abroad).retain(|_, (asked, _)| *asked != store);
    }

    /// The shards here have ended: whoever waits for it is told that nothing is led here.
    pub(crate) fn end(&self) {
        let waiting: Vec<u64> = lock(&self.waiting).keys().copied().collect();
        for id in waiting {
            self.answer(CallId(id), Answer::NotLeader);
        }
    }

    /// A shard here answers.
    pub(crate) fn answer(&self, id: CallId, answer: Answer) {
        match lock(&self.waiting).remove(&id.0) {
            Some(Waits::Here(waits)) => drop(waits.send(answer)),
            Some(Waits::Blocked(waits)) => drop(waits.send(answer)),
            Some(Waits::There { store, id }) => {
                self.remote.send(store, &Wire::Answer { id, answer });
            }
            None => {}
        }
    }
}

/// Takes a call off the tables when nobody waits for it any more.
struct Forget<'a> {
    calls: &'a Calls,
    id: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.calls.waiting).remove(&self.id);
        lock(&self.calls.abroad).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes everything and says nothing.
    struct Silence;

    impl Remote for Silence {
        fn bundle(&self, _: StoreId, _: u8, _: Vec<Bytes>, _: bool) -> bool {
            true
        }
        fn claims(&self, _: &[Claim]) {}
        fn send(&self, _: StoreId, _: &Wire) -> bool {
            true
        }
        #[rustfmt::skip]
        fn forward(
            &self, _: StoreId, _: &str, _: &str, _: Option<&str>, _: Option<&Bytes>, _: &Bytes,
        ) -> bool {
            true
        }
    }

    #[tokio::test]
    async fn who_waits_for_a_lost_link_is_told_and_who_waits_for_another_is_not() {
        let calls = Calls::new(
            StoreId(1),
            Arc::new(Inboxes::new(1, 64 << 20)),
            Arc::default(),
            Arc::new(Silence),
        );
        let barrier = || Request::Meta(flotilla_host::MetaRequest::Barrier);
        let lost = calls.ask(StoreId(2), GroupId::META, barrier());
        let other = calls.ask(StoreId(3), GroupId::META, barrier());
        let (lost, other) = tokio::join!(
            async {
                tokio::join!(tokio::time::timeout(TRY, lost), async { calls.link_lost(StoreId(2)) })
                    .0
            },
            tokio::time::timeout(Duration::from_millis(20), other),
        );
        assert_eq!(lost, Ok(None));
        assert!(other.is_err(), "it waits on");
        assert!(lock(&calls.abroad).is_empty(), "nothing is left of either");
    }
}
