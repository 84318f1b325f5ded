//! From the consumer that is obeyed to the consumer on the wire.

use flotilla_stream as domain;

use super::{AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy};
use crate::level;
use crate::stream::{or_unlimited, or_zero};
use crate::time::Time;

impl ConsumerConfig {
    /// The configuration as replies tell it: the metadata says what the consumer needs and which
    /// server answers (`server_version` is the one of `INFO`).
    #[must_use]
    pub fn told(config: &domain::ConsumerConfig, server_version: &str) -> Self {
        let mut told = Self::of(config);
        level::stamp(&mut told.metadata, server_version);
        told
    }

    /// The configuration without what a server adds.
    fn of(config: &domain::ConsumerConfig) -> Self {
        let (deliver_policy, opt_start_seq, opt_start_time) = start(config.deliver);
        let (filter_subject, filter_subjects) = match config.filters.as_slice() {
            [filter] if !config.filter_list => (filter.clone(), Vec::new()),
            filters => (String::new(), filters.to_vec()),
        };
        let without_acks = config.ack == domain::AckPolicy::None;
        Self {
            durable_name: if config.durable { config.name.clone() } else { String::new() },
            name: config.name.clone(),
            description: config.description.clone().unwrap_or_default(),
            deliver_policy,
            opt_start_seq,
            opt_start_time,
            ack_policy: config.ack.into(),
            ack_wait: or_zero(Some(config.ack_wait)),
            max_deliver: or_unlimited(config.max_deliver),
            backoff: config.backoff.iter().map(|wait| or_zero(Some(*wait))).collect(),
            filter_subject,
            filter_subjects,
            replay_policy: match config.replay_original {
                true => ReplayPolicy::Original,
                false => ReplayPolicy::Instant,
            },
            sample_freq: config
                .sample_percent
                .map_or_else(String::new, |percent| format!("{percent}%")),
            max_waiting: config.max_waiting.into(),
            // Where nothing is acknowledged, the reference says nothing in place of unlimited.
            max_ack_pending: match config.max_ack_pending {
                None if without_acks => 0,
                limit => or_unlimited(limit),
            },
            headers_only: config.headers_only,
            max_batch: config.max_request_batch.map_or(0, i64::from),
            max_expires: or_zero(config.max_request_expires),
            max_bytes: or_zero(config.max_request_max_bytes),
            inactive_threshold: or_zero(config.inactive_threshold),
            num_replicas: config.replicas.into(),
            mem_storage: config.memory_storage,
            metadata: config.metadata.clone(),
            ..Self::default()
        }
    }
}

fn start(deliver: domain::DeliverPolicy) -> (DeliverPolicy, u64, Option<Time>) {
    match deliver {
        domain::DeliverPolicy::All => (DeliverPolicy::All, 0, None),
        domain::DeliverPolicy::Last => (DeliverPolicy::Last, 0, None),
        domain::DeliverPolicy::LastPerSubject => (DeliverPolicy::LastPerSubject, 0, None),
        domain::DeliverPolicy::New => (DeliverPolicy::New, 0, None),
        domain::DeliverPolicy::ByStartSequence(seq) => (DeliverPolicy::ByStartSequence, seq, None),
        domain::DeliverPolicy::ByStartTime(time) => {
            (DeliverPolicy::ByStartTime, 0, Some(Time::from(time)))
        }
    }
}

impl From<domain::AckPolicy> for AckPolicy {
    fn from(ack: domain::AckPolicy) -> Self {
        match ack {
            domain::AckPolicy::None => Self::None,
            domain::AckPolicy::All => Self::All,
            domain::AckPolicy::Explicit => Self::Explicit,
        }
    }
}
