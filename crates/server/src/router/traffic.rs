//! Counters of all clients together, as monitoring shows them.

use std::sync::atomic::{AtomicU64, Ordering};

/// What went through the server since it started. Counted per batch.
#[derive(Debug, Default)]
pub struct Traffic {
    in_messages: AtomicU64,
    in_bytes: AtomicU64,
    out_messages: AtomicU64,
    out_bytes: AtomicU64,
    slow_consumers: AtomicU64,
    stale_connections: AtomicU64,
    connections_accepted: AtomicU64,
}

/// [`Traffic`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficSnapshot {
    /// Messages published by clients.
    pub in_messages: u64,
    /// Their headers and payloads, in bytes.
    pub in_bytes: u64,
    /// Messages queued for clients.
    pub out_messages: u64,
    /// Their headers and payloads, in bytes.
    pub out_bytes: u64,
    /// Connections closed because the client read too slowly.
    pub slow_consumers: u64,
    /// Connections closed because the client did not answer pings.
    pub stale_connections: u64,
    /// Connections accepted, those that were turned away included.
    pub connections_accepted: u64,
}

impl Traffic {
    /// The counters now; each exact, together not of one instant.
    pub fn snapshot(&self) -> TrafficSnapshot {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficSnapshot {
            in_messages: load(&self.in_messages),
            in_bytes: load(&self.in_bytes),
            out_messages: load(&self.out_messages),
            out_bytes: load(&self.out_bytes),
            slow_consumers: load(&self.slow_consumers),
            stale_connections: load(&self.stale_connections),
            connections_accepted: load(&self.connections_accepted),
        }
    }

    pub(crate) fn count_in(&self, messages: u64, bytes: u64) {
        if messages > 0 {
            self.in_messages.fetch_add(messages, Ordering::Relaxed);
            self.in_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_out(&self, messages: u64, bytes: u64, slow_consumers: u64) {
        if messages > 0 {
            self.out_messages.fetch_add(messages, Ordering::Relaxed);
            self.out_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        if slow_consumers > 0 {
            self.slow_consumers.fetch_add(slow_consumers, Ordering::Relaxed);
        }
    }

    pub(crate) fn count_slow_consumer(&self) {
        self.slow_consumers.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_stale_connection(&self) {
        self.stale_connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_connection(&self) {
        self.connections_accepted.fetch_add(1, Ordering::Relaxed);
    }
}
