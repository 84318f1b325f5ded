//! What monitoring shows: read from what is at hand, without asking anybody.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use flotilla_cluster::ClusterHandle;
use flotilla_config::Options;
use flotilla_host::Totals;
use flotilla_jetstream::{JetStream, peer_id};
use flotilla_jsapi::Time;
use flotilla_jsapi::cluster::PeerInfo;
use flotilla_monitor::{
    ClusterVarz, FaultKind, HealthCheck, HealthFault, JetStreamConfig, JetStreamMetrics,
    JetStreamStats, JetStreamVarz, Jsz, JszOptions, MetaCluster, NotMetaLeader, SlowConsumerStats,
    Uptime, Varz,
};
use flotilla_raft::{GroupId, StoreId};
use flotilla_server_core::{ClientListener, RouterHandle};
use flotilla_stream::Timestamp;

use super::identity::{Identity, NATS_VERSION};
use super::metrics;
use super::process::{self, Processor};
use super::system::Route;

/// The server, as monitoring sees it.
pub(super) struct Source {
    options: Options,
    identity: Arc<Identity>,
    router: RouterHandle,
    clients: Arc<ClientListener>,
    jetstream: Option<Arc<JetStream>>,
    cluster: Option<ClusterHandle>,
    started: Instant,
    started_at: Time,
    processor: Processor,
}

pub(super) fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).ok().map(Timestamp))
}

impl Source {
    pub(super) fn new(
        options: Options,
        identity: Arc<Identity>,
        router: RouterHandle,
        clients: Arc<ClientListener>,
        jetstream: Option<Arc<JetStream>>,
        cluster: Option<ClusterHandle>,
    ) -> Self {
        let (started, started_at) = (Instant::now(), now());
        let processor = Processor::default();
        Self {
            options,
            identity,
            router,
            clients,
            jetstream,
            cluster,
            started,
            started_at,
            processor,
        }
    }

    fn totals(&self) -> Totals {
        self.jetstream.as_ref().map(|js| js.totals()).unwrap_or_default()
    }

    /// The links to other servers.
    pub(super) fn routes(&self) -> Vec<Route> {
        let Some(cluster) = &self.cluster else { return Vec::new() };
        let routes = cluster.routes();
        let route = |peer: flotilla_routes::PeerInfo| {
            let stats = routes.stats(peer.peer)?;
            let name = peer.identity.server_name;
            Some(Route::new(peer.peer.get(), name, stats.sent_bytes, stats.received_bytes))
        };
        routes.peers().into_iter().filter_map(route).collect()
    }

    fn jetstream_config(&self) -> JetStreamConfig {
        let limit = |bytes: Option<u64>| bytes.map_or(-1, |b| i64::try_from(b).unwrap_or(i64::MAX));
        let options = self.options.jetstream.as_ref();
        let limits = self.jetstream.as_ref().map(|jetstream| &jetstream.info().limits);
        JetStreamConfig {
            max_memory: limit(limits.and_then(|l| l.max_memory_store)),
            max_storage: limit(limits.and_then(|l| l.max_file_store)),
            store_dir: super::store_dir(&self.options).display().to_string(),
            sync_always: true,
            unique_tag: options.and_then(|o| o.unique_tag.clone()),
            ..JetStreamConfig::default()
        }
    }

    fn jetstream_stats(&self) -> JetStreamStats {
        let load = self.jetstream.as_ref().and_then(|jetstream| {
            let store = jetstream.info().store;
            jetstream.directory().with(|meta| meta.load(store))
        });
        let load = load.unwrap_or_default();
        JetStreamStats {
            storage: self.totals().bytes,
            reserved_memory: load.reserved_memory,
            reserved_storage: load.reserved_file,
            ha_assets: load.ha_assets.into(),
            accounts: super::jetstream_accounts(&self.options).len() as u64,
            api: self.jetstream.as_ref().map(|js| js.api().stats()).unwrap_or_default(),
            ..JetStreamStats::default()
        }
    }

