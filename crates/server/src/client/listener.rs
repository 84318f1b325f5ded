//! The client listener: accepts connections and keeps them until they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flotilla_proto::{ErrorReply, Info, encoder};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::connection::{Connection, ConnectionInfo, SubscriptionInfo};
use super::options::ClientOptions;
use super::registry::{NoPlace, Registered};
use super::service::{ConnectionObserver, Service};
use super::session::Session;
use super::{reader, writer};
use crate::router::client::Client;
use crate::router::{CloseReason, ConnectionId, RouterHandle};

/// The longest wait after accepting failed, for example because no file descriptor is left.
const LONGEST_BACKOFF: Duration = Duration::from_secs(1);
/// How long a client that is turned away may take to read why.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// The listener cannot be opened.
#[derive(Debug, Error)]
#[error("cannot listen for clients on {host}:{port}: {source}")]
pub struct BindError {
    /// The host of the options.
    pub host: String,
    /// The port of the options.
    pub port: u16,
    /// What the system said.
    pub source: std::io::Error,
}

/// Accepts clients from [`bind`](Self::bind) on, until it is shut down or dropped.
pub struct ClientListener {
    service: Arc<Service>,
    local_addr: SocketAddr,
    accepting: JoinHandle<()>,
}

impl ClientListener {
    /// Opens the listener and begins to accept.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn bind(options: ClientOptions, router: RouterHandle) -> Result<Self, BindError> {
        let failed = |source| BindError { host: options.host.clone(), port: options.port, source };
        let listener =
            TcpListener::bind((options.host.as_str(), options.port)).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let own_address = (options.host.clone(), local_addr.port());
        let service = Arc::new(Service::new(options, router, own_address));
        let accepting = tokio::spawn(accept_loop(Arc::clone(&service), listener));
        Ok(Self { service, local_addr, accepting })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Changes what clients are told, for example `connect_urls` when the topology changed, and tells those who
    /// take an `INFO` at any time.
    pub fn update_info(&self, change: impl FnOnce(&mut Info)) {
        self.service.change_info(change);
    }

    /// Takes over changed options: limits and timers apply to connections that exist too, and those that may not
    /// be here any more are closed: clients whose credentials no longer lead into their account, and the newest
    /// beyond `max_connections`. The address, `info` and, for existing connections, `max_pending` stay as they are.
    pub fn reload(&self, options: ClientOptions) {
        let max_connections = options.max_connections;
        self.service.change_settings(options);
        let connections = self.service.registry.all();
        for connection in connections.iter().skip(max_connections) {
            let mut farewell = Vec::new();
            encoder::put_error(&mut farewell, &ErrorReply::MaximumConnections);
            connection.client.outbox.append(&mut farewell);
            connection.close(CloseReason::MaxConnectionsExceeded);
        }
        for connection in connections.iter().take(max_connections) {
            connection.client.outbox.nudge_reader();
        }
    }

    /// Tells `observer` of connections that come and go from now on. Answers whether it does; there can be one.
    pub fn observe(&self, observer: Arc<dyn ConnectionObserver>) -> bool {
        self.service.observer.set(observer).is_ok()
    }

    /// How many clients are connected.
    pub fn connection_count(&self) -> usize {
        self.service.registry.len()
    }

