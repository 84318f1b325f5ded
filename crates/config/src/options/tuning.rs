//! What Flotilla has and NATS has not, under `flotilla`.

use super::fields::Fields;
use super::section::{Key, Section};
use crate::findings::Findings;
use crate::syntax::Map;

/// The `flotilla` block. Everything in it has a default that suits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tuning {
    /// Threads that drive the Raft groups; the server's choice if `None`.
    pub shards: Option<u16>,
    /// Bytes that the write-ahead log may take before it is reclaimed; the server's choice if `None`.
    pub wal_max_size: Option<u64>,
    /// Bytes of messages and Raft bundles that may wait in the whole server; the server's choice if `None`.
    pub max_buffered_total: Option<u64>,
}

/// The least `wal_max_size`: room for a few files of the log.
const MIN_WAL_SIZE: i64 = 64 << 20;

/// The least `max_buffered_total`: what the largest message takes.
const MIN_BUFFERED: i64 = 64 << 20;

pub(super) const TUNING: Section = Section {
    path: "flotilla",
    keys: &[
        Key {
            name: "shards",
            aliases: &[],
            kind: "integer",
            default: "half of the cores",
            reload: false,
            meaning: "Threads that drive the Raft groups, 1 to 256.",
        },
        Key {
            name: "wal_max_size",
            aliases: &[],
            kind: "size",
            default: "the server's choice",
            reload: false,
            meaning: "Bytes that the write-ahead log may take before it is reclaimed; at least `64MB`.",
        },
        Key {
            name: "max_buffered_total",
            aliases: &[],
            kind: "size",
            default: "384 MB for each shard",
            reload: false,
            meaning: "Bytes that may wait in the whole server before they are in a log: messages for all streams, and what other servers sent; at least `64MB`. Shards share it, and refuse what is beyond their part with error 10167.",
        },
    ],
    unsupported: &[],
};

pub(super) fn read(map: &Map, findings: &mut Findings) -> Tuning {
    let mut fields = Fields::new(map, &TUNING, findings);
    let wal_max_size = fields.integer("wal_max_size", MIN_WAL_SIZE..=1 << 50);
    let max_buffered_total = fields.integer("max_buffered_total", MIN_BUFFERED..=1 << 50);
    Tuning {
        shards: fields.count("shards", 1..=256),
        wal_max_size: wal_max_size.and_then(|bytes| u64::try_from(bytes).ok()),
        max_buffered_total: max_buffered_total.and_then(|bytes| u64::try_from(bytes).ok()),
    }
}