    fn meta_cluster(&self) -> Option<MetaCluster> {
        let jetstream = self.jetstream.as_ref()?;
        let cluster = self.options.cluster.name.clone().filter(|_| self.cluster.is_some())?;
        let leader = jetstream.leaders().of(GroupId::META);
        jetstream.directory().with(|meta| {
            let name = |store: StoreId| meta.server(store).map(|server| server.name.clone());
            let alive = self.cluster.as_ref().map(ClusterHandle::peers).unwrap_or_default();
            let members: Vec<_> = meta.servers().filter(|s| s.takes_assets()).collect();
            let replicas = members.iter().filter(|s| Some(s.store) != leader).map(|server| {
                let here = server.store == jetstream.info().store;
                let peer = alive.iter().find(|p| p.store == Some(server.store));
                let up = here || peer.is_some_and(|p| p.alive);
                PeerInfo {
                    name: server.name.clone(),
                    current: up,
                    offline: !up,
                    peer: peer_id(&server.name),
                    ..PeerInfo::default()
                }
            });
            MetaCluster {
                name: cluster,
                leader: leader.and_then(name),
                peer: leader.and_then(name).map(|name| peer_id(&name)),
                replicas: replicas.collect(),
                cluster_size: members.len() as u64,
                pending: 0,
            }
        })
    }

    fn jetstream_faults(&self, check: &HealthCheck) -> Vec<HealthFault> {
        let fault = |error: &str| HealthFault::new(FaultKind::JetStream, error);
        let Some(jetstream) = &self.jetstream else { return Vec::new() };
        if let Some(failure) = jetstream.failure() {
            return vec![fault(&format!("JetStream has ended: {failure}"))];
        }
        if check.js_enabled_only {
            return Vec::new();
        }
        if jetstream.directory().with(|_| ()).is_none() {
            return vec![fault("JetStream has not entered a cluster yet")];
        }
        if jetstream.leaders().of(GroupId::META).is_none() {
            return vec![fault("JetStream has not established contact with a meta leader")];
        }
        // Before, others can name this server by its store only: who founds a cluster knows no more of the others.
        let is_named = jetstream.directory().with(|meta| {
            let server = meta.server(jetstream.info().store);
            server.is_some_and(|server| server.name == jetstream.info().name)
        });
        if is_named != Some(true) {
            return vec![fault("JetStream has not registered with the meta group yet")];
        }
        if check.js_meta_only {
            return Vec::new();
        }
        let full = jetstream.lacks_room().map(|why| HealthFault::new(FaultKind::JetStream, why));
        let Totals { ended, diverged, mending, beginning, .. } = self.totals();
        if beginning > 0 {
            let text = format!("JetStream is starting: {beginning} groups do not serve yet");
            return vec![fault(&text)];
        }
        let ended = ended
            .into_iter()
            .map(|(group, reason)| format!("the replica of group {group} ended: {reason}"));
        let diverged = diverged
            .into_iter()
            .map(|group| format!("the replica of group {group} differs from its leader"));
        let mending = mending
            .into_iter()
            .map(|(group, why)| format!("the replica of group {group} is being repaired: {why}"));
        let assets = ended.chain(diverged).chain(mending);
        full.into_iter()
            .chain(assets.map(|text| HealthFault::new(FaultKind::Stream, text)))
            .collect()
    }
}

