//! What the server is called, and what it says about itself.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::Context as _;
use flotilla_config::{Listen, Options};
use flotilla_jetstream::Opened;
use flotilla_proto::Info;
use flotilla_routes::{Authorization, RouteUrl, TlsFiles};

/// The version of NATS whose surface is here: clients choose by it what they use.
pub(super) const NATS_VERSION: &str = "2.10.29";
/// Letters of a server's id, as in NATS: base 32.
const ID_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const ID_LENGTH: usize = 56;

/// Who this server is, for as long as the process lives.
pub(super) struct Identity {
    pub(super) name: String,
    pub(super) id: String,
    boot: u64,
}

/// The configured name; without one the server is called by its id, another one at every start.
pub(super) fn server_name(options: &Options, id: &str) -> String {
    options.server_name.clone().unwrap_or_else(|| id.to_owned())
}

/// An id for a life of a server.
pub(super) fn random_id() -> String {
    let letter = |_| char::from(ID_LETTERS[usize::from(rand::random::<u8>()) % ID_LETTERS.len()]);
    std::iter::once('N').chain((1..ID_LENGTH).map(letter)).collect()
}

impl Identity {
    pub(super) fn new(options: &Options, id: String, opened: Option<&Opened>) -> Self {
        let name = server_name(options, &id);
        let boot = opened.map_or_else(|| rand::random::<u64>().max(1), Opened::boot);
        Self { name, id, boot }
    }

    /// What clients are told when they connect; the listener adds what it knows itself.
    pub(super) fn info(&self, options: &Options) -> Info {
        Info {
            server_id: self.id.clone(),
            server_name: self.name.clone(),
            version: NATS_VERSION.to_owned(),
            git_commit: format!("flotilla-{}", env!("CARGO_PKG_VERSION")),
            jetstream: options.jetstream.is_some(),
            cluster: options.cluster.name.clone().unwrap_or_default(),
            ..Info::default()
        }
    }

    /// Where clients find this server.
    pub(super) fn client_urls(&self, options: &Options, bound: SocketAddr) -> Vec<String> {
        match &options.client_advertise {
            Some(advertised) => vec![advertised.clone()],
            None if bound.ip().is_unspecified() => Vec::new(),
            None => vec![bound.to_string()],
        }
    }

    pub(super) fn routes(
        &self,
        options: &Options,
        opened: Option<&Opened>,
        clients: SocketAddr,
    ) -> anyhow::Result<flotilla_routes::Options> {
        let cluster = &options.cluster;
        let listen = cluster.listen.as_ref().context("cluster: no listen address")?;
        let address =
            resolve(listen.host_or(flotilla_config::DEFAULT_HOST), listen.port.to_bind())?;
        let identity = flotilla_routes::Identity {
            server_name: self.name.clone(),
            server_id: self.id.clone(),
            cluster_name: cluster.name.clone().unwrap_or_default(),
            store_id: opened.map(|o| o.store().0),
            log_end: opened.and_then(Opened::log_end),
            cluster_id: opened.and_then(Opened::cluster),
            boot_id: self.boot,
            jetstream: opened.is_some(),
            tags: options.server_tags.clone(),
            client_urls: self.client_urls(options, clients),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut routes = flotilla_routes::Options::new(identity, address);
        if let Some(advertise) = &cluster.advertise {
            let told = Listen::parse(advertise).context("cluster.advertise")?;
            let host = told.host_or(listen.host_or(flotilla_config::DEFAULT_HOST)).to_owned();
            routes.advertise = Some((host, told.port.to_bind()));
        }
        let seed = |url: &flotilla_config::RouteUrl| RouteUrl {
            host: url.host.clone(),
            port: url.port.get(),
        };
        routes.seeds = cluster.routes.iter().map(seed).collect();
        routes.tls = cluster.tls.as_ref().map(|tls| TlsFiles {
            cert: tls.cert_file.clone(),
            key: tls.key_file.clone(),
            ca: tls.ca_file.clone(),
        });
        routes.authorization = cluster.authorization.as_ref().map(|auth| Authorization {
            user: auth.user.clone(),
            pass: auth.password.expose().to_owned(),
        });
        Ok(routes)
    }

    /// How many stores the cluster shall have at least: the distinct routes to others, and this one.
    pub(super) fn expected_stores(&self, options: &Options, own: SocketAddr) -> usize {
        let cluster = &options.cluster;
        let advertised = cluster.advertise.clone();
        let own = [Some(own.to_string()), advertised, own_by_name(options)];
        let others: BTreeSet<String> = cluster
            .routes
            .iter()
            .map(flotilla_config::RouteUrl::address)
            .filter(|address| !own.iter().flatten().any(|o| o == address))
            .collect();
        (others.len() + 1).max(2)
    }
}

fn own_by_name(options: &Options) -> Option<String> {
    let listen = options.cluster.listen.as_ref()?;
    Some(format!("{}:{}", listen.host_or(flotilla_config::DEFAULT_HOST), listen.port.to_bind()))
}

fn resolve(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let mut addresses =
        (host, port).to_socket_addrs().with_context(|| format!("cluster.listen {host}"))?;
    addresses.next().with_context(|| format!("cluster.listen: {host} has no address"))
}
