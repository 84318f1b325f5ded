//! The server, put together from its parts: the router, client connections, JetStream, the cluster, monitoring.

mod identity;
mod metrics;
mod monitoring;
mod ports;
mod process;
mod room;
mod starting;
mod system;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use flotilla_cluster::{Alone, Cluster, ClusterHandle, Entering, JetStreamLink};
use flotilla_config::{Configuration, Options};
use flotilla_jetstream::{ApiOptions, Buffers, JetStream, JetStreamOptions, Opened, Opening};
use flotilla_jsapi::AccountLimits;
use flotilla_jsapi::consumer::ConsumerBounds;
use flotilla_jsapi::stream::StreamLimits;
use flotilla_meta::PeerLimits;
use flotilla_monitor::{Monitor, MonitorOptions};
use flotilla_server_core::{ClientListener, ClientOptions, RouterHandle};

use crate::log::Logger;
use identity::Identity;
use monitoring::Source;
use starting::Starting;
use system::{ServerInfo, System};

/// How long the leaderships of this server may take to find others when it leaves.
const HAND_OVER: Duration = Duration::from_millis(500);
/// The cluster's name in answers of a server that has none.
const NO_CLUSTER: &str = "";

/// A running server.
pub struct Server {
    options: Options,
    identity: Arc<Identity>,
    router: RouterHandle,
    clients: Arc<ClientListener>,
    jetstream: Option<Arc<JetStream>>,
    cluster: Option<ClusterHandle>,
    /// Keeps a store without a cluster entering its own.
    _entering: Option<Entering>,
    monitor: Option<Monitor>,
    /// Answers the system account.
    _system: System,
    files: Vec<PathBuf>,
}

impl Server {
    /// Starts everything that the options ask for. Monitoring answers from the first moment on; clients are served when
    /// this returns.
    ///
    /// # Errors
    /// When a part cannot start; what had started is stopped.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let id = identity::random_id();
        let starting = Arc::new(Starting::new(&options, &id));
        let monitor = start_monitor(&options, &starting).await?;
        let opened = open_store(&options, &id, starting.opening()).await?;
        let identity = Arc::new(Identity::new(&options, id, opened.as_ref()));
        log::info!("  Name:     {}", identity.name);
        log::info!("  ID:       {}", identity.id);
        let router = RouterHandle::new();
        let client_options = ClientOptions::from_config(&options, identity.info(&options))
            .context("client connections")?;
        let clients = ClientListener::bind(client_options, router.clone()).await;
        let clients = Arc::new(clients.context("client connections")?);
        log::info!("Listening for client connections on {}", clients.local_addr());
        let (jetstream, cluster, entering) = join(&options, &identity, opened, &router, &clients)?;
        if let Some(jetstream) = &jetstream {
            enable_accounts(&options, &router, jetstream);
        }
        let source = Arc::new(Source::new(
            options.clone(),
            Arc::clone(&identity),
            router.clone(),
            Arc::clone(&clients),
            jetstream.clone(),
            cluster.clone(),
        ));
        starting.done(Arc::clone(&source));
        let http = monitor.as_ref().map(Monitor::local_addr);
        let own = ServerInfo::new(&options, &identity, clients.local_addr());
        let system = System::start(&router, &options.system_account, own, source, http);
        let mut server = Self {
            options,
            identity,
            router,
            clients,
            jetstream,
            cluster,
            _entering: entering,
            monitor,
            _system: system?,
            files: Vec::new(),
        };
        server.write_files()?;
        Ok(server)
    }

    fn write_files(&mut self) -> anyhow::Result<()> {
        if let Some(path) = &self.options.pid_file {
            let pid = std::process::id().to_string();
            std::fs::write(path, pid).with_context(|| format!("pid file {}", path.display()))?;
            self.files.push(path.clone());
        }
        if let Some(dir) = &self.options.ports_file_dir {
            let monitor = self.monitor.as_ref().map(Monitor::local_addr);
            let cluster = self.cluster.as_ref().map(ClusterHandle::local_addr);
            let clients = self.clients.local_addr();
            let path = ports::write(dir, clients, monitor, cluster)
                .with_context(|| format!("ports file in {}", dir.display()))?;
            self.files.push(path);
        }
        Ok(())
    }

    /// Where clients are served.
    #[must_use]
    pub fn client_addr(&self) -> SocketAddr {
        self.clients.local_addr()
    }

    /// Takes over what can be changed in a running server; all of it, or nothing.
    pub fn reload(&mut self, configuration: Configuration, logger: &Logger) {
        let Configuration { options, warnings, .. } = configuration;
        for warning in warnings {
            log::warn!("{warning}");
        }
        let changes = match flotilla_config::reload_diff(&self.options, &options) {
            Ok(changes) => changes,
            Err(refused) => {
                for refusal in refused {
                    log::error!("Nothing is reloaded: {refusal}");
                }
                return;
            }
        };
        match ClientOptions::from_config(&options, self.identity.info(&options)) {
            Ok(client_options) => self.clients.reload(client_options),
            Err(error) => {
                log::error!("Nothing is reloaded: {error}");
                return;
            }
        }
        if let Err(error) = logger.configure(&options.logging) {
            log::error!("The log stays as it is: {error}");
        }
        if let Some(jetstream) = &self.jetstream {
            enable_accounts(&options, &self.router, jetstream);
        }
        for change in &changes {
            log::info!("Reloaded: {change}");
        }
        self.options = options;
        log::info!("Reloaded server configuration");
    }

    /// Leaves gently: what is led here is handed over, and clients are sent to other servers bit by bit.
    pub async fn lame_duck(&self) {
        if let Some(jetstream) = &self.jetstream {
            jetstream.hand_over();
        }
        let lame_duck = &self.options.lame_duck;
        self.clients.lame_duck(lame_duck.grace_period, lame_duck.duration).await;
    }

    /// Stops everything. What was acknowledged is on stable storage already.
    pub async fn shutdown(mut self) {
        if let Some(monitor) = self.monitor.take() {
            monitor.shutdown().await;
        }
        if let Some(jetstream) = &self.jetstream {
            jetstream.hand_over();
            tokio::time::sleep(HAND_OVER).await;
        }
        self.clients.shutdown().await;
        if let Some(cluster) = &self.cluster {
            cluster.shutdown().await;
        }
        if let Some(jetstream) = self.jetstream.take() {
            // It waits for the disk.
            let stopped = tokio::task::spawn_blocking(move || jetstream.stop()).await;
            drop(stopped);
        }
        for file in &self.files {
            drop(std::fs::remove_file(file));
        }
    }
}

