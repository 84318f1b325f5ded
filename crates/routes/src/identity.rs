//! Who a server is, as it says itself.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::error::OptionError;

/// Longest name or id, in bytes.
const LONGEST_NAME: usize = 256;

/// All text of an identity together, in bytes; leaves room for the rest of a Hello.
const LONGEST_TEXT: usize = 24 * 1024;

/// What a server tells every peer about itself.
///
/// `server_name`, `server_id`, `cluster_name` and `boot_id` are fixed for the life of a process;
/// the rest may change and is then told to the peers (see
/// [`Handle::update_identity`](crate::Handle::update_identity)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The operator's name for the server, unique in the cluster.
    pub server_name: String,
    /// The server's own unique id.
    pub server_id: String,
    /// Name of the cluster; servers of different names refuse each other.
    pub cluster_name: String,
    /// Identity of the store, made with the store directory; `None` without a store.
    pub store_id: Option<u64>,
    /// Where the store's log ended when this process opened it, so that others can tell whether that is all of it. `None`
    /// without a store, and when the store knows that it is not.
    pub log_end: Option<u64>,
    /// Identity that the meta group gave the cluster; `None` before this server belongs to one.
    /// Two servers that both have one, and different ones, refuse each other.
    pub cluster_id: Option<u64>,
    /// Random for each start of the process.
    pub boot_id: u64,
    /// Whether the server runs JetStream.
    pub jetstream: bool,
    /// Placement tags.
    pub tags: Vec<String>,
    /// URLs at which clients reach the server.
    pub client_urls: Vec<String>,
    /// Version of the server program, for display.
    pub version: String,
}

impl Identity {
    /// Whether the identity can be told to peers, and its names printed.
    pub(crate) fn check(&self) -> Result<(), OptionError> {
        let names = [
            ("server_name", &self.server_name),
            ("server_id", &self.server_id),
            ("cluster_name", &self.cluster_name),
        ];
        for (field, name) in names {
            if name.is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
                let reason = format!("must be 1 to {LONGEST_NAME} printable characters");
                return Err(OptionError { field, reason });
            }
        }
        let lists = self.tags.iter().chain(&self.client_urls);
        // Eight bytes each for their frame, so that many empty strings count as well.
        let text = lists.map(|text| text.len() + 8).sum::<usize>() + self.version.len();
        if text > LONGEST_TEXT {
            let reason = format!("must be below {LONGEST_TEXT} bytes in all");
            return Err(OptionError { field: "tags, client_urls, version", reason });
        }
        Ok(())
    }

    /// Whether `self` and `other` are one running process.
    pub(crate) fn is_same_process(&self, other: &Self) -> bool {
        self.server_id == other.server_id && self.boot_id == other.boot_id
    }

    /// The order by which two servers agree who of them decides about their link.
    pub(crate) fn decides_over(&self, other: &Self) -> bool {
        (&self.server_name, &self.server_id) < (&other.server_name, &other.server_id)
    }

    /// Takes over what may change while a process runs, and nothing else.
    pub(crate) fn take_changes(&mut self, newer: Self) {
        self.store_id = newer.store_id;
        self.cluster_id = newer.cluster_id;
        self.jetstream = newer.jetstream;
        self.tags = newer.tags;
        self.client_urls = newer.client_urls;
        self.version = newer.version;
    }
}

/// Names one remote server within this process.
///
/// The same server name and server id have the same `PeerId` again after a reconnect. A number is
/// never used for two servers. It means nothing outside this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub(crate) u64);

impl PeerId {
    /// The number, for logs and for indexing.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// A linked server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its name within this process.
    pub peer: PeerId,
    /// What it said about itself, at last.
    pub identity: Identity,
    /// The address that its datagrams come from.
    pub addr: SocketAddr,
    /// The host and port at which it says others reach its routes. Without an own word from it,
    /// the address that we see.
    pub advertised: (String, u16),
    /// Whether this side dialled.
    pub dialed: bool,
}