    /// All connections, oldest first.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.service.registry.all().iter().map(|connection| connection.snapshot()).collect()
    }

    /// The subscriptions of a connection, by the client's names for them; `None` if there is no such connection.
    pub fn subscriptions(&self, id: ConnectionId) -> Option<Vec<SubscriptionInfo>> {
        self.service.registry.get(id).map(|connection| connection.subscriptions())
    }

    /// Closes a connection at an operator's wish. Answers whether there was one.
    pub fn kick(&self, id: ConnectionId) -> bool {
        let connection = self.service.registry.get(id);
        connection.inspect(|connection| connection.close(CloseReason::Kicked)).is_some()
    }

    /// Lame duck mode: accepts nobody any more, tells the clients to go elsewhere, waits for `grace`, and closes the
    /// connections one by one over `duration`, so that not all arrive at the other servers at once.
    pub async fn lame_duck(&self, grace: Duration, duration: Duration) {
        self.stop_accepting();
        self.update_info(|info| info.lame_duck_mode = true);
        let registry = &self.service.registry;
        // Whoever goes by itself is not waited for.
        if timeout(grace, registry.until_empty()).await.is_ok() {
            return;
        }
        let connections = registry.all();
        let count = u32::try_from(connections.len()).unwrap_or(u32::MAX).max(1);
        for connection in connections {
            connection.close(CloseReason::ServerShutdown);
            sleep(duration / count).await;
        }
        registry.until_empty().await;
    }

    /// Accepts nobody any more, closes all connections after what waits for them is written, and waits until they
    /// are gone: no longer than `write_deadline` in all but the last moments.
    pub async fn shutdown(&self) {
        self.stop_accepting();
        for connection in self.service.registry.all() {
            connection.close(CloseReason::ServerShutdown);
        }
        self.service.registry.until_empty().await;
    }

    fn stop_accepting(&self) {
        self.accepting.abort();
        // The task may be in the midst of an accept, on another thread.
        self.service.registry.close();
    }
}

impl Drop for ClientListener {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept_loop(service: Arc<Service>, listener: TcpListener) {
    let mut backoff = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((socket, remote)) => {
                backoff = Duration::from_millis(10);
                accept(&service, socket, remote);
            }
            Err(_) => {
                // The system is short of something, or the client went before it was met: neither is for ever.
                sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
    }
}

fn accept(service: &Arc<Service>, socket: TcpStream, remote: SocketAddr) {
    let router = &service.router;
    router.traffic().count_connection();
    // Batches are made above the socket; a socket that cannot be told so still works.
    let _ = socket.set_nodelay(true);
    let settings = service.settings();
    let options = &settings.options;
    let client = Arc::new(Client::new(router.next_connection(), options.max_pending));
    let connection = Arc::new(Connection::new(client, remote));
    match service.registry.register(Arc::clone(&connection), options.max_connections) {
        Ok(registered) => {
            tokio::spawn(serve(Arc::clone(service), socket, registered));
        }
        Err(NoPlace::Closed) => {}
        Err(NoPlace::Full) => {
            let info = connection.info_of(&service.info());
            tokio::spawn(turn_away(socket, info));
        }
    }
}

/// Serves one connection from its first byte to its last.
async fn serve(service: Arc<Service>, socket: TcpStream, registered: Registered) {
    let connection = Arc::clone(&registered.connection);
    let (mut input, output) = socket.into_split();
    let mut session = Session::new(Arc::clone(&service), Arc::clone(&connection), Instant::now());
    let mut writing = {
        let (service, connection) = (Arc::clone(&service), Arc::clone(&connection));
        tokio::spawn(async move { writer::write_loop(&service, &connection, output).await })
    };
    let reason = reader::read_loop(&mut session, &connection, &mut input).await;
    connection.close(reason);
    // The reason that came first may be another than the reader's.
    let reason = connection.client.outbox.close_reason().unwrap_or(reason);
    if let Some(observer) = service.observer.get() {
        observer.disconnected(&connection.snapshot(), reason);
    }
    connection.client.unsubscribe_all();
    if !reason.discards_output() {
        reader::linger(&mut input).await;
        let write_deadline = service.settings().options.write_deadline;
        if timeout(write_deadline, &mut writing).await.is_ok() {
            return;
        }
    }
    // It may hang in a write that nobody reads.
    writing.abort();
}

/// Tells a client that there is no place for it.
async fn turn_away(mut socket: TcpStream, info: Info) {
    let mut farewell = Vec::new();
    if encoder::put_info(&mut farewell, &info).is_err() {
        farewell.clear();
    }
    encoder::put_error(&mut farewell, &ErrorReply::MaximumConnections);
    let say = async {
        socket.write_all(&farewell).await?;
        socket.shutdown().await
    };
    // Whether the client hears it or not, it cannot stay.
    let _ = timeout(TURN_AWAY, say).await;
}
