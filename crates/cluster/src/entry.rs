//! How a store enters a cluster, from the first start to every later one.
//!
//! A store without a cluster takes part in the bootstrap, until it knows which cluster there is and whether it is the
//! founder. Then, and at every start of a store that has a cluster, it registers with the meta group.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_meta::{BootstrapOptions, DamagedCommand, Message};
use flotilla_raft::StoreId;
use flotilla_routes::{Lane, Parts};
use tokio::sync::{mpsc, watch};

use crate::bootstrap::Founding;
use crate::control;
use crate::links::Links;
use crate::registration::register;
use crate::store::JetStreamLink;

/// The other stores, as far as entering a cluster goes.
pub(crate) trait Fleet: Send + Sync + 'static {
    /// Those that can be reached, and the clusters they belong to.
    fn stores(&self) -> BTreeMap<StoreId, Option<u64>>;

    /// Tells of every change of these.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Sends a message, which may get lost.
    fn send(&self, to: StoreId, message: &Message);

    /// This store belongs to a cluster, as others may know.
    fn belongs(&self, cluster: u64);
}

impl Fleet for Links {
    fn stores(&self) -> BTreeMap<StoreId, Option<u64>> {
        Self::stores(self)
    }

    fn changes(&self) -> watch::Receiver<u64> {
        Self::changes(self)
    }

    fn send(&self, to: StoreId, message: &Message) {
        let frame = Parts::from_iter([control::bootstrap(message)]);
        self.send_to(to, Lane::Control, frame);
    }

    fn belongs(&self, cluster: u64) {
        self.handle.set_cluster_id(cluster);
    }
}

/// What the store file holds as `bootstrap`: nothing; or one byte, then what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing was ever promised.
    Untouched,
    /// 1, then the acceptor's state.
    Deciding(Bytes),
    /// 2: the meta group has this store as a member. A founder must not found again, even if it should find its
    /// replica of the meta group gone: the cluster has lived on since.
    Entered,
}

impl Progress {
    pub(crate) fn encode(&self) -> Bytes {
        match self {
            Self::Untouched => Bytes::new(),
            Self::Deciding(state) => [&[1], &state[..]].concat().into(),
            Self::Entered => Bytes::from_static(&[2]),
        }
    }

    /// Anything unknown counts as an acceptor's state, which then cannot be read.
    fn decode(bytes: &Bytes) -> Self {
        match bytes.first() {
            None => Self::Untouched,
            Some(2) if bytes.len() == 1 => Self::Entered,
            Some(1) => Self::Deciding(bytes.slice(1..)),
            Some(_) => Self::Deciding(bytes.clone()),
        }
    }
}

/// Begins to enter, in the background, until it is done or `stop` says so.
///
/// # Errors
/// The store has forgotten what it promised.
pub(crate) fn enter(
    fleet: Arc<dyn Fleet>,
    link: JetStreamLink,
    messages: mpsc::Receiver<(StoreId, Message)>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), DamagedCommand> {
    let link = Arc::new(link);
    if let Some(cluster) = link.cluster {
        fleet.belongs(cluster);
    }
    let progress = Progress::decode(&link.bootstrap);
    let founding = match (&progress, link.cluster) {
        (Progress::Entered, _) | (Progress::Untouched, Some(_)) => None,
        (Progress::Untouched, None) => {
            Some(Founding::new(fleet.clone(), link.clone(), options(&link), None)?)
        }
        // A founder whose process ended right after the decision still has to found.
        (Progress::Deciding(state), _) => {
            Some(Founding::new(fleet.clone(), link.clone(), options(&link), Some(state))?)
        }
    };
    tokio::spawn(async move {
        let enter = async {
            match founding {
                Some(founding) => founding.run(messages).await,
                None => register(&*fleet, &link, link.cluster).await,
            }
        };
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        tokio::select! {
            () = enter => {}
            () = stopped => {}
        }
    });
    Ok(())
}

fn options(link: &JetStreamLink) -> BootstrapOptions {
    BootstrapOptions {
        store: link.info.store,
        expected: link.expected,
        candidate: flotilla_meta::ClusterId(rand::random::<u64>().max(1)),
        seed: rand::random(),
        patience: crate::bootstrap::PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_the_store_file() {
        let state = Bytes::from_static(&[2]);
        for progress in [Progress::Untouched, Progress::Deciding(state), Progress::Entered] {
            assert_eq!(Progress::decode(&progress.encode()), progress);
        }
    }
}
