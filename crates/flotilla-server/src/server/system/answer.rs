//! What answers look like. Field names and their order are the reference's.

use std::net::SocketAddr;

use flotilla_config::Options;
use flotilla_jsapi::Time;
use serde::Serialize;

use crate::server::identity::{Identity, NATS_VERSION};

/// The server can run JetStream: bit 0 of `flags`.
const JETSTREAM_FLAG: u64 = 1;

/// Who answers: the `server` block.
#[derive(Clone, Debug, Default, Serialize)]
pub(in crate::server) struct ServerInfo {
    pub(super) name: String,
    pub(super) host: String,
    pub(super) id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) cluster: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) domain: String,
    pub(super) ver: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tags: Vec<String>,
    pub(super) jetstream: bool,
    pub(super) flags: u64,
    /// Counts the answers of this server.
    pub(super) seq: u64,
    pub(super) time: Time,
}

impl ServerInfo {
    /// This server, served at that address; without number and time, which each answer has its own of.
    pub(in crate::server) fn new(
        options: &Options,
        identity: &Identity,
        bound: SocketAddr,
    ) -> Self {
        let jetstream = options.jetstream.is_some();
        let cluster = options.cluster.name.clone().filter(|_| options.is_clustered());
        Self {
            name: identity.name.clone(),
            host: bound.ip().to_string(),
            id: identity.id.clone(),
            cluster: cluster.unwrap_or_default(),
            ver: NATS_VERSION.to_owned(),
            tags: options.server_tags.clone(),
            jetstream,
            flags: if jetstream { JETSTREAM_FLAG } else { 0 },
            ..Self::default()
        }
    }
}

/// The answer to IDZ, which has no `server` block.
#[derive(Debug, Serialize)]
pub(super) struct ServerId<'a> {
    pub(super) name: &'a str,
    pub(super) host: &'a str,
    pub(super) id: &'a str,
}

/// Every other answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a, T> {
    pub(super) server: &'a ServerInfo,
    #[serde(flatten)]
    pub(super) content: Content<T>,
}

/// What is answered.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content<T> {
    Data(T),
    Statsz(T),
    Error(Fault),
}

/// Why there is no answer.
#[derive(Debug, Serialize)]
pub(super) struct Fault {
    /// As in HTTP.
    pub(super) code: u16,
    pub(super) description: String,
}
