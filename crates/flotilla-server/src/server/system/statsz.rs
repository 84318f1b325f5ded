//! STATSZ: a server in few numbers. Field names and their order are the reference's.

use flotilla_jsapi::Time;
use flotilla_monitor::{JetStreamVarz, SlowConsumerStats, Varz};
use serde::Serialize;

/// The answer to a bare ping, too.
#[derive(Debug, Serialize)]
pub(super) struct Statsz {
    start: Time,
    mem: u64,
    cores: u64,
    cpu: f64,
    connections: u64,
    total_connections: u64,
    subscriptions: u64,
    sent: Data,
    received: Data,
    slow_consumers: u64,
    slow_consumer_stats: SlowConsumerStats,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    routes: Vec<Route>,
    /// This server and those that it is linked to: whoever asks all servers waits for that many answers.
    active_servers: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jetstream: Option<JetStreamVarz>,
    gomaxprocs: u64,
}

#[derive(Debug, Serialize)]
struct Data {
    msgs: u64,
    bytes: u64,
}

/// A link to another server. It counts bytes, but no messages: several go in one frame.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::server) struct Route {
    /// Names the link.
    rid: u64,
    /// The server behind it.
    name: String,
    sent: Bytes,
    received: Bytes,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Bytes {
    bytes: u64,
}

impl Route {
    /// A link to the server of that name, with the bytes that went over it.
    pub(in crate::server) fn new(rid: u64, name: String, sent: u64, received: u64) -> Self {
        Self { rid, name, sent: Bytes { bytes: sent }, received: Bytes { bytes: received } }
    }
}

impl Statsz {
    pub(super) fn new(varz: Varz, routes: Vec<Route>) -> Self {
        Self {
            start: varz.start,
            mem: varz.mem,
            cores: varz.cores,
            cpu: varz.cpu,
            connections: varz.connections,
            total_connections: varz.total_connections,
            subscriptions: varz.subscriptions,
            sent: Data { msgs: varz.out_msgs, bytes: varz.out_bytes },
            received: Data { msgs: varz.in_msgs, bytes: varz.in_bytes },
            slow_consumers: varz.slow_consumers,
            slow_consumer_stats: varz.slow_consumer_stats,
            active_servers: routes.len() as u64 + 1,
            routes,
            jetstream: Some(varz.jetstream).filter(|jetstream| jetstream.config.is_some()),
            gomaxprocs: varz.gomaxprocs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linked_servers_and_this_one_are_active() {
        let varz = Varz { in_msgs: 3, out_bytes: 5, ..Varz::default() };
        let statsz =
            Statsz::new(varz, ["n2", "n3"].map(|name| Route::new(1, name.into(), 7, 9)).into());
        let written = serde_json::to_value(&statsz).unwrap();
        assert_eq!(written["active_servers"], 3);
        assert_eq!(written["received"]["msgs"], 3);
        assert_eq!(written["sent"]["bytes"], 5);
        assert_eq!(written["routes"][1]["name"], "n3");
        assert!(written.get("jetstream").is_none(), "it runs without: {written}");
    }

    #[test]
    fn a_server_without_links_is_active_itself() {
        let written = serde_json::to_value(Statsz::new(Varz::default(), Vec::new())).unwrap();
        assert_eq!(written["active_servers"], 1);
        assert!(written.get("routes").is_none());
    }
}
