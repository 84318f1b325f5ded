//! The options of a server, typed.

mod accounts;
mod authorization;
mod cluster;
mod connection;
mod fields;
mod jetstream;
mod logging;
mod section;
mod tls;
mod top;
mod tuning;
pub(crate) mod validation;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::{Listen, Port};
use crate::findings::{Findings, Reason};
use crate::syntax::Map;
use fields::Fields;

pub use accounts::{Account, AccountJetStream};
pub use authorization::{Authorization, User};
pub use cluster::{Cluster, DEFAULT_ROUTE_AUTH_TIMEOUT, RouteAuthorization};
pub use connection::{ConnectionLimits, MAX_PAYLOAD_LIMIT};
pub use jetstream::{JetStream, JetStreamLimits, SyncPolicy};
pub use logging::Logging;
pub use section::{Key, Section};
pub use tls::RouteTls;
pub use tuning::Tuning;

/// The host that a listener binds unless told otherwise: every interface.
pub const DEFAULT_HOST: &str = "0.0.0.0";
/// The port of clients unless told otherwise.
pub const DEFAULT_PORT: NonZeroU16 = NonZeroU16::new(4222).expect("not zero");
/// The name of the system account unless told otherwise.
pub const DEFAULT_SYSTEM_ACCOUNT: &str = "$SYS";
/// The name of the account of clients that belong to none.
pub const GLOBAL_ACCOUNT: &str = "$G";

/// Every section that a configuration may have.
pub const SECTIONS: &[Section] = &[
    top::TOP,
    authorization::AUTHORIZATION,
    authorization::USER,
    accounts::ACCOUNT,
    accounts::ACCOUNT_JETSTREAM,
    cluster::CLUSTER,
    cluster::ROUTE_AUTHORIZATION,
    tls::ROUTE_TLS,
    jetstream::JETSTREAM,
    jetstream::JETSTREAM_LIMITS,
    tuning::TUNING,
];

/// Everything that can be set. The default is what an empty configuration means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The server's name; its id if `None`.
    pub server_name: Option<String>,
    /// The host that clients and monitoring are served at.
    pub host: String,
    /// The port of clients.
    pub port: Port,
    /// `host:port` that clients are told instead of ours.
    pub client_advertise: Option<String>,
    /// Where monitoring is served, if it is; see [`Options::monitor_host`].
    pub monitor: Option<Listen>,
    /// What is logged, and where.
    pub logging: Logging,
    /// The file for the process id.
    pub pid_file: Option<PathBuf>,
    /// The directory for the file of ports.
    pub ports_file_dir: Option<PathBuf>,
    /// Limits of client connections.
    pub connection: ConnectionLimits,
    /// How the server leaves when asked to do it gently.
    pub lame_duck: LameDuck,
    /// Tags for placement, in lower case.
    pub server_tags: Vec<String>,
    /// Who may connect to the global account.
    pub authorization: Authorization,
    /// Accounts by name, without the built-in ones.
    pub accounts: BTreeMap<String, Account>,
    /// The account that sees the server's own subjects.
    pub system_account: String,
    /// The user that a client is which names none.
    pub no_auth_user: Option<String>,
    /// The cluster; see [`Options::is_clustered`].
    pub cluster: Cluster,
    /// JetStream, if it is on.
    pub jetstream: Option<JetStream>,
    /// The outermost `store_dir`; see [`Options::store_dir`].
    pub top_store_dir: Option<PathBuf>,
    /// What Flotilla has and NATS has not.
    pub tuning: Tuning,
}

/// How the server leaves in lame duck mode: it takes no new clients, waits for the grace period, and then
/// closes its clients spread over the rest of the duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LameDuck {
    /// The time that leaving takes, grace period included.
    pub duration: Duration,
    /// The time before the first client is closed.
    pub grace_period: Duration,
}

/// A shorter one would close clients faster than they can go elsewhere.
const MIN_LAME_DUCK_DURATION: Duration = Duration::from_secs(30);

impl Default for LameDuck {
    fn default() -> Self {
        Self { duration: Duration::from_secs(120), grace_period: Duration::from_secs(10) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server_name: None,
            host: DEFAULT_HOST.to_owned(),
            port: Port::Number(DEFAULT_PORT),
            client_advertise: None,
            monitor: None,
            logging: Logging::default(),
            pid_file: None,
            ports_file_dir: None,
            connection: ConnectionLimits::default(),
            lame_duck: LameDuck::default(),
            server_tags: Vec::new(),
            authorization: Authorization::default(),
            accounts: BTreeMap::new(),
            system_account: DEFAULT_SYSTEM_ACCOUNT.to_owned(),
            no_auth_user: None,
            cluster: Cluster::default(),
            jetstream: None,
            top_store_dir: None,
            tuning: Tuning::default(),
        }
    }
}

