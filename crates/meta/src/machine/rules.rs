//! What a configuration may become, and what may stand beside it. The API's validation knows one
//! configuration; these rules need the others, so they hold at apply, where no two requests can
//! race.

use flotilla_stream::{ConsumerConfig, Retention, StreamConfig};
use flotilla_subject::overlap;

use super::Meta;
use crate::asset::StreamAsset;
use crate::error::MetaError;

/// Whether a stream's configuration may become `new`, in the reference server's words.
pub(super) fn check_stream_update(old: &StreamConfig, new: &StreamConfig) -> Result<(), MetaError> {
    let refused = |why: &str| {
        Err(MetaError::StreamNotUpdatable(format!("stream configuration update can not {why}")))
    };
    if old.max_consumers != new.max_consumers {
        return refused("change MaxConsumers");
    }
    if old.storage != new.storage {
        return refused("change storage type");
    }
    let queue = |config: &StreamConfig| config.retention == Retention::WorkQueue;
    if queue(old) != queue(new) {
        return refused("change retention policy to/from workqueue");
    }
    if old.sealed && !new.sealed {
        return refused("unseal a sealed stream");
    }
    if old.deny_delete && !new.deny_delete {
        return refused("cancel deny message deletes");
    }
    if old.deny_purge && !new.deny_purge {
        return refused("cancel deny purge");
    }
    Ok(())
}

/// Whether a consumer's configuration may become `new`.
pub(super) fn check_consumer_update(
    old: &ConsumerConfig,
    new: &ConsumerConfig,
) -> Result<(), MetaError> {
    if old.durable != new.durable {
        return Err(MetaError::ConsumerNameExist);
    }
    let fixed = [
        (old.deliver == new.deliver, "deliver policy"),
        (old.ack == new.ack, "ack policy"),
        (old.replay_original == new.replay_original, "replay policy"),
        (old.max_waiting == new.max_waiting, "max waiting"),
        (old.memory_storage == new.memory_storage, "storage type"),
    ];
    match fixed.into_iter().find(|(same, _)| !same) {
        Some((_, field)) => Err(MetaError::ConsumerNotUpdatable(field.to_owned())),
        None => Ok(()),
    }
}

/// Whether a consumer's replica count fits its stream.
pub(super) fn check_replicas(
    stream: &StreamConfig,
    consumer: &ConsumerConfig,
) -> Result<(), MetaError> {
    if consumer.replicas > stream.replicas {
        return Err(MetaError::ConsumerReplicasExceedStream);
    }
    // The stream drops what its consumers acknowledged: it must not outlive their memory of it.
    if stream.retention != Retention::Limits
        && consumer.replicas != 0
        && consumer.replicas != stream.replicas
    {
        return Err(MetaError::ConsumerReplicasShouldMatchStream);
    }
    Ok(())
}

/// Whether a work queue stays a partition: no message may belong to two of its consumers.
pub(super) fn check_work_queue(
    stream: &StreamAsset,
    config: &ConsumerConfig,
) -> Result<(), MetaError> {
    if stream.config.retention != Retention::WorkQueue {
        return Ok(());
    }
    let mut others = stream
        .consumers
        .iter()
        .filter(|(name, _)| **name != config.name)
        .map(|(_, c)| &c.config)
        .peekable();
    if config.filters.is_empty() && others.peek().is_some() {
        return Err(MetaError::WorkQueueMultipleUnfiltered);
    }
    let unique = others.all(|other| {
        !other.filters.is_empty()
            && config.filters.iter().all(|a| other.filters.iter().all(|b| !overlap(a, b)))
    });
    if unique { Ok(()) } else { Err(MetaError::WorkQueueConsumerNotUnique) }
}

impl Meta {
    /// Whether no other stream of the account captures a subject of `config`.
    pub(super) fn check_subjects(
        &self,
        account: &str,
        config: &StreamConfig,
    ) -> Result<(), MetaError> {
        match self.captured_twice(account, config) {
            Some((stream, existing, subject)) => Err(MetaError::SubjectOverlap {
                subject: subject.to_owned(),
                stream: stream.to_owned(),
                existing: existing.to_owned(),
            }),
            None => Ok(()),
        }
    }
}
