//! All connections of a listener.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::connection::Connection;
use crate::lock::lock;
use crate::router::{CloseReason, ConnectionId};

#[derive(Default)]
pub(super) struct Registry {
    connections: Mutex<BTreeMap<ConnectionId, Arc<Connection>>>,
    /// Told of every connection that goes.
    gone: Notify,
}

/// A connection that has its place; it leaves when this is dropped, whatever ended its task.
pub(super) struct Registered {
    registry: Arc<Registry>,
    pub(super) connection: Arc<Connection>,
}

impl Registry {
    /// Gives `connection` a place, unless `max` are taken.
    pub(super) fn register(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        max: usize,
    ) -> Option<Registered> {
        let mut connections = lock(&self.connections);
        if connections.len() >= max {
            return None;
        }
        connections.insert(connection.id(), Arc::clone(&connection));
        Some(Registered { registry: Arc::clone(self), connection })
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        lock(&self.connections).get(&id).cloned()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.connections).len()
    }

    /// All connections, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.connections).values().cloned().collect()
    }

    /// Waits until no connection is left.
    pub(super) async fn until_empty(&self) {
        loop {
            let gone = self.gone.notified();
            if self.len() == 0 {
                return;
            }
            gone.await;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // If the task ended as it should this has long been said; a panic ends here.
        self.connection.close(CloseReason::ReadError);
        self.connection.client.unsubscribe_all();
        lock(&self.registry.connections).remove(&self.connection.id());
        self.registry.gone.notify_waiters();
    }
}
