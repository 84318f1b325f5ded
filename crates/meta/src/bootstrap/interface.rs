//! What goes into a store's bootstrap, and what comes out.

use std::time::Duration;

use flotilla_raft::StoreId;

use super::message::Message;
use crate::server::ClusterId;

/// What a store's bootstrap starts from.
#[derive(Clone, Copy, Debug)]
pub struct BootstrapOptions {
    /// This store.
    pub store: StoreId,
    /// How many stores there shall be, this one included:
    /// [`expected_stores`](Self::expected_stores).
    pub expected: usize,
    /// A random number, never 0: the id of the cluster if this store should found it.
    pub candidate: ClusterId,
    /// Another one, for jitter.
    pub seed: u64,
    /// How long an attempt may take; a few round trips with a sync each.
    pub patience: Duration,
}

impl BootstrapOptions {
    /// How many stores to expect. `routes` is the number of distinct configured routes to others;
    /// `None` without a `cluster` block, and the store then decides alone and at once.
    #[must_use]
    pub fn expected_stores(routes: Option<usize>) -> usize {
        routes.map_or(1, |others| others.saturating_add(1).max(2))
    }
}

/// Numbers the states to be persisted, upwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A route to a peer stands. Repeat it when the peer's cluster id changes.
    PeerSeen {
        /// Its store.
        store: StoreId,
        /// The cluster it belongs to.
        cluster_id: Option<ClusterId>,
    },
    /// The route is gone.
    PeerGone {
        /// Its store.
        store: StoreId,
    },
    /// A peer sent this.
    Message {
        /// Its store, as the route's handshake proved it.
        from: StoreId,
        /// What it says.
        message: Message,
    },
    /// The state with this ticket, and all before it, are on stable storage.
    Persisted(Ticket),
    /// Time passed, or the service begins.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Replace the persisted state by this one, durably, and then say [`Input::Persisted`].
    Persist {
        /// Which state.
        ticket: Ticket,
        /// Its bytes, for [`Bootstrap::restore`](super::Bootstrap::restore).
        state: Vec<u8>,
    },
    /// Send this; it may get lost.
    Send {
        /// To whom.
        to: StoreId,
        /// What.
        message: Message,
    },
    /// This store founds the cluster: it writes [`Meta::found`](crate::Meta::found) and the first
    /// configuration, itself the only voter, unless it did so before. Said again after each
    /// restart.
    Found {
        /// The cluster.
        cluster_id: ClusterId,
    },
    /// This store belongs to that cluster and joins it as a learner. Said again after each restart.
    Join {
        /// The cluster.
        cluster_id: ClusterId,
        /// Its founder, where it is known.
        founder: Option<StoreId>,
    },
}
