//! A message under way, and the two ways out of the router: into a part of this server, or to another one.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::account::Account;

/// Names one client connection of this server; never used again in its lifetime. It is `INFO`'s `client_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    pub(crate) fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names another server of the cluster to this router. The routes choose the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u64);

/// Who published a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client of this server.
    Client {
        /// Its connection.
        connection: ConnectionId,
        /// Does it want to hear itself?
        echo: bool,
    },
    /// Another server, for a client or a part of it. Such a message never goes to a third server.
    Peer(PeerId),
    /// A part of this server.
    Server,
}

/// A message as its publisher gave it. Headers and payload may be slices of a much larger read buffer: who keeps a
/// small one for long should copy it.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The account it is published in.
    pub account: &'a Arc<Account>,
    /// The subject; not checked against the grammar, but nothing that breaks it matches anyone.
    pub subject: &'a str,
    /// The subject that its receivers are shown in its place: a delivery of a stream goes to an inbox and shows the
    /// subject that it was published on.
    pub shown: Option<&'a str>,
    /// Where an answer is wanted.
    pub reply: Option<&'a str>,
    /// The header block, its closing empty line included.
    pub headers: Option<&'a Bytes>,
    /// The payload without headers.
    pub payload: &'a Bytes,
    /// Who published it.
    pub origin: Origin,
}

impl Message<'_> {
    /// Headers and payload, in bytes.
    pub fn size(&self) -> usize {
        self.headers.map_or(0, Bytes::len) + self.payload.len()
    }
}

/// A part of this server that takes messages, for example a stream.
pub trait Deliver: Send + Sync {
    /// Takes one message. Called on the publisher's thread for every message, one after another for one publisher
    /// and concurrently for several: it must neither block nor take long. No lock of the router is held, so it may
    /// publish and subscribe.
    fn deliver(&self, message: &Message<'_>);

    /// Called behind the last of several messages that were published together and of which some came here, on the
    /// publisher's thread: what is better done once for all of them is done now.
    fn settle(&self) {}
}

/// The other servers of the cluster.
pub trait Peers: Send + Sync {
    /// Sends `message` to `peer`, once, for all its plain subscriptions and for one member of each of `queues`, for
    /// which this server chose it. Called on the publisher's thread: it must not block.
    fn forward(&self, peer: PeerId, message: &Message<'_>, queues: &[Arc<str>]);

    /// What this server's own subscribers listen to has changed. Called in the order of the changes of one account,
    /// and under its lock: it must not block and not call the router.
    fn interest_changed(&self, interest: Interest<'_>);
}

/// How many subscribers of one kind there are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interest<'a> {
    /// The account's name.
    pub account: &'a str,
    /// The subject or pattern.
    pub subject: &'a str,
    /// The queue group; plain subscribers and every group count apart.
    pub queue: Option<&'a str>,
    /// For a queue group the number of members, which is its weight; for plain subscribers 1. Zero: none is left.
    pub weight: u32,
}

/// Who hears of a subscription of a part of this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Messages published on any server reach it.
    Cluster,
    /// Only messages that enter the cluster at this server, or that a peer forwards here for another reason.
    Server,
}
