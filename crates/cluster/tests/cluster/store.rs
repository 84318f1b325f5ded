//! A store whose shard remembers its inputs, and answers for the meta group if it founded it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use flotilla_cluster::{Asking, ClusterHandle, LocalStore, PersistError};
use flotilla_host::{Answer, Input, Join, Request, Room};
use flotilla_jetstream::{Remote, Wire};
use flotilla_raft::{GroupId, ReplicaId, StoreId};
use tokio::sync::oneshot;

/// A store.
pub(crate) struct FakeStore {
    pub(crate) id: StoreId,
    pub(crate) remote: OnceLock<ClusterHandle>,
    pub(crate) inputs: Mutex<Vec<Input>>,
    pub(crate) joins: Mutex<Vec<Join>>,
    pub(crate) file: Mutex<Bytes>,
    pub(crate) is_well: AtomicBool,
    pub(crate) room: Mutex<Room>,
    pub(crate) forwarded: Mutex<Vec<String>>,
    registered: Mutex<BTreeMap<StoreId, ReplicaId>>,
    asked: Mutex<BTreeMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
}

impl FakeStore {
    pub(crate) fn new(id: u64) -> Arc<Self> {
        Arc::new(Self {
            id: StoreId(id),
            remote: OnceLock::new(),
            inputs: Mutex::default(),
            joins: Mutex::default(),
            file: Mutex::default(),
            is_well: AtomicBool::new(true),
            room: Mutex::default(),
            forwarded: Mutex::default(),
            registered: Mutex::default(),
            asked: Mutex::default(),
            next: AtomicU64::new(1),
        })
    }

    /// Whether an input like this came, and forgets all up to it.
    pub(crate) fn took(&self, wanted: impl FnMut(&Input) -> bool) -> bool {
        let mut inputs = self.inputs.lock().unwrap();
        let Some(at) = inputs.iter().position(wanted) else { return false };
        inputs.drain(..=at);
        true
    }

    fn answer(&self, from: StoreId) -> Answer {
        let founded =
            self.joins.lock().unwrap().iter().find(|j| j.replica == ReplicaId(1)).cloned();
        let Some(Join { cluster, founding, .. }) = founded else { return Answer::NotLeader };
        let mut registered = self.registered.lock().unwrap();
        registered.entry(self.id).or_insert(ReplicaId(1));
        let next = ReplicaId(registered.len() as u64 + 1);
        let replica = *registered.entry(from).or_insert(next);
        Answer::Registered { cluster, replica, founding }
    }
}

impl LocalStore for FakeStore {
    fn input(&self, input: Input) -> bool {
        match input {
            Input::Join(join) => self.joins.lock().unwrap().push(join),
            input => self.inputs.lock().unwrap().push(input),
        }
        true
    }

    fn settle(&self) {}

    fn ask(&self, store: StoreId, group: GroupId, request: Request) -> Asking<'_> {
        if store == self.id {
            let answer = self.answer(self.id);
            return Box::pin(async move { Some(answer) });
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.asked.lock().unwrap().insert(id, answer);
        let sent = self.remote.get().unwrap().send(store, &Wire::Ask { id, group, request });
        Box::pin(async move { if sent { answered.await.ok() } else { None } })
    }

    fn receive(&self, from: StoreId, wire: Wire) {
        match wire {
            Wire::Ask { id, .. } => {
                let answer = self.answer(from);
                self.remote.get().unwrap().send(from, &Wire::Answer { id, answer });
            }
            Wire::Answer { id, answer } => {
                if let Some(asked) = self.asked.lock().unwrap().remove(&id) {
                    drop(asked.send(answer));
                }
            }
        }
    }

    fn forwarded(
        &self,
        account: &str,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Bytes>,
        payload: &Bytes,
    ) {
        let text = format!("{account} {subject} {reply:?} {headers:?} {payload:?}");
        self.forwarded.lock().unwrap().push(text);
    }

    fn persist(&self, bootstrap: Bytes) -> Result<(), PersistError> {
        *self.file.lock().unwrap() = bootstrap;
        Ok(())
    }

    fn is_well(&self) -> bool {
        self.is_well.load(Ordering::Relaxed)
    }

    fn synced(&self) -> u64 {
        0
    }

    fn room(&self) -> Room {
        *self.room.lock().unwrap()
    }
}