async fn start_monitor(
    options: &Options,
    source: &Arc<Starting<Source>>,
) -> anyhow::Result<Option<Monitor>> {
    let Some(listen) = &options.monitor else { return Ok(None) };
    let host = options.monitor_host().to_owned();
    let options = MonitorOptions::new(host, listen.port.to_bind());
    let source: Arc<dyn flotilla_monitor::Source> = Arc::clone(source) as _;
    let monitor = Monitor::bind(&options, source).await.context("monitoring")?;
    log::info!("Starting http monitor on {}", monitor.local_addr());
    Ok(Some(monitor))
}

/// Opens the store on a thread that may wait for the disk, while others answer for how far it is.
async fn open_store(
    options: &Options,
    id: &str,
    opening: Arc<Opening>,
) -> anyhow::Result<Option<Opened>> {
    let Some(store) = store_options(options, id) else { return Ok(None) };
    log::info!("Starting JetStream");
    log::info!("  Store Directory: \"{}\"", store.store_dir.display());
    let opened =
        tokio::task::spawn_blocking(move || flotilla_jetstream::open(store, &opening)).await;
    opened.context("JetStream's store")?.context("JetStream").map(Some)
}

fn store_options(options: &Options, id: &str) -> Option<JetStreamOptions> {
    let jetstream = options.jetstream.as_ref()?;
    let store_dir = store_dir(options);
    let name = identity::server_name(options, id);
    let nanoseconds = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    let api = ApiOptions {
        server_name: name.clone(),
        cluster_name: options.is_clustered().then(|| cluster_name(options).to_owned()),
        domain: None,
        server_version: identity::NATS_VERSION.to_owned(),
        stream_limits: StreamLimits {
            duplicate_window: jetstream.limits.duplicate_window.map(nanoseconds),
            ..StreamLimits::default()
        },
        consumer_bounds: ConsumerBounds {
            max_ack_pending: jetstream.limits.max_ack_pending.map(u64::from),
            max_request_batch: jetstream.limits.max_request_batch,
        },
    };
    let max_file_store = jetstream.max_file_store.or_else(|| room::on_disk(&store_dir));
    Some(JetStreamOptions {
        store_dir,
        server_name: name,
        server_id: id.to_owned(),
        system_account: options.system_account.clone(),
        cluster_name: cluster_name(options).to_owned(),
        tags: options.server_tags.clone(),
        limits: PeerLimits {
            jetstream: true,
            max_file_store,
            max_memory_store: Some(jetstream.max_memory_store.unwrap_or_else(room::in_memory)),
            max_ha_assets: jetstream.limits.max_ha_assets,
        },
        unique_tag: jetstream.unique_tag.clone(),
        shards: options.tuning.shards.map_or_else(shards, usize::from),
        wal_max_size: options.tuning.wal_max_size,
        buffers: Buffers {
            stream_bytes: jetstream.max_buffered_size,
            stream_messages: jetstream.max_buffered_messages.map(u64::from),
            total_bytes: options.tuning.max_buffered_total,
        },
        api,
    })
}

