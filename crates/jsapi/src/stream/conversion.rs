//! Between the stream on the wire and the stream that is obeyed.

use flotilla_stream as domain;

use super::{ConsumerLimits, Discard, Retention, Storage, StreamConfig};
use crate::cluster::Placement;
use crate::level;

impl StreamConfig {
    /// The configuration as replies tell it: unlimited is -1, and the metadata says what the stream
    /// needs and which server answers (`server_version` is the one of `INFO`).
    #[must_use]
    pub fn told(config: &domain::StreamConfig, server_version: &str) -> Self {
        let mut told = Self::of(config);
        level::stamp(&mut told.metadata, server_version);
        told
    }

    /// The configuration without what a server adds.
    fn of(config: &domain::StreamConfig) -> Self {
        Self {
            name: config.name.clone(),
            description: config.description.clone().unwrap_or_default(),
            subjects: config.subjects.clone(),
            retention: config.retention.into(),
            max_consumers: or_unlimited(config.max_consumers),
            max_msgs: or_unlimited(config.max_msgs),
            max_bytes: or_unlimited(config.max_bytes),
            max_age: or_zero(config.max_age),
            max_msgs_per_subject: or_unlimited(config.max_msgs_per_subject),
            max_msg_size: config
                .max_msg_size
                .map_or(-1, |size| i32::try_from(size).unwrap_or(i32::MAX)),
            discard: config.discard.into(),
            storage: config.storage.into(),
            num_replicas: config.replicas.into(),
            no_ack: config.no_ack,
            duplicate_window: or_zero(Some(config.duplicate_window)),
            placement: config.placement.as_ref().map(Placement::from),
            first_seq: config.first_seq.unwrap_or(0),
            allow_direct: config.allow_direct,
            discard_new_per_subject: config.discard_new_per_subject,
            sealed: config.sealed,
            deny_delete: config.deny_delete,
            deny_purge: config.deny_purge,
            allow_rollup_hdrs: config.allow_rollup,
            consumer_limits: ConsumerLimits::from(&config.consumer_limits),
            metadata: config.metadata.clone(),
            ..Self::default()
        }
    }
}

/// A limit as the wire tells it: -1 for none.
pub(crate) fn or_unlimited(limit: Option<u64>) -> i64 {
    limit.map_or(-1, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// A limit as the wire tells it: 0 for none.
pub(crate) fn or_zero(limit: Option<u64>) -> i64 {
    limit.map_or(0, |limit| i64::try_from(limit).unwrap_or(i64::MAX))
}

/// A limit from the wire: nothing and everything below is none.
pub(crate) fn positive(limit: i64) -> Option<u64> {
    u64::try_from(limit).ok().filter(|limit| *limit > 0)
}

impl From<&domain::Placement> for Placement {
    fn from(placement: &domain::Placement) -> Self {
        Self {
            cluster: placement.cluster.clone().unwrap_or_default(),
            tags: placement.tags.clone(),
            preferred: String::new(),
        }
    }
}

impl From<ConsumerLimits> for domain::ConsumerLimits {
    fn from(limits: ConsumerLimits) -> Self {
        Self {
            inactive_threshold: positive(limits.inactive_threshold),
            max_ack_pending: positive(limits.max_ack_pending),
        }
    }
}

impl From<&domain::ConsumerLimits> for ConsumerLimits {
    fn from(limits: &domain::ConsumerLimits) -> Self {
        Self {
            inactive_threshold: or_zero(limits.inactive_threshold),
            max_ack_pending: or_zero(limits.max_ack_pending),
        }
    }
}

macro_rules! same_variants {
    ($wire:ty, $domain:ty, $($variant:ident),+) => {
        impl From<$wire> for $domain {
            fn from(wire: $wire) -> Self {
                match wire { $(<$wire>::$variant => Self::$variant,)+ }
            }
        }

        impl From<$domain> for $wire {
            fn from(domain: $domain) -> Self {
                match domain { $(<$domain>::$variant => Self::$variant,)+ }
            }
        }
    };
}

same_variants!(Retention, domain::Retention, Limits, Interest, WorkQueue);
same_variants!(Discard, domain::Discard, Old, New);
same_variants!(Storage, domain::StorageKind, File, Memory);
