//! `/metrics`: what operators watch, for Prometheus. Names and meanings stand in docs/monitoring.md.
//!
//! There is no series per stream, consumer, client or account: a server with ten thousand consumers has as many series as
//! one with none. Who wants to know more of an asset asks the API.

mod exposition;

use flotilla_jsapi::ApiStats;

use crate::varz::Varz;
pub(crate) use exposition::CONTENT_TYPE;
use exposition::Exposition;

/// The bounds of the buckets of a [`Latency`], in microseconds: from what a fast disk needs to what a hung one does.
pub const LATENCY_BOUNDS: [u64; 14] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// How long something took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// How many took no longer than the [bound](LATENCY_BOUNDS) at the same place.
    pub up_to: [u64; LATENCY_BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// How many seconds all together took.
    pub sum: f64,
}

/// What operators watch of JetStream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JetStreamMetrics {
    /// Whether it serves: it has not ended.
    pub up: bool,
    /// Whether the meta group is led here.
    pub leads_meta: bool,
    /// Replicas of streams.
    pub streams: u64,
    /// Those that lead.
    pub streams_led: u64,
    /// Replicas of consumers.
    pub consumers: u64,
    /// Those that lead.
    pub consumers_led: u64,
    /// Replicas whose group is awake.
    pub awake: u64,
    /// Replicas that the log gave back and that do not serve yet.
    pub beginning: u64,
    /// Messages in the streams here.
    pub messages: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Requests to the API.
    pub api: ApiStats,
    /// Bytes of the log in use.
    pub wal_used: u64,
    /// The size of the log from which on groups are asked to move forward.
    pub wal_soft: u64,
    /// The size that the log should not pass.
    pub wal_cap: u64,
    /// Batches of shards that were written to the log.
    pub wal_batches: u64,
    /// Syncs of the log.
    pub wal_syncs: u64,
    /// Bytes that were written to it.
    pub wal_written: u64,
    /// How long its writes took.
    pub wal_write: Latency,
    /// How long its syncs took.
    pub wal_sync: Latency,
    /// Whether a write or a sync of the log failed: it takes no more.
    pub wal_poisoned: bool,
    /// Bytes that are free on the store's disk, if the system tells.
    pub disk_free: Option<u64>,
    /// Whether there is too little room to take messages.
    pub disk_full: bool,
    /// Replicas that take no part any more.
    pub ended: u64,
    /// Replicas that came to another state than their leader.
    pub diverged: u64,
    /// Replicas that are being repaired.
    pub mending: u64,
    /// Pieces of damage found.
    pub damages: u64,
    /// Pieces of damage repaired.
    pub repairs: u64,
    /// Bytes verified in the background.
    pub scrubbed: u64,
}

/// The page.
pub(crate) fn page(varz: &Varz, jetstream: Option<&JetStreamMetrics>) -> String {
    let mut page = Exposition::default();
    general(&mut page, varz);
    if let Some(js) = jetstream {
        assets(&mut page, js);
        log(&mut page, js);
        damage(&mut page, js);
    }
    page.finish()
}

fn general(page: &mut Exposition, v: &Varz) {
    let labels = [
        ("server_name", v.server_name.as_str()),
        ("version", env!("CARGO_PKG_VERSION")),
        ("nats_version", &v.version),
    ];
    page.info("flotilla_info", "Which server this is.", &labels);
    let uptime = v.uptime.0.as_secs();
    page.gauge("flotilla_uptime_seconds", "Seconds since the server started.", uptime);
    page.gauge("flotilla_memory_bytes", "Resident memory.", v.mem);
    page.gauge("flotilla_connections", "Clients connected.", v.connections);
    let accepted = v.total_connections;
    page.counter("flotilla_connections_total", "Clients that ever connected.", accepted);
    page.gauge("flotilla_subscriptions", "Subscriptions.", v.subscriptions);
    page.gauge("flotilla_routes", "Links to other servers.", v.routes);
    page.counter("flotilla_received_messages_total", "Messages received.", v.in_msgs);
    page.counter("flotilla_received_bytes_total", "Bytes of messages received.", v.in_bytes);
    page.counter("flotilla_sent_messages_total", "Messages sent.", v.out_msgs);
    page.counter("flotilla_sent_bytes_total", "Bytes of messages sent.", v.out_bytes);
    let slow = v.slow_consumers;
    page.counter("flotilla_slow_consumers_total", "Clients closed for being too slow.", slow);
}

