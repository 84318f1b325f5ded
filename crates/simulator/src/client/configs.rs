//! Configurations of streams and consumers.

use std::collections::BTreeMap;

use flotilla_stream::{
    AckPolicy, ConsumerConfig, ConsumerLimits, DeliverPolicy, Discard, Retention, StorageKind,
    StreamConfig,
};

/// A stream of files that keeps everything.
pub(super) fn stream(name: &str, replicas: u8) -> StreamConfig {
    StreamConfig {
        name: name.to_owned(),
        description: None,
        subjects: vec![format!("{name}.>")],
        retention: Retention::Limits,
        max_consumers: None,
        max_msgs: None,
        max_bytes: None,
        max_age: None,
        max_msgs_per_subject: None,
        max_msg_size: None,
        discard: Discard::Old,
        discard_new_per_subject: false,
        storage: StorageKind::File,
        replicas,
        no_ack: false,
        duplicate_window: 120_000_000_000,
        placement: None,
        sealed: false,
        deny_delete: false,
        deny_purge: false,
        allow_rollup: false,
        allow_direct: true,
        first_seq: None,
        consumer_limits: ConsumerLimits::default(),
        metadata: BTreeMap::new(),
    }
}

/// A durable consumer with explicit acknowledgements, of as many replicas as its stream.
pub(super) fn consumer(name: &str) -> ConsumerConfig {
    ConsumerConfig {
        name: name.to_owned(),
        durable: true,
        description: None,
        deliver: DeliverPolicy::All,
        ack: AckPolicy::Explicit,
        ack_wait: 2_000_000_000,
        max_deliver: None,
        backoff: Vec::new(),
        filters: Vec::new(),
        filter_list: false,
        replay_original: false,
        sample_percent: None,
        max_waiting: 512,
        max_ack_pending: None,
        headers_only: false,
        max_request_batch: None,
        max_request_expires: None,
        max_request_max_bytes: None,
        inactive_threshold: None,
        replicas: 0,
        memory_storage: false,
        metadata: BTreeMap::new(),
    }
}
