//! What a [`Routes`](crate::Routes) service is started with.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::OptionError;
use crate::identity::Identity;

/// Everything that is known before the service starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Who this server is.
    pub identity: Identity,
    /// The UDP address to listen on and to dial from. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host and port that other servers are told to dial (`cluster_advertise`). Without it they
    /// take the address that they see. With `tls`, this server's certificate must be valid for the
    /// one or the other, since that is what servers that learn of it by gossip dial and verify.
    pub advertise: Option<(String, u16)>,
    /// Servers to dial for ever (`routes` in the configuration). One that is up is enough: it
    /// tells of the others.
    pub seeds: Vec<RouteUrl>,
    /// Certificates (`tls` in `cluster`). With them, both sides of every route are verified.
    pub tls: Option<TlsFiles>,
    /// Credentials that all servers of the cluster share (`authorization` in `cluster`).
    pub authorization: Option<Authorization>,
    /// Bounds, in bytes.
    pub limits: Limits,
    /// Deadlines and intervals.
    pub timing: Timing,
}

impl Options {
    /// Options with default limits and timing, without seeds, certificates and credentials.
    pub fn new(identity: Identity, listen: SocketAddr) -> Self {
        Self {
            identity,
            listen,
            advertise: None,
            seeds: Vec::new(),
            tls: None,
            authorization: None,
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }

    /// What the operator should be told about these options when the server starts.
    pub fn warning(&self) -> Option<&'static str> {
        match (&self.tls, &self.authorization) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(
                "Routes are encrypted, but servers are verified by the cluster's shared \
                 credentials only; configure tls in cluster",
            ),
            (None, None) => Some(
                "Routes are encrypted, but any server that reaches the cluster port may join; \
                 configure tls or authorization in cluster",
            ),
        }
    }
}

/// Checks what the rest of the crate relies on.
pub(crate) fn check(options: &Options) -> Result<(), OptionError> {
    let wrong = |field, reason: &str| Err(OptionError { field, reason: reason.to_owned() });
    if u32::try_from(options.limits.frame).is_err() {
        return wrong("limits.frame", "must be below 4 GiB");
    }
    if options.limits.reported == 0 {
        return wrong("limits.reported", "must be above zero");
    }
    if options.timing.keep_alive >= options.timing.idle {
        return wrong("timing.keep_alive", "must be below timing.idle");
    }
    if options.timing.backoff_least.is_zero() || options.timing.gossip.is_zero() {
        return wrong("timing", "must have a back-off and a gossip interval above zero");
    }
    if options.advertise.as_ref().is_some_and(|(host, _)| !is_host(host)) {
        return wrong("advertise", "must have a host of 1 to 255 printable characters");
    }
    options.identity.check()
}

/// Whether a host is short enough to be a name, and safe to print. Looking it up decides the rest.
pub(crate) fn is_host(host: &str) -> bool {
    !host.is_empty() && host.len() <= 255 && !host.contains(char::is_control)
}

/// Where a server is to be dialled. Every address of a host with several is its own server, as
/// behind a headless Kubernetes service; names are looked up again for each try.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteUrl {
    /// A name or an address, IPv6 without brackets. With `tls`, the certificate found there must
    /// be valid for exactly this name or address.
    pub host: String,
    /// UDP port.
    pub port: u16,
}

impl fmt::Display for RouteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Certificates in PEM files, read once at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// This server's certificate chain, leaf first. It serves both as server and as client
    /// certificate.
    pub cert: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities that peers' certificates must come from.
    pub ca: PathBuf,
}

/// Credentials shared by all servers of a cluster.
///
/// They never cross the wire: each side proves that it knows them by a value derived from them and
/// from the secrets of the TLS connection at hand, so that whoever sits in the middle can use the
/// proof on no other connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// User name.
    pub user: String,
    /// Password.
    pub pass: String,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorization").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Bounds in bytes. A lane's limit counts what waits on this side, per peer; a frame is accepted
/// on an empty lane whatever the lane's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest frame, sent or received. Must be the same on all servers.
    pub frame: usize,
    /// Waiting on the control lane.
    pub control: usize,
    /// Waiting on the messages lane.
    pub messages: usize,
    /// Waiting on each Raft lane.
    pub raft: usize,
    /// Waiting on each bulk lane.
    pub bulk: usize,
    /// Bulk lanes open to one peer at a time.
    pub bulk_lanes: usize,
    /// Bytes of one lane that were [reported](crate::Event::Frames) and whose credit somebody still keeps. Nothing
    /// more is read from the lane beyond it, so that its sender has to wait.
    pub reported: u32,
    /// Bytes of one lane that may be under way to a peer, sent or read ahead, beyond what waits.
    /// A link as a whole has room for `bulk_lanes` + 4 of them.
    pub window: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: 68 << 20, // the largest NATS message is 64 MiB
            control: 16 << 20,
            messages: 64 << 20,
            raft: 64 << 20,
            bulk: 16 << 20,
            bulk_lanes: 4,
            reported: 16 << 20,
            window: 16 << 20,
        }
    }
}

/// Deadlines and intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the first datagram to an established link, for either side.
    pub handshake: Duration,
    /// A link over which nothing arrived for so long is down.
    pub idle: Duration,
    /// A link that has nothing to send sends something this often. Well below `idle`.
    pub keep_alive: Duration,
    /// Pause after the first failure to reach a server; doubles with every further one.
    pub backoff_least: Duration,
    /// Longest pause between two tries.
    pub backoff_most: Duration,
    /// How often peers are told of all linked servers, besides at every change.
    pub gossip: Duration,
    /// A server known only by gossip is given up after being neither linked nor heard of for so
    /// long. Generous, because after a long partition the memory of addresses is what heals it.
    pub forget: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(2),
            idle: Duration::from_secs(3),
            keep_alive: Duration::from_millis(500),
            backoff_least: Duration::from_millis(100),
            backoff_most: Duration::from_secs(10),
            gossip: Duration::from_secs(10),
            forget: Duration::from_secs(3600),
        }
    }
}
