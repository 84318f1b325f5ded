//! A server among others: the routes joined with the router and with JetStream.
//!
//! * Clients of all servers talk to each other: interest and messages travel between the routers.
//! * Stores talk to each other: [calls](flotilla_jetstream::Calls), claims of leadership, Raft bundles.
//! * Stores watch over each other: beats out, judgements in (`beats`, [`Detector`](flotilla_host::Detector)).
//! * A store enters a cluster: it founds one with others, or finds one (`bootstrap`, `registration`).
//!
//! [`Cluster::bind`] opens the routes and gives a [`ClusterHandle`] that JetStream is built with;
//! [`Cluster::start`] joins all three. A server without a `cluster` block is [`Alone`].
//!
//! # What goes on which lane
//!
//! | lane | frames |
//! |---|---|
//! | `Control` | calls and answers, claims of leadership, the bootstrap (`control`) |
//! | `Messages` | interest, routed messages, pull requests and acknowledgements for a consumer's leader (`envelope`) |
//! | `Raft(n)` | Raft bundles of shard n |
//! | `Bulk(0)` | bundles with pieces of a state, in one transfer that lasts as long as the link |
//!
//! # Where to start reading
//!
//! `service` is the loop that everything from other servers passes through; `members` and `messages` take it on.

mod alone;
mod beats;
mod bootstrap;
mod cluster;
mod control;
mod entry;
mod envelope;
mod handle;
mod interest;
mod leadership;
mod links;
mod lock;
mod members;
mod messages;
mod raft;
mod registration;
mod roster;
mod routes_thread;
mod service;
mod store;

pub use alone::{Alone, Entering};
pub use cluster::{BindError, Cluster, Options, StartError, TellClientUrls};
pub use handle::{ClusterHandle, PeerStatus};
pub use store::{Asking, JetStreamLink, LocalStore, PersistError};