impl flotilla_monitor::Source for Source {
    fn varz(&self) -> Varz {
        let traffic = self.router.traffic().snapshot();
        let connection = &self.options.connection;
        let bound = self.clients.local_addr();
        let accounts = self.router.accounts();
        let peers =
            self.cluster.as_ref().map_or(0, |c| c.peers().iter().filter(|p| p.linked).count());
        let nanoseconds = |d: std::time::Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Varz {
            server_id: self.identity.id.clone(),
            server_name: self.identity.name.clone(),
            version: NATS_VERSION.to_owned(),
            proto: 1,
            git_commit: format!("flotilla-{}", env!("CARGO_PKG_VERSION")),
            go: "flotilla".to_owned(),
            host: bound.ip().to_string(),
            port: bound.port(),
            max_connections: connection.max_connections.map_or(0, u64::from),
            ping_interval: nanoseconds(connection.ping_interval),
            ping_max: connection.ping_max,
            auth_timeout: self.options.authorization.timeout.as_secs_f64(),
            max_control_line: u64::from(connection.max_control_line),
            max_payload: u64::from(connection.max_payload),
            max_pending: connection.max_pending,
            cluster: ClusterVarz {
                name: self.cluster.as_ref().and(self.options.cluster.name.clone()),
                addr: self.cluster.as_ref().map(|c| c.local_addr().ip().to_string()),
                cluster_port: self.cluster.as_ref().map(|c| c.local_addr().port()),
                urls: self.options.cluster.routes.iter().map(ToString::to_string).collect(),
                ..ClusterVarz::default()
            },
            jetstream: JetStreamVarz {
                config: self.jetstream.as_ref().map(|_| self.jetstream_config()),
                stats: self.jetstream.as_ref().map(|_| self.jetstream_stats()),
                meta: self.meta_cluster(),
                limits: None,
            },
            write_deadline: nanoseconds(connection.write_deadline),
            start: self.started_at,
            now: now(),
            uptime: Uptime(self.started.elapsed()),
            mem: process::resident_bytes(),
            cpu: self.processor.percent(),
            cores: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
            gomaxprocs: std::thread::available_parallelism().map_or(1, |n| n.get() as u64),
            connections: self.clients.connection_count() as u64,
            total_connections: traffic.connections_accepted,
            routes: peers as u64,
            remotes: peers as u64,
            in_msgs: traffic.in_messages,
            in_bytes: traffic.in_bytes,
            out_msgs: traffic.out_messages,
            out_bytes: traffic.out_bytes,
            slow_consumers: traffic.slow_consumers,
            subscriptions: accounts.iter().map(|a| a.subscription_count() as u64).sum(),
            config_load_time: self.started_at,
            tags: self.options.server_tags.clone(),
            system_account: self.options.system_account.clone(),
            slow_consumer_stats: SlowConsumerStats {
                clients: traffic.slow_consumers,
                ..SlowConsumerStats::default()
            },
            ..Varz::default()
        }
    }

    fn jsz(&self, options: &JszOptions) -> Result<Jsz, NotMetaLeader> {
        let Some(jetstream) = &self.jetstream else {
            return Ok(Jsz { disabled: true, now: now(), ..Jsz::default() });
        };
        let leads = jetstream.leaders().of(GroupId::META) == Some(jetstream.info().store);
        if options.leader_only && !leads {
            return Err(NotMetaLeader);
        }
        let totals = self.totals();
        Ok(Jsz {
            stats: self.jetstream_stats(),
            server_id: self.identity.id.clone(),
            now: now(),
            config: self.jetstream_config(),
            streams: totals.streams,
            streams_leader: options.raft.then_some(totals.streams_led),
            consumers: totals.consumers,
            consumers_leader: options.raft.then_some(totals.consumers_led),
            messages: totals.messages,
            bytes: totals.bytes,
            meta_cluster: self.meta_cluster(),
            total: super::jetstream_accounts(&self.options).len() as u64,
            ..Jsz::default()
        })
    }

    fn jetstream_metrics(&self) -> Option<JetStreamMetrics> {
        self.jetstream.as_deref().map(metrics::of)
    }

    fn healthz(&self, check: &HealthCheck) -> Result<(), Vec<HealthFault>> {
        if check.js_server_only {
            return Ok(());
        }
        let faults = self.jetstream_faults(check);
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}
