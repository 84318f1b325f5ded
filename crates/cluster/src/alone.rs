//! A server without a `cluster` block: a cluster of one.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_jetstream::{Claim, Remote, Wire};
use flotilla_meta::{DamagedCommand, Message};
use flotilla_raft::StoreId;
use tokio::sync::{mpsc, watch};

use crate::entry::{Fleet, enter};
use crate::store::JetStreamLink;

/// The other servers of a server that has none.
///
/// Its store still enters a cluster, which it founds at once, so that the same code serves one server and many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Alone;

/// Ends the entering of a cluster when it is dropped.
#[derive(Debug)]
#[must_use = "the store enters no cluster when this is dropped"]
pub struct Entering {
    _stop: watch::Sender<bool>,
}

impl Alone {
    /// Founds a cluster of this one store, or finds the one that it belongs to, in the background. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// The store file's bootstrap state cannot be read.
    pub fn start(self, mut link: JetStreamLink) -> Result<Entering, DamagedCommand> {
        link.expected = 1;
        let (stop, stopped) = watch::channel(false);
        let (sender, messages) = mpsc::channel(1);
        let nobody = Nobody { changes: watch::Sender::new(0), _messages: sender };
        enter(Arc::new(nobody), link, messages, stopped)?;
        Ok(Entering { _stop: stop })
    }
}

impl Remote for Alone {
    /// Always true: there is no link that could be reset.
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

/// A fleet of no stores, which nothing ever comes from.
struct Nobody {
    changes: watch::Sender<u64>,
    _messages: mpsc::Sender<(StoreId, Message)>,
}

impl Fleet for Nobody {
    fn stores(&self) -> BTreeMap<StoreId, Option<u64>> {
        BTreeMap::new()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn send(&self, _: StoreId, _: &Message) {}

    fn belongs(&self, _: u64) {}
}
