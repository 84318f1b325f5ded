//! All connections of a listener.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::connection::Connection;
use crate::lock::lock;
use crate::router::{CloseReason, ConnectionId};

#[derive(Default)]
pub(super) struct Registry {
    state: Mutex<State>,
    /// Told of every connection that goes.
    gone: Notify,
}

#[derive(Default)]
struct State {
    connections: BTreeMap<ConnectionId, Arc<Connection>>,
    is_closed: bool,
}

/// Why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// As many as there may be are here.
    Full,
    /// The server goes.
    Closed,
}

/// A connection that has its place; it leaves when this is dropped, whatever ended its task.
pub(super) struct Registered {
    registry: Arc<Registry>,
    pub(super) connection: Arc<Connection>,
}

impl Registry {
    /// Gives `connection` a place, if fewer than `max` are taken.
    pub(super) fn register(
        self: &Arc<Self>,
        connection: Arc<Connection>,
        max: usize,
    ) -> Result<Registered, NoPlace> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(NoPlace::Closed);
        }
        if state.connections.len() >= max {
            return Err(NoPlace::Full);
        }
        state.connections.insert(connection.id(), Arc::clone(&connection));
        Ok(Registered { registry: Arc::clone(self), connection })
    }

    /// Gives no more places. Whoever is not in [`all`](Self::all) after this never will be.
    pub(super) fn close(&self) {
        lock(&self.state).is_closed = true;
    }

    pub(super) fn get(&self, id: ConnectionId) -> Option<Arc<Connection>> {
        lock(&self.state).connections.get(&id).cloned()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.state).connections.len()
    }

    /// All connections, oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Connection>> {
        lock(&self.state).connections.values().cloned().collect()
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
        lock(&self.registry.state).connections.remove(&self.connection.id());
        self.registry.gone.notify_waiters();
    }
}
