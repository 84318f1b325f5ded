//! What can go wrong, one enum per operation.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

use crate::identity::PeerId;
use crate::lane::Lane;

/// The service could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The UDP socket could not be bound; the address is taken or not this host's.
    #[error("cannot listen for routes on {addr}: {source}")]
    Listen {
        /// [`Options::listen`](crate::Options::listen).
        addr: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A PEM file could not be read, or holds nothing of the expected kind.
    #[error("cluster tls: {}: {reason}", file.display())]
    Pem {
        /// The file named in the configuration.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificates do not work together.
    #[error("cluster tls: {0}")]
    Tls(String),
    /// A field of the options is outside of what the protocol can carry.
    #[error(transparent)]
    Option(#[from] OptionError),
}

/// A field of the options, or of a changed identity, is outside of what the protocol can carry.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("route option {field} {reason}")]
pub struct OptionError {
    /// The field.
    pub field: &'static str,
    /// What it must be.
    pub reason: String,
}

/// A frame was not queued. The caller treats it as lost, or tries again later.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// There is no link to this peer now.
    #[error("no route to {0}")]
    NotConnected(PeerId),
    /// The lane holds as many waiting bytes as it may, or no further bulk lane may be opened.
    #[error("lane {lane} is full ({queued} bytes waiting)")]
    Full {
        /// The lane.
        lane: Lane,
        /// Bytes waiting on it.
        queued: usize,
    },
    /// The frame is longer than [`Limits::frame`](crate::Limits::frame).
    #[error("frame of {length} bytes is above the limit of {limit}")]
    TooLarge {
        /// Length of the frame.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// The transfer was finished before.
    #[error("lane {0} was finished")]
    Finished(Lane),
}

/// Why two servers would not have each other.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The other speaks another version of the route protocol.
    #[error("route protocol version {theirs} is not supported, this server speaks {ours}")]
    Version {
        /// The other's version.
        theirs: u8,
        /// This server's version.
        ours: u8,
    },
    /// Names differ.
    #[error("cluster name from remote server conflicts: \"{theirs}\", this is \"{ours}\"")]
    ClusterName {
        /// The other's cluster.
        theirs: String,
        /// This server's cluster.
        ours: String,
    },
    /// Both belong to a cluster, and not to the same.
    #[error("cluster id from remote server conflicts: {theirs:016x}, this is {ours:016x}")]
    ClusterId {
        /// The other's cluster.
        theirs: u64,
        /// This server's cluster.
        ours: u64,
    },
    /// Another live server has the name.
    #[error("duplicate server name \"{0}\"")]
    DuplicateName(String),
    /// The other does not know the credentials in `authorization`.
    #[error("authorization violation")]
    Authorization,
    /// The other is this very process. Not reported as an event.
    #[error("this is the server itself")]
    Oneself,
    /// The two are linked already, by another connection. Not reported as an event.
    #[error("already linked to \"{0}\"")]
    AlreadyLinked(String),
    /// The other broke the protocol.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// A certificate was missing or not accepted, on either side.
    #[error("tls: {0}")]
    Tls(String),
    /// The other refused, in its words.
    #[error("refused by the remote server: {0}")]
    Remote(String),
}

/// Why a link ended.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DownReason {
    /// Nothing arrived for [`Timing::idle`](crate::Timing::idle), or the peer no longer knows the
    /// connection.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The peer closed the link and said why.
    #[error("closed by the remote server: {0}")]
    Remote(String),
    /// The peer said Hello again: its process has restarted.
    #[error("replaced by a new connection")]
    Replaced,
    /// [`Handle::disconnect`](crate::Handle::disconnect), with its reason.
    #[error("disconnected: {0}")]
    Disconnected(String),
    /// The peer broke the protocol, or must be refused since something changed.
    #[error("{0}")]
    Refused(Refusal),
    /// This server is leaving.
    #[error("server shutdown")]
    Shutdown,
}
