//! JetStream: where streams are stored, and within what limits.

use std::path::PathBuf;
use std::time::Duration;

use super::fields::Fields;
use super::section::{Key, Section};
use crate::findings::{Findings, Reason};
use crate::syntax::{Map, Value, ValueKind};

/// The `jetstream` block of a server that has it enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStream {
    /// The directory that holds `jetstream/`; a temporary one if `None`.
    pub store_dir: Option<PathBuf>,
    /// Bytes of memory for streams; the server's choice if `None`.
    pub max_memory_store: Option<u64>,
    /// Bytes of disk for streams; the server's choice if `None`.
    pub max_file_store: Option<u64>,
    /// When what is acknowledged reaches stable storage.
    pub sync: SyncPolicy,
    /// Replicas of a stream go to servers whose tags with this prefix differ.
    pub unique_tag: Option<String>,
    /// Bytes of messages that may wait for a stream at its leader; the server's choice if `None`.
    pub max_buffered_size: Option<u64>,
    /// Messages that may wait for a stream at its leader; no limit if `None`.
    pub max_buffered_messages: Option<u32>,
    /// Limits of this server.
    pub limits: JetStreamLimits,
}

/// When what is acknowledged reaches stable storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before the acknowledgement.
    #[default]
    Always,
    /// This long after it at most: a power failure of a majority may lose that much.
    Interval(Duration),
}

/// Limits of one server. `None` is no limit, or the default of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JetStreamLimits {
    /// Replicated streams and consumers on this server.
    pub max_ha_assets: Option<u32>,
    /// The most that a consumer's `max_ack_pending` may be.
    pub max_ack_pending: Option<u32>,
    /// The most that a pull request's batch may be.
    pub max_request_batch: Option<u32>,
    /// The longest window for duplicates that a stream may ask for.
    pub duplicate_window: Option<Duration>,
}

pub(super) const JETSTREAM: Section = Section {
    path: "jetstream",
    keys: &[
        Key {
            name: "enabled",
            aliases: &[],
            kind: "boolean",
            default: "`true` in the map",
            reload: false,
            meaning: "Whether JetStream is on.",
        },
        Key {
            name: "store_dir",
            aliases: &["storedir"],
            kind: "path",
            default: "under the system's temporary directory",
            reload: false,
            meaning: "The directory of everything stored. Give it a disk of its own, and never two servers the same.",
        },
        Key {
            name: "max_memory_store",
            aliases: &["max_mem_store", "max_mem"],
            kind: "size",
            default: "`-1`",
            reload: false,
            meaning: "Bytes of memory for streams with memory storage; `-1` is three quarters of the memory.",
        },
        Key {
            name: "max_file_store",
            aliases: &["max_file"],
            kind: "size",
            default: "`-1`",
            reload: false,
            meaning: "Bytes of disk for streams with file storage; `-1` is three quarters of what the disk has for it.",
        },
        Key {
            name: "sync_interval",
            aliases: &["sync"],
            kind: "`always` or duration",
            default: "`always`",
            reload: false,
            meaning: "When what is acknowledged is on stable storage: before the acknowledgement, or up to this time after it.",
        },
        Key {
            name: "unique_tag",
            aliases: &[],
            kind: "string",
            default: "`\"\"`",
            reload: false,
            meaning: "A tag prefix, such as `az:`: no two replicas go to servers whose tag with that prefix is the same.",
        },
        Key {
            name: "max_buffered_size",
            aliases: &[],
            kind: "size",
            default: "128 MB",
            reload: false,
            meaning: "Bytes of messages that may wait for a stream at its leader, before they are in its log; beyond it publishing is refused with error 10167. One message is always taken.",
        },
        Key {
            name: "max_buffered_msgs",
            aliases: &[],
            kind: "integer",
            default: "no limit",
            reload: false,
            meaning: "Messages that may wait for a stream likewise. `0` is no limit.",
        },
        Key {
            name: "limits",
            aliases: &[],
            kind: "map",
            default: "none",
            reload: false,
            meaning: "Limits of this server.",
        },
    ],
    unsupported: &[
        "strict",
        "domain",
        "key",
        "ek",
        "encryption_key",
        "prev_key",
        "prev_ek",
        "prev_encryption_key",
        "cipher",
        "extension_hint",
        "tpm",
        "max_outstanding_catchup",
        "request_queue_limit",
        "info_queue_limit",
        "meta_compact",
        "meta_compact_size",
        "meta_compact_sync",
        "max_concurrent_io",
    ],
};

