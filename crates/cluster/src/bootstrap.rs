//! Runs the choice of a cluster's first configuration ([`flotilla_meta::Bootstrap`]) over the routes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flotilla_host::{Input, Join};
use flotilla_meta::{
    Bootstrap, BootstrapOptions, ClusterId, DamagedCommand, Effect, Input as Step, Message, Meta,
};
use flotilla_raft::{Membership, StoreId};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::entry::{Fleet, Progress};
use crate::registration::register;
use crate::store::{JetStreamLink, PersistError};

/// How long an attempt to decide may take: a few round trips, each with a sync at the other end.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// Nothing is due; looked at again at last then.
const IDLE: Duration = Duration::from_secs(3600);

/// One store's part in the choice, and what follows from it.
pub(crate) struct Founding {
    machine: Bootstrap,
    fleet: Arc<dyn Fleet>,
    link: Arc<JetStreamLink>,
    started: Instant,
    /// What the machine knows of the fleet.
    seen: BTreeMap<StoreId, Option<u64>>,
    /// Registers this store once it is decided; at most one.
    registering: JoinSet<()>,
}

impl Founding {
    /// `state` is what the machine persisted last.
    pub(crate) fn new(
        fleet: Arc<dyn Fleet>,
        link: Arc<JetStreamLink>,
        options: BootstrapOptions,
        state: Option<&Bytes>,
    ) -> Result<Self, DamagedCommand> {
        let machine = match state {
            Some(state) => Bootstrap::restore(options, state)?,
            None => Bootstrap::new(options),
        };
        let (started, seen) = (Instant::now(), BTreeMap::new());
        Ok(Self { machine, fleet, link, started, seen, registering: JoinSet::new() })
    }

    /// Takes part until messages end: also after the decision, for others may have missed it.
    pub(crate) async fn run(mut self, messages: mpsc::Receiver<(StoreId, Message)>) {
        if let Err(error) = self.take_part(messages).await {
            log::error!("This store takes no part in the bootstrap any more: {error}");
        }
    }

    async fn take_part(
        &mut self,
        mut messages: mpsc::Receiver<(StoreId, Message)>,
    ) -> Result<(), PersistError> {
        let mut changes = self.fleet.changes();
        self.step(Step::Tick).await?;
        loop {
            self.look_around().await?;
            let due = self.started
                + self.machine.next_deadline().unwrap_or(IDLE + self.started.elapsed());
            tokio::select! {
                message = messages.recv() => match message {
                    Some((from, message)) => self.step(Step::Message { from, message }).await?,
                    None => return Ok(()),
                },
                // The fleet holds the sender.
                _ = changes.changed() => {}
                () = sleep_until(due) => self.step(Step::Tick).await?,
                Some(_) = self.registering.join_next() => self.persist(Progress::Entered).await?,
            }
        }
    }

    /// Tells the machine what changed in the fleet.
    async fn look_around(&mut self) -> Result<(), PersistError> {
        let now = self.fleet.stores();
        let before = std::mem::replace(&mut self.seen, now.clone());
        for store in before.into_keys().filter(|store| !now.contains_key(store)) {
            self.step(Step::PeerGone { store }).await?;
        }
        // Said again for all: saying it twice changes nothing.
        for (store, cluster) in now {
            self.step(Step::PeerSeen { store, cluster_id: cluster.map(ClusterId) }).await?;
        }
        Ok(())
    }

    /// One step of the machine, and those that follow from what it wants persisted.
    async fn step(&mut self, step: Step) -> Result<(), PersistError> {
        let mut steps = VecDeque::from([step]);
        while let Some(step) = steps.pop_front() {
            let mut effects = Vec::new();
            self.machine.step(self.started.elapsed(), step, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Persist { ticket, state } => {
                        self.persist(Progress::Deciding(state.into())).await?;
                        steps.push_back(Step::Persisted(ticket));
                    }
                    Effect::Send { to, message } => self.fleet.send(to, &message),
                    Effect::Found { cluster_id } => self.found(cluster_id.0),
                    Effect::Join { cluster_id, .. } => self.join(cluster_id.0),
                }
            }
        }
        Ok(())
    }

    /// This store writes the first configuration, unless its shard did so before.
    fn found(&mut self, cluster: u64) {
        log::info!("This store founds cluster {cluster:016x}");
        let (replica, store) = (Meta::FOUNDER, self.link.info.store);
        let stores = BTreeMap::from([(replica, store)]);
        let founding = Membership { voters: vec![replica], stores, ..Membership::default() };
        self.link.jetstream.input(Input::Join(Join { cluster, replica, founding }));
        self.join(cluster);
    }

    fn join(&mut self, cluster: u64) {
        self.fleet.belongs(cluster);
        let (fleet, link) = (self.fleet.clone(), self.link.clone());
        self.registering.spawn(async move { register(&*fleet, &link, Some(cluster)).await });
    }

    /// Durable when this returns.
    async fn persist(&self, progress: Progress) -> Result<(), PersistError> {
        let jetstream = self.link.jetstream.clone();
        spawn_blocking(move || jetstream.persist(progress.encode())).await?
    }
}

#[cfg(test)]
mod tests;