impl Options {
    /// Whether this server takes part in a cluster: whether it has a place where routes come in.
    pub fn is_clustered(&self) -> bool {
        self.cluster.listen.is_some()
    }

    /// Where JetStream stores, if that was said at either of the two places.
    pub fn store_dir(&self) -> Option<&Path> {
        let inner = self.jetstream.as_ref().and_then(|jetstream| jetstream.store_dir.as_deref());
        inner.or(self.top_store_dir.as_deref())
    }

    /// The host that monitoring is served at: its own, or that of clients.
    pub fn monitor_host(&self) -> &str {
        self.monitor.as_ref().map_or(&self.host, |listen| listen.host_or(&self.host))
    }

    /// Users of all accounts with the account's name, the global account first.
    pub fn users(&self) -> impl Iterator<Item = (&str, &User)> {
        let global = self.authorization.user.iter().chain(&self.authorization.users);
        let others = self.accounts.iter().flat_map(|(name, account)| {
            account.users.iter().map(move |user| (name.as_str(), user))
        });
        global.map(|user| (GLOBAL_ACCOUNT, user)).chain(others)
    }

    /// Reads the outermost map. What is wrong is noted, and its default taken.
    pub(crate) fn read(root: &Map, findings: &mut Findings) -> Self {
        let mut fields = Fields::new(root, &top::TOP, findings);
        let (host, port) = read_listen(&mut fields);
        let mut options = Self {
            server_name: fields.name("server_name", "server name"),
            host,
            port,
            client_advertise: fields.some_text("client_advertise"),
            monitor: read_monitor(&mut fields),
            logging: logging::read(&mut fields),
            pid_file: fields.path("pid_file"),
            ports_file_dir: fields.path("ports_file_dir"),
            connection: connection::read(&mut fields),
            lame_duck: read_lame_duck(&mut fields),
            server_tags: read_tags(&mut fields),
            no_auth_user: fields.some_text("no_auth_user"),
            top_store_dir: fields.path("store_dir"),
            ..Self::default()
        };
        if let Some(name) = fields.some_text("system_account") {
            options.system_account = name;
        }
        options.read_blocks(&mut fields);
        options
    }

    fn read_blocks(&mut self, fields: &mut Fields<'_, '_>) {
        if let Some(map) = fields.map("authorization") {
            self.authorization = authorization::read(map, fields.findings);
        }
        if let Some(value) = fields.value("accounts") {
            self.accounts = accounts::read(value, fields.findings);
        }
        if let Some(map) = fields.map("cluster") {
            self.cluster = cluster::read(map, fields.findings);
        }
        if let Some(value) = fields.value("jetstream") {
            self.jetstream = jetstream::read(value, fields.findings);
        }
        if let Some(map) = fields.map("flotilla") {
            self.tuning = tuning::read(map, fields.findings);
        }
        let inner = self.jetstream.as_ref().and_then(|jetstream| jetstream.store_dir.as_ref());
        if inner.is_some() && self.top_store_dir.is_some() {
            fields.fail("store_dir", Reason::Conflict("Duplicate 'store_dir' configuration"));
        }
    }
}

/// `listen`, or `host` and `port`; the latter win where both are given.
fn read_listen(fields: &mut Fields<'_, '_>) -> (String, Port) {
    let listen = fields.listen("listen");
    let (host, port) = (fields.some_text("host"), fields.port("port"));
    let port = port.or(listen.as_ref().map(|listen| listen.port));
    let host = host.or(listen.and_then(|listen| listen.host));
    (host.unwrap_or_else(|| DEFAULT_HOST.to_owned()), port.unwrap_or(Port::Number(DEFAULT_PORT)))
}

fn read_monitor(fields: &mut Fields<'_, '_>) -> Option<Listen> {
    let listen = fields.listen("http");
    let port = fields.port("http_port").or(listen.as_ref().map(|listen| listen.port))?;
    Some(Listen { host: listen.and_then(|listen| listen.host), port })
}

fn read_lame_duck(fields: &mut Fields<'_, '_>) -> LameDuck {
    let defaults = LameDuck::default();
    let duration = fields.duration_of_at_least("lame_duck_duration", MIN_LAME_DUCK_DURATION);
    let grace_period = fields.duration("lame_duck_grace_period");
    LameDuck {
        duration: duration.unwrap_or(defaults.duration),
        grace_period: grace_period.unwrap_or(defaults.grace_period),
    }
}

/// Tags as NATS keeps them: without blanks around, in lower case, each once.
fn read_tags(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for text in fields.texts("server_tags").unwrap_or_default() {
        let tag = text.trim().to_lowercase();
        if !tag.is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}
