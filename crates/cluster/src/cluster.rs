//! Joining routes, router and JetStream.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use flotilla_host::Detector;
use flotilla_meta::DamagedCommand;
use flotilla_raft::StoreId;
use flotilla_routes::{Event, Routes};
use flotilla_server_core::RouterHandle;
use flotilla_server_core::router::AlreadyConnected;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::beats::{self, Beating};
use crate::entry;
use crate::handle::ClusterHandle;
use crate::interest::Neighbours;
use crate::leadership::Leadership;
use crate::links::Links;
use crate::members::Members;
use crate::messages::Messages;
use crate::raft::Bundles;
use crate::routes_thread;
use crate::service::Service;
use crate::store::JetStreamLink;

/// Messages of the bootstrap that wait; more are lost, as on the way.
const BOOTSTRAP: usize = 256;

/// Is told the client URLs of all linked servers, in order, whenever they change.
pub type TellClientUrls = Arc<dyn Fn(Vec<String>) + Send + Sync>;

/// What a cluster is started with.
pub struct Options {
    /// The routes. With JetStream, the identity names the store, and the cluster that it belongs to.
    pub routes: flotilla_routes::Options,
    /// Whom to tell where clients find other servers; absent with `no_advertise`.
    pub tell_client_urls: Option<TellClientUrls>,
}

/// The cluster could not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The router has peers already.
    #[error(transparent)]
    AlreadyConnected(#[from] AlreadyConnected),
    /// There is JetStream, but the identity given to the routes names no store.
    #[error("the server runs JetStream, but its route identity names no store")]
    NoStore,
    /// The store has forgotten what it promised other stores.
    #[error(
        "the store file's bootstrap state cannot be read: {0}; start with an empty store directory, \
         or restore the file"
    )]
    Bootstrap(#[from] DamagedCommand),
    /// The thread that beats could not be started.
    #[error("the thread for beats cannot be started: {0}")]
    Beats(#[from] io::Error),
}

/// The routes could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The address is taken, or the options are wrong.
    #[error(transparent)]
    Routes(#[from] flotilla_routes::StartError),
    /// Their thread could not be started.
    #[error("the thread for routes cannot be started: {0}")]
    Thread(io::Error),
}

/// Routes that are open. Nothing that arrives is read before [`start`](Self::start).
pub struct Cluster {
    handle: ClusterHandle,
    /// Of the routes' thread.
    runtime: Handle,
    events: mpsc::Receiver<Event>,
    tell_client_urls: Option<TellClientUrls>,
    stop: watch::Receiver<bool>,
}

impl Cluster {
    /// Opens the routes, on a thread of their own, which ends with the tokio runtime that this must be called within.
    ///
    /// # Errors
    /// The address is taken, or the options are wrong.
    pub fn bind(options: Options) -> Result<Self, BindError> {
        let Options { routes, tell_client_urls } = options;
        if let Some(warning) = routes.warning() {
            log::warn!("{warning}");
        }
        let runtime = routes_thread::start().map_err(BindError::Thread)?;
        let (routes, events) = {
            let _entered = runtime.enter();
            Routes::start(routes)?
        };
        let links = Arc::new(Links::new(routes));
        let (stop, stopped) = watch::channel(false);
        let handle = ClusterHandle {
            neighbours: Arc::new(Neighbours::new(links.clone())),
            bundles: Arc::new(Bundles::new(links.clone())),
            leadership: Arc::new(OnceLock::new()),
            stop: Arc::new(stop),
            links,
        };
        Ok(Self { handle, runtime, events, tell_client_urls, stop: stopped })
    }

    /// What JetStream is built with: it is the way to other servers, but leads nowhere before [`start`](Self::start).
    #[must_use]
    pub fn handle(&self) -> ClusterHandle {
        self.handle.clone()
    }

    /// Joins the routes with the router and with JetStream, if this server runs it. Must be called within a tokio
    /// runtime, on which clients get what other servers sent them.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(
        self,
        router: &RouterHandle,
        jetstream: Option<JetStreamLink>,
    ) -> Result<ClusterHandle, StartError> {
        let Self { handle, runtime, events, tell_client_urls, stop } = self;
        let messages = Messages {
            links: handle.links.clone(),
            neighbours: handle.neighbours.clone(),
            router: router.clone(),
            runtime: Handle::current(),
            jetstream: jetstream.as_ref().map(|link| link.jetstream.clone()),
        };
        let (members, beating) = match jetstream {
            Some(link) => {
                let (members, beating) = start_members(&handle, link, &stop)?;
                (Some(members), Some(beating))
            }
            None => (None, None),
        };
        router.connect_peers(handle.neighbours.clone())?;
        let service = Service {
            links: handle.links.clone(),
            messages: Arc::new(messages),
            members,
            tell_client_urls,
            client_urls: Vec::new(),
            workers: BTreeMap::new(),
            ending: BTreeMap::new(),
            _beating: beating,
        };
        runtime.spawn(service.run(events, stop));
        Ok(handle)
    }
}

/// Starts what only a server with a store does.
fn start_members(
    handle: &ClusterHandle,
    link: JetStreamLink,
    stop: &watch::Receiver<bool>,
) -> Result<(Members, Beating), StartError> {
    let links = &handle.links;
    let identity = links.handle.identity();
    let store = identity.store_id.map(StoreId).ok_or(StartError::NoStore)?;
    let leadership = Arc::new(Leadership::new(links.clone(), link.leaders.clone(), store));
    let leadership = handle.leadership.get_or_init(|| leadership).clone();
    let jetstream = link.jetstream.clone();
    let beating = beats::start(links.clone(), jetstream.clone(), store, identity.boot_id)?;
    let (bootstrap, messages) = mpsc::channel(BOOTSTRAP);
    entry::enter(links.clone(), link, messages, stop.clone())?;
    let members = Members {
        links: links.clone(),
        jetstream,
        leadership,
        bundles: handle.bundles.clone(),
        bootstrap,
        store,
        detector: Detector::default(),
        rooms: BTreeMap::new(),
        disowned: BTreeSet::new(),
        started: Instant::now(),
        judgement: None,
    };
    Ok((members, beating))
}