pub(super) const JETSTREAM_LIMITS: Section = Section {
    path: "jetstream.limits",
    keys: &[
        Key {
            name: "max_ha_assets",
            aliases: &[],
            kind: "integer",
            default: "no limit",
            reload: false,
            meaning: "Replicated streams and consumers that this server may hold.",
        },
        Key {
            name: "max_ack_pending",
            aliases: &[],
            kind: "integer",
            default: "no limit",
            reload: false,
            meaning: "The most that a consumer may ask for as `max_ack_pending`.",
        },
        Key {
            name: "max_request_batch",
            aliases: &[],
            kind: "integer",
            default: "no limit",
            reload: false,
            meaning: "The most messages that one pull request may ask for.",
        },
        Key {
            name: "duplicate_window",
            aliases: &[],
            kind: "duration",
            default: "no limit",
            reload: false,
            meaning: "The longest window for duplicates that a stream may ask for.",
        },
    ],
    unsupported: &["batch"],
};

/// Reads `jetstream`: a switch or a map.
pub(super) fn read(value: &Value, findings: &mut Findings) -> Option<JetStream> {
    match &value.kind {
        ValueKind::Bool(enabled) => enabled.then(JetStream::default),
        ValueKind::Text(text) if text.eq_ignore_ascii_case("enabled") => Some(JetStream::default()),
        ValueKind::Text(text) if text.eq_ignore_ascii_case("disabled") => None,
        ValueKind::Map(map) => read_map(map, findings),
        _ => {
            let why = "must be true, false, 'enabled', 'disabled' or a map";
            findings.fail(Some(value.at.clone()), Reason::Invalid { name: "jetstream", why });
            None
        }
    }
}

fn read_map(map: &Map, findings: &mut Findings) -> Option<JetStream> {
    let mut fields = Fields::new(map, &JETSTREAM, findings);
    let enabled = fields.bool("enabled").unwrap_or(true);
    let mut jetstream = JetStream {
        store_dir: fields.path("store_dir"),
        max_memory_store: read_size(&mut fields, "max_memory_store"),
        max_file_store: read_size(&mut fields, "max_file_store"),
        sync: read_sync(&mut fields),
        unique_tag: fields.name("unique_tag", "unique_tag"),
        max_buffered_size: read_size(&mut fields, "max_buffered_size").filter(|size| *size > 0),
        max_buffered_messages: fields.positive("max_buffered_msgs", u32::MAX),
        limits: JetStreamLimits::default(),
    };
    if let Some(limits) = fields.map("limits") {
        jetstream.limits = read_limits(limits, findings);
    }
    enabled.then_some(jetstream)
}

/// Bytes. Unlike elsewhere, a string is accepted, whose `K`, `M`, `G` or `T` is a power of 1024.
fn read_size(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<u64> {
    let value = fields.value(name)?;
    let ValueKind::Text(text) = &value.kind else {
        return fields.integer(name, -1..=i64::MAX).and_then(|bytes| u64::try_from(bytes).ok());
    };
    let shift = match text.chars().last() {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        _ => 0,
    };
    let digits =
        if shift == 0 { text.as_str() } else { text.trim_end_matches(['K', 'M', 'G', 'T']) };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    if bytes.is_none() || digits.len() + 1 < text.len() {
        let why = "must be a number of bytes, with K, M, G or T behind it at most";
        fields.fail(name, Reason::Invalid { name, why });
        return None;
    }
    bytes
}

fn read_sync(fields: &mut Fields<'_, '_>) -> SyncPolicy {
    let value = fields.value("sync_interval");
    if let Some(Value { kind: ValueKind::Text(text), .. }) = value
        && text.eq_ignore_ascii_case("always")
    {
        return SyncPolicy::Always;
    }
    let interval = fields.duration_of_at_least("sync_interval", Duration::from_millis(1));
    interval.map(SyncPolicy::Interval).unwrap_or_default()
}

fn read_limits(map: &Map, findings: &mut Findings) -> JetStreamLimits {
    let mut fields = Fields::new(map, &JETSTREAM_LIMITS, findings);
    let mut count = |name| {
        let number = fields.integer(name, -1..=i64::from(u32::MAX))?;
        u32::try_from(number).ok().filter(|number| *number > 0)
    };
    let max_ha_assets = count("max_ha_assets");
    let max_ack_pending = count("max_ack_pending");
    let max_request_batch = count("max_request_batch");
    let duplicate_window = fields.duration("duplicate_window");
    JetStreamLimits { max_ha_assets, max_ack_pending, max_request_batch, duplicate_window }
}
