//! The service: a listener, and the task that serves it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::connection::BoundedListener;
use crate::endpoint;
use crate::source::Source;

/// How long requests under way may take to finish once the monitor stops.
const GRACE: Duration = Duration::from_secs(1);

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorOptions {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; zero lets the system pick, which NATS writes -1.
    pub port: u16,
    /// The most connections at a time; at least one. The others wait.
    pub max_connections: usize,
}

impl MonitorOptions {
    /// Listens on `host` and `port`, with as many connections as any number of probes and scrapers may need.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, max_connections: 256 }
    }
}

/// The address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen for monitoring on {host}:{port}: {source}")]
pub struct BindError {
    /// The host of the options.
    pub host: String,
    /// The port of the options.
    pub port: u16,
    /// What the system said.
    pub source: io::Error,
}

/// The HTTP server. It serves from [`bind`](Self::bind) on, until it is shut down or dropped.
#[derive(Debug)]
pub struct Monitor {
    local_addr: SocketAddr,
    /// Accept nobody any more, and let requests under way finish.
    stop: CancellationToken,
    /// End what is left.
    cut: CancellationToken,
    serving: JoinHandle<()>,
}

impl Monitor {
    /// Opens the listener and begins to serve what `source` says.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(
        options: &MonitorOptions,
        source: Arc<dyn Source>,
    ) -> Result<Self, BindError> {
        let MonitorOptions { host, port, max_connections } = options;
        let failed = |source| BindError { host: host.clone(), port: *port, source };
        let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let listener = BoundedListener::new(listener, (*max_connections).max(1), cut.clone());
        let stopped = stop.clone().cancelled_owned();
        let router = endpoint::router(source, local_addr);
        let serving = tokio::spawn(async move {
            // Accepting never fails for good, so this ends only when it is told to.
            let _: io::Result<()> =
                axum::serve(listener, router).with_graceful_shutdown(stopped).await;
        });
        Ok(Self { local_addr, stop, cut, serving })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Accepts nobody any more, lets requests under way finish for a second, and ends all connections. The port is
    /// free when this returns.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if timeout(GRACE, &mut self.serving).await.is_err() {
            // The task only waits for connections by now, and these end by being cut.
            self.cut.cancel();
            self.serving.abort();
            drop((&mut self.serving).await);
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.cancel();
        self.cut.cancel();
    }
}
