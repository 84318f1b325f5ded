//! The cluster: this server's name in it, its own port for routes, and whom it dials.

use std::time::Duration;

use super::fields::Fields;
use super::section::{Key, Section};
use super::tls::{self, RouteTls};
use crate::address::Listen;
use crate::findings::{Findings, Reason};
use crate::route_url::RouteUrl;
use crate::secret::Secret;
use crate::syntax::{Map, ValueKind};

/// The `cluster` block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's name.
    pub name: Option<String>,
    /// Where routes come in (UDP). Without it the server stands alone, as in NATS.
    pub listen: Option<Listen>,
    /// Other servers to dial.
    pub routes: Vec<RouteUrl>,
    /// What a server that dials us must know.
    pub authorization: Option<RouteAuthorization>,
    /// Certificates for both directions.
    pub tls: Option<RouteTls>,
    /// `host:port` that other servers are told to dial instead of ours.
    pub advertise: Option<String>,
    /// Whether clients are not told of the other servers.
    pub no_advertise: bool,
    /// Dials to a server that was heard of but not configured; further ones are not made.
    pub connect_retries: u32,
}

/// The user that a server which dials us must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteAuthorization {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Secret,
    /// Time that the other server has to say who it is.
    pub timeout: Duration,
}

/// Time that a dialing server has to say who it is, unless configured.
pub const DEFAULT_ROUTE_AUTH_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) const CLUSTER: Section = Section {
    path: "cluster",
    keys: &[
        Key {
            name: "name",
            aliases: &[],
            kind: "string",
            default: "none",
            reload: false,
            meaning: "The cluster's name, the same on all its servers. JetStream requires it.",
        },
        Key {
            name: "listen",
            aliases: &[],
            kind: "port or `host:port`",
            default: "no cluster",
            reload: false,
            meaning: "Where routes of other servers come in: a UDP port, `-1` for any.",
        },
        Key {
            name: "host",
            aliases: &["net"],
            kind: "string",
            default: "`0.0.0.0`",
            reload: false,
            meaning: "The address of `listen` alone.",
        },
        Key {
            name: "port",
            aliases: &[],
            kind: "integer",
            default: "no cluster",
            reload: false,
            meaning: "The port of `listen` alone.",
        },
        Key {
            name: "routes",
            aliases: &[],
            kind: "array of URLs",
            default: "none",
            reload: true,
            meaning: "Other servers, `nats-route://host:6222` or `quic://host:6222`, with `user:password@` if they ask for it. One is enough to learn of the others.",
        },
        Key {
            name: "authorization",
            aliases: &[],
            kind: "map",
            default: "none",
            reload: true,
            meaning: "What a server that dials this one must know.",
        },
        Key {
            name: "tls",
            aliases: &[],
            kind: "map",
            default: "self-signed",
            reload: true,
            meaning: "Certificates. With them both sides are verified before any frame is read; without, routes are encrypted only.",
        },
        Key {
            name: "advertise",
            aliases: &["cluster_advertise"],
            kind: "string",
            default: "`\"\"`",
            reload: true,
            meaning: "`host:port` that other servers are told to dial instead of the address of `listen`.",
        },
        Key {
            name: "no_advertise",
            aliases: &[],
            kind: "boolean",
            default: "`false`",
            reload: true,
            meaning: "Do not tell clients of the other servers.",
        },
        Key {
            name: "connect_retries",
            aliases: &[],
            kind: "integer",
            default: "`0`",
            reload: true,
            meaning: "Further dials to a server that was heard of but is not in `routes`.",
        },
    ],
    unsupported: &[
        "connect_backoff",
        "permissions",
        "pool_size",
        "accounts",
        "compression",
        "ping_interval",
        "ping_max",
        "write_deadline",
        "write_timeout",
    ],
};

pub(super) const ROUTE_AUTHORIZATION: Section = Section {
    path: "cluster.authorization",
    keys: &[
        Key {
            name: "user",
            aliases: &["username"],
            kind: "string",
            default: "required",
            reload: true,
            meaning: "The user of routes, the same on all servers.",
        },
        Key {
            name: "password",
            aliases: &["pass"],
            kind: "string",
            default: "none",
            reload: true,
            meaning: "The password of routes.",
        },
        Key {
            name: "timeout",
            aliases: &[],
            kind: "seconds or duration",
            default: "`2`",
            reload: true,
            meaning: "Time that a server which dials this one has to say who it is.",
        },
    ],
    unsupported: &["token", "users", "default_permissions", "permissions", "auth_callout"],
};

pub(super) fn read(map: &Map, findings: &mut Findings) -> Cluster {
    let mut fields = Fields::new(map, &CLUSTER, findings);
    let listen = read_listen(&mut fields);
    let routes = read_routes(&mut fields);
    let mut cluster = Cluster {
        name: fields.name("name", "cluster name"),
        listen,
        routes,
        authorization: None,
        tls: None,
        advertise: fields.some_text("advertise"),
        no_advertise: fields.bool("no_advertise").unwrap_or(false),
        connect_retries: fields.count("connect_retries", 0..=1_000_000).unwrap_or(0),
    };
    let tls = fields.map("tls").map(|map| (map, fields.at("tls")));
    let authorization = fields.map("authorization");
    cluster.authorization = authorization.and_then(|map| read_authorization(map, findings));
    cluster.tls = tls.and_then(|(map, at)| tls::read(map, at.as_ref(), findings));
    cluster
}

/// `listen`, or `host` and `port`; the latter win where both are given.
fn read_listen(fields: &mut Fields<'_, '_>) -> Option<Listen> {
    let listen = fields.listen("listen");
    let (host, port) = (fields.some_text("host"), fields.port("port"));
    let port = port.or(listen.as_ref().map(|listen| listen.port))?;
    Some(Listen { host: host.or(listen.and_then(|listen| listen.host)), port })
}

fn read_routes(fields: &mut Fields<'_, '_>) -> Vec<RouteUrl> {
    let mut routes = Vec::new();
    for item in fields.array("routes").unwrap_or_default() {
        let reason = match &item.kind {
            ValueKind::Text(text) => match RouteUrl::parse(text) {
                Ok(route) => {
                    routes.push(route);
                    continue;
                }
                Err(error) => Reason::Route(error),
            },
            _ => Reason::Kind { name: "routes", expected: "URLs", found: item.describe() },
        };
        fields.findings.fail(Some(item.at.clone()), reason);
    }
    routes
}

fn read_authorization(map: &Map, findings: &mut Findings) -> Option<RouteAuthorization> {
    let mut fields = Fields::new(map, &ROUTE_AUTHORIZATION, findings);
    let password = fields.secret("password");
    let timeout = fields.timeout("timeout").unwrap_or(DEFAULT_ROUTE_AUTH_TIMEOUT);
    let Some(user) = fields.some_text("user") else {
        if password.is_some() {
            fields.fail("password", Reason::Conflict("a password needs a `user`"));
        }
        return None;
    };
    Some(RouteAuthorization {
        user,
        password: password.unwrap_or_else(|| Secret::new("")),
        timeout,
    })
}
