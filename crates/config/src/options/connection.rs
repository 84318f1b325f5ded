//! Limits and timers of client connections.

use std::time::Duration;

use super::fields::Fields;
use super::section::Key;

/// Limits of client connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Bytes of a message, headers included.
    pub max_payload: u32,
    /// Bytes of a protocol line.
    pub max_control_line: u32,
    /// Bytes that may wait to be sent to one client before it counts as slow and is closed.
    pub max_pending: u64,
    /// Connections at a time; no limit if `None`.
    pub max_connections: Option<u32>,
    /// Time between the server's pings.
    pub ping_interval: Duration,
    /// Pings that may go unanswered.
    pub ping_max: u32,
    /// Time that one write to a client may take.
    pub write_deadline: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            max_payload: 1 << 20,
            max_control_line: 4096,
            max_pending: 64 << 20,
            max_connections: Some(64 << 10),
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            write_deadline: Duration::from_secs(10),
        }
    }
}

/// The most that a message may be allowed to be: 64 MiB.
pub const MAX_PAYLOAD_LIMIT: u32 = 64 << 20;

/// The most that a protocol line may be allowed to be: 1 MiB.
const MAX_CONTROL_LINE_LIMIT: u32 = 1 << 20;

/// Shorter intervals would be a load of their own.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(10);

pub(super) const MAX_PAYLOAD: Key = Key {
    name: "max_payload",
    aliases: &[],
    kind: "size",
    default: "`1MB`",
    reload: true,
    meaning: "Bytes of a message, headers included; at most `64MB` and at most `max_pending`.",
};
pub(super) const MAX_CONTROL_LINE: Key = Key {
    name: "max_control_line",
    aliases: &[],
    kind: "size",
    default: "`4KB`",
    reload: true,
    meaning: "Bytes of a protocol line, which bounds subject lengths.",
};
pub(super) const MAX_PENDING: Key = Key {
    name: "max_pending",
    aliases: &[],
    kind: "size",
    default: "`64MB`",
    reload: false,
    meaning: "Bytes that may wait to be sent to one client before it is closed as a slow consumer.",
};
pub(super) const MAX_CONNECTIONS: Key = Key {
    name: "max_connections",
    aliases: &["max_conn"],
    kind: "integer",
    default: "`65536`",
    reload: true,
    meaning: "Client connections at a time; `-1` is no limit. A reload closes the newest excess.",
};
pub(super) const PING_INTERVAL: Key = Key {
    name: "ping_interval",
    aliases: &[],
    kind: "duration",
    default: "`\"2m\"`",
    reload: true,
    meaning: "Time between the pings that the server sends to a client.",
};
pub(super) const PING_MAX: Key = Key {
    name: "ping_max",
    aliases: &[],
    kind: "integer",
    default: "`2`",
    reload: true,
    meaning: "Pings that may go unanswered before the connection is closed as stale.",
};
pub(super) const WRITE_DEADLINE: Key = Key {
    name: "write_deadline",
    aliases: &[],
    kind: "duration",
    default: "`\"10s\"`",
    reload: true,
    meaning: "Time that a write to a client may take before it is closed as a slow consumer.",
};

pub(super) fn read(fields: &mut Fields<'_, '_>) -> ConnectionLimits {
    let defaults = ConnectionLimits::default();
    let max_connections = match fields.integer("max_connections", -1..=i64::from(u32::MAX)) {
        None => defaults.max_connections,
        // Zero is the default, as in NATS.
        Some(0) => defaults.max_connections,
        Some(number) => u32::try_from(number).ok(),
    };
    let max_pending = fields.positive("max_pending", i64::MAX);
    ConnectionLimits {
        max_payload: fields
            .positive("max_payload", MAX_PAYLOAD_LIMIT)
            .unwrap_or(defaults.max_payload),
        max_control_line: fields
            .positive("max_control_line", MAX_CONTROL_LINE_LIMIT)
            .unwrap_or(defaults.max_control_line),
        max_pending: max_pending
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(defaults.max_pending),
        max_connections,
        ping_interval: fields
            .duration_of_at_least("ping_interval", MIN_PING_INTERVAL)
            .unwrap_or(defaults.ping_interval),
        ping_max: fields.positive("ping_max", u32::MAX).unwrap_or(defaults.ping_max),
        write_deadline: fields
            .duration_of_at_least("write_deadline", Duration::from_millis(1))
            .unwrap_or(defaults.write_deadline),
    }
}
