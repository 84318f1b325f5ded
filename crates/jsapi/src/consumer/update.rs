//! What may change about a consumer that exists.

use flotilla_stream as domain;

use crate::error::{ApiError, ErrorKind};

/// Checks that a consumer may change from `old` to `new`, each fine by itself. What decided which
/// messages were delivered, and how, stays.
///
/// # Errors
/// 10012, naming what can not change.
pub fn check_update(
    old: &domain::ConsumerConfig,
    new: &domain::ConsumerConfig,
) -> Result<(), ApiError> {
    use domain::DeliverPolicy::{ByStartSequence, ByStartTime};

    let start = match (old.deliver, new.deliver) {
        (old, new) if old == new => None,
        (ByStartSequence(_), ByStartSequence(_)) => Some("start sequence"),
        (ByStartTime(_), ByStartTime(_)) => Some("start time"),
        _ => Some("deliver policy"),
    };
    let fixed = [
        (start.is_some(), start.unwrap_or_default()),
        (old.name != new.name, "name"),
        (old.durable != new.durable, "durable name"),
        (old.memory_storage != new.memory_storage, "storage type"),
        (old.ack != new.ack, "ack policy"),
        (old.replay_original != new.replay_original, "replay policy"),
        (old.max_waiting != new.max_waiting, "max waiting"),
    ];
    match fixed.iter().find(|(changes, _)| *changes) {
        Some((_, what)) => {
            Err(ErrorKind::ConsumerCreate.because(format_args!("{what} can not be updated")))
        }
        None => Ok(()),
    }
}