/// As many shards as half of the cores: what a shard does for a client, the runtime's threads do once more, in reading,
/// routing and writing.
fn shards() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// The store: `jetstream` in the configured directory, as in the reference server.
fn store_dir(options: &Options) -> PathBuf {
    let default = || std::env::temp_dir().join("nats");
    options.store_dir().map_or_else(default, std::path::Path::to_path_buf).join("jetstream")
}

fn cluster_name(options: &Options) -> &str {
    options.cluster.name.as_deref().unwrap_or(NO_CLUSTER)
}

type Joined = (Option<Arc<JetStream>>, Option<ClusterHandle>, Option<Entering>);

/// Starts JetStream and the routes, each with the other as its way out.
fn join(
    options: &Options,
    identity: &Arc<Identity>,
    opened: Option<Opened>,
    router: &RouterHandle,
    clients: &Arc<ClientListener>,
) -> anyhow::Result<Joined> {
    if !options.is_clustered() {
        let Some(opened) = opened else { return Ok((None, None, None)) };
        let (cluster, bootstrap) = (opened.cluster(), opened.bootstrap());
        let jetstream = Arc::new(opened.start(router, Arc::new(Alone)).context("JetStream")?);
        let link = JetStreamLink::new(Arc::clone(&jetstream), cluster, bootstrap, 1);
        let entering = Alone.start(link).context("JetStream")?;
        return Ok((Some(jetstream), None, Some(entering)));
    }
    let routes = identity.routes(options, opened.as_ref(), clients.local_addr())?;
    let tell_client_urls = (!options.cluster.no_advertise).then(|| {
        let own = identity.client_urls(options, clients.local_addr());
        let clients = Arc::clone(clients);
        let tell: flotilla_cluster::TellClientUrls = Arc::new(move |urls: Vec<String>| {
            clients
                .update_info(|info| info.connect_urls = own.iter().cloned().chain(urls).collect());
        });
        tell
    });
    let bound = Cluster::bind(flotilla_cluster::Options { routes, tell_client_urls });
    let bound = bound.context("cluster")?;
    log::info!("Cluster name is {}", cluster_name(options));
    log::info!("Listening for route connections on {}", bound.handle().local_addr());
    let Some(opened) = opened else {
        let cluster = bound.start(router, None).context("cluster")?;
        return Ok((None, Some(cluster), None));
    };
    let (in_cluster, bootstrap) = (opened.cluster(), opened.bootstrap());
    let remote = Arc::new(bound.handle());
    let jetstream = Arc::new(opened.start(router, remote).context("JetStream")?);
    let expected = identity.expected_stores(options, bound.handle().local_addr());
    let link = JetStreamLink::new(Arc::clone(&jetstream), in_cluster, bootstrap, expected);
    let cluster = bound.start(router, Some(link)).context("cluster")?;
    Ok((Some(jetstream), Some(cluster), None))
}

/// The accounts that have JetStream: those that say so, and the global one.
fn jetstream_accounts(options: &Options) -> BTreeSet<&str> {
    let configured = options.accounts.iter().filter(|(_, account)| account.jetstream.is_some());
    let names = configured.map(|(name, _)| name.as_str());
    std::iter::once(flotilla_config::GLOBAL_ACCOUNT).chain(names).collect()
}

/// Opens the API to the accounts that have JetStream, and to the system account, which leads the servers by it; and to
/// no others.
fn enable_accounts(options: &Options, router: &RouterHandle, jetstream: &JetStream) {
    let mut accounts = jetstream_accounts(options);
    accounts.insert(&options.system_account);
    jetstream.api().keep_only(&accounts);
    for name in accounts {
        let limits = options.accounts.get(name).and_then(|account| account.jetstream.as_ref());
        let most = |number: Option<u32>| number.map_or(-1, i64::from);
        let limits = AccountLimits {
            max_streams: most(limits.and_then(|limits| limits.max_streams)),
            max_consumers: most(limits.and_then(|limits| limits.max_consumers)),
            ..AccountLimits::default()
        };
        jetstream.api().enable(&router.account(name), limits);
    }
}