fn assets(page: &mut Exposition, js: &JetStreamMetrics) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        page.gauge(&format!("flotilla_jetstream_{name}"), help, value);
    };
    gauge("up", "Whether JetStream serves on this server.", js.up.into());
    gauge("meta_leader", "Whether the meta group is led here.", js.leads_meta.into());
    gauge("streams", "Replicas of streams here.", js.streams);
    gauge("streams_led", "Streams led here.", js.streams_led);
    gauge("consumers", "Replicas of consumers here.", js.consumers);
    gauge("consumers_led", "Consumers led here.", js.consumers_led);
    gauge("awake", "Replicas here whose group is awake.", js.awake);
    gauge("beginning", "Replicas that were taken up and have had no turn yet.", js.beginning);
    gauge("messages", "Messages in the streams here.", js.messages);
    gauge("bytes", "Bytes of messages in the streams here.", js.bytes);
    gauge("replicas_ended", "Replicas here that take no part any more.", js.ended);
    gauge("replicas_diverged", "Replicas here that differ from their leader.", js.diverged);
    gauge("replicas_mending", "Replicas here that are being repaired.", js.mending);
    let (total, errors) = (js.api.total, js.api.errors);
    page.counter("flotilla_jetstream_api_requests_total", "Requests to the API.", total);
    page.counter("flotilla_jetstream_api_errors_total", "Those that failed.", errors);
}

fn log(page: &mut Exposition, js: &JetStreamMetrics) {
    page.gauge("flotilla_wal_used_bytes", "Bytes of log in use.", js.wal_used);
    page.gauge("flotilla_wal_soft_bytes", "Above it the log is reclaimed.", js.wal_soft);
    page.gauge("flotilla_wal_cap_bytes", "What the log should not pass.", js.wal_cap);
    page.counter("flotilla_wal_batches_total", "Batches written.", js.wal_batches);
    page.counter("flotilla_wal_syncs_total", "Syncs.", js.wal_syncs);
    page.counter("flotilla_wal_written_bytes_total", "Bytes written.", js.wal_written);
    latency(page, "flotilla_wal_write_seconds", "How long writes took.", &js.wal_write);
    latency(page, "flotilla_wal_sync_seconds", "How long syncs took.", &js.wal_sync);
    let poisoned = u8::from(js.wal_poisoned);
    page.gauge("flotilla_wal_poisoned", "Whether a write or sync failed for good.", poisoned);
    if let Some(free) = js.disk_free {
        page.gauge("flotilla_disk_free_bytes", "Bytes free on the store's disk.", free);
    }
    let full = u8::from(js.disk_full);
    page.gauge("flotilla_disk_full", "Whether the disk has no room for messages.", full);
}

fn damage(page: &mut Exposition, js: &JetStreamMetrics) {
    page.counter("flotilla_damage_found_total", "Pieces of damage found.", js.damages);
    page.counter("flotilla_damage_repaired_total", "Pieces of damage repaired.", js.repairs);
    page.counter("flotilla_scrubbed_bytes_total", "Bytes verified.", js.scrubbed);
}

fn latency(page: &mut Exposition, name: &str, help: &str, latency: &Latency) {
    let seconds = LATENCY_BOUNDS.iter().map(|micros| *micros as f64 / 1e6);
    page.histogram(name, help, seconds.zip(latency.up_to), (latency.sum, latency.count));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_there_once_and_there_are_few() {
        let js = JetStreamMetrics { disk_free: Some(1), ..JetStreamMetrics::default() };
        let page = page(&Varz::default(), Some(&js));
        let mut names: Vec<&str> = page
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').map_or(line, |(name, _)| name))
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count < 100, "{count}");
        assert!(names.iter().all(|name| name.starts_with("flotilla_")));
    }

    #[test]
    fn a_server_without_jetstream_says_nothing_of_it() {
        let page = page(&Varz::default(), None);
        assert!(page.contains("flotilla_connections 0\n"));
        assert!(!page.contains("jetstream") && !page.contains("wal"));
    }
}
