//! The rules by which a request becomes a consumer: what is refused, and what is filled in.

use std::fmt;

use flotilla_stream as domain;

use super::filter::filters;
use super::{AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy, feature};
use crate::error::{ApiError, ErrorKind};
use crate::level;
use crate::stream::{MAX_DESCRIPTION, MAX_METADATA, positive};
use crate::time::Time;

/// How long an acknowledgement is waited for when the request does not say, in nanoseconds.
const DEFAULT_ACK_WAIT: u64 = 30_000_000_000;
/// How many pull requests may wait when the request does not say.
const DEFAULT_MAX_WAITING: u32 = 512;
/// How many messages may be unacknowledged when the request does not say.
const DEFAULT_MAX_ACK_PENDING: u64 = 1000;
/// How long a consumer that is not durable stays without a client, in nanoseconds.
const DEFAULT_INACTIVE_THRESHOLD: u64 = 5_000_000_000;
/// The shortest limit of a pull request's wait, in nanoseconds.
const SHORTEST_EXPIRES: i64 = 1_000_000;

/// What the account and the server allow a consumer; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerBounds {
    /// The most acknowledgements outstanding.
    pub max_ack_pending: Option<u64>,
    /// The largest batch of a pull request.
    pub max_request_batch: Option<u32>,
}

/// Checks the configuration of a consumer called `name` of `stream`. With `pedantic`, nothing that
/// was said is adjusted.
///
/// Whether the stream has room for another consumer is for the caller; see [`super::resolve_name`]
/// for the name, and [`super::resolve_change`] for a consumer that exists.
///
/// # Errors
/// One of the many that the protocol has for what a consumer's configuration says.
pub fn validate(
    name: &str,
    config: &ConsumerConfig,
    stream: &domain::StreamConfig,
    bounds: &ConsumerBounds,
    pedantic: bool,
) -> Result<domain::ConsumerConfig, ApiError> {
    if pedantic {
        check_nothing_to_adjust(config, stream)?;
    }
    check_texts(config)?;
    feature::check(config)?;
    let replicas = replicas(config, stream)?;
    let ack = ack_policy(config, stream)?;
    let (ack_wait, backoff) = ack_waits(config, ack)?;
    let max_deliver = positive(config.max_deliver);
    if max_deliver.is_some_and(|deliveries| (backoff.len() as u64) > deliveries) {
        return Err(ErrorKind::ConsumerMaxDeliverBackoff.error());
    }
    let filters = filters(config)?;
    let durable = !config.durable_name.is_empty();
    Ok(domain::ConsumerConfig {
        name: name.to_owned(),
        durable,
        description: (!config.description.is_empty()).then(|| config.description.clone()),
        deliver: deliver_policy(config, &filters)?,
        ack,
        ack_wait,
        max_deliver,
        backoff,
        filters,
        // Only one filter can be told back in two ways.
        filter_list: config.filter_subjects.len() == 1,
        replay_original: config.replay_policy == ReplayPolicy::Original,
        sample_percent: sample_percent(&config.sample_freq)?,
        max_waiting: max_waiting(config.max_waiting),
        max_ack_pending: max_ack_pending(config, ack, stream, bounds)?,
        headers_only: config.headers_only,
        max_request_batch: max_request_batch(config, bounds)?,
        max_request_expires: max_request_expires(config.max_expires)?,
        max_request_max_bytes: positive(config.max_bytes),
        inactive_threshold: inactive_threshold(config, durable, stream)?,
        replicas,
        memory_storage: config.mem_storage,
        metadata: level::unstamped(&config.metadata),
    })
}

/// How many replicas a consumer has: its own number, or the stream's. One that is not durable and
/// does not say has one, as it is cheap to make anew.
#[must_use]
pub fn effective_replicas(consumer: &domain::ConsumerConfig, stream: &domain::StreamConfig) -> u8 {
    match consumer.replicas {
        0 if !consumer.durable && stream.retention == domain::Retention::Limits => 1,
        0 => stream.replicas,
        replicas => replicas.min(stream.replicas),
    }
}

fn check_nothing_to_adjust(
    config: &ConsumerConfig,
    stream: &domain::StreamConfig,
) -> Result<(), ApiError> {
    let limits = &stream.consumer_limits;
    let first_wait = config.backoff.first();
    let adjusted = [
        (config.max_deliver < -1, "max_deliver must be set to -1"),
        (config.max_waiting < 0, "max_waiting must not be negative"),
        (config.max_ack_pending < -1, "max_ack_pending must be set to -1"),
        (config.max_batch < 0, "max_batch must not be negative"),
        (config.max_expires < 0, "max_expires must not be negative"),
        (config.max_bytes < 0, "max_bytes must not be negative"),
        (config.idle_heartbeat < 0, "idle_heartbeat must not be negative"),
        (config.inactive_threshold < 0, "inactive_threshold must not be negative"),
        (config.priority_timeout < 0, "priority_timeout must not be negative"),
        (
            first_wait.is_some_and(|wait| *wait != config.ack_wait),
            "first backoff value has to equal batch AckWait",
        ),
        (
            config.max_ack_pending == 0 && limits.max_ack_pending.is_some(),
            "max_ack_pending must be set if it's configured in stream limits",
        ),
        (
            config.inactive_threshold == 0 && limits.inactive_threshold.is_some(),
            "inactive_threshold must be set if it's configured in stream limits",
        ),
    ];
    match adjusted.iter().find(|(is_adjusted, _)| *is_adjusted) {
        Some((_, cause)) => Err(ErrorKind::Pedantic.because(cause)),
        None => Ok(()),
    }
}

fn check_texts(config: &ConsumerConfig) -> Result<(), ApiError> {
    let (durable, name) = (&config.durable_name, &config.name);
    if !durable.is_empty() && !name.is_empty() && durable != name {
        return Err(ErrorKind::ConsumerCreateDurableAndNameMismatch.error());
    }
    if config.description.len() > MAX_DESCRIPTION {
        return Err(ErrorKind::ConsumerDescriptionTooLong.because(MAX_DESCRIPTION));
    }
    let metadata = &config.metadata;
    if metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA {
        let limit = format_args!("{}KB", MAX_METADATA / 1024);
        return Err(ErrorKind::ConsumerMetadataLength.because(limit));
    }
    Ok(())
}

fn replicas(config: &ConsumerConfig, stream: &domain::StreamConfig) -> Result<u8, ApiError> {
    let asked = config.num_replicas;
    if asked < 0 {
        return Err(ErrorKind::ReplicasCountCannotBeNegative.error());
    }
    if asked > i64::from(stream.replicas) {
        return Err(ErrorKind::ConsumerReplicasExceedsStream.error());
    }
    let differs = asked != 0 && asked != i64::from(stream.replicas);
    if differs && stream.retention != domain::Retention::Limits {
        return Err(ErrorKind::ConsumerReplicasShouldMatchStream.error());
    }
    Ok(asked as u8)
}

fn ack_policy(
    config: &ConsumerConfig,
    stream: &domain::StreamConfig,
) -> Result<domain::AckPolicy, ApiError> {
    let is_queue = stream.retention == domain::Retention::WorkQueue;
    match config.ack_policy {
        AckPolicy::None if is_queue => Err(ErrorKind::ConsumerPullRequiresAck.error()),
        AckPolicy::All if is_queue => Err(ErrorKind::ConsumerWorkQueueRequiresExplicitAck.error()),
        AckPolicy::None => Ok(domain::AckPolicy::None),
        AckPolicy::All => Ok(domain::AckPolicy::All),
        AckPolicy::Explicit => Ok(domain::AckPolicy::Explicit),
        AckPolicy::FlowControl => Err(ErrorKind::ConsumerAckFlowControlRequiresPush.error()),
    }
}

/// How long an acknowledgement is waited for, and the waits of redeliveries, of which the first
/// takes its place.
fn ack_waits(config: &ConsumerConfig, ack: domain::AckPolicy) -> Result<(u64, Vec<u64>), ApiError> {
    let waits =
        config.backoff.iter().map(|wait| u64::try_from(*wait)).collect::<Result<Vec<_>, _>>();
    let backoff = waits.map_err(|_| ErrorKind::ConsumerBackOffNegative.error())?;
    let ack_wait =
        u64::try_from(config.ack_wait).map_err(|_| ErrorKind::ConsumerAckWaitNegative.error())?;
    let ack_wait = match backoff.first() {
        Some(wait) => *wait,
        None if ack_wait == 0 && ack != domain::AckPolicy::None => DEFAULT_ACK_WAIT,
        None => ack_wait,
    };
    Ok((ack_wait, backoff))
}

fn max_waiting(asked: i64) -> u32 {
    match asked {
        ..=0 => DEFAULT_MAX_WAITING,
        asked => u32::try_from(asked).unwrap_or(u32::MAX),
    }
}

fn max_ack_pending(
    config: &ConsumerConfig,
    ack: domain::AckPolicy,
    stream: &domain::StreamConfig,
    bounds: &ConsumerBounds,
) -> Result<Option<u64>, ApiError> {
    let of_stream = stream.consumer_limits.max_ack_pending;
    let limit = match config.max_ack_pending {
        0 if of_stream.is_some() => of_stream,
        0 if ack == domain::AckPolicy::None => None,
        0 => Some(
            bounds
                .max_ack_pending
                .map_or(DEFAULT_MAX_ACK_PENDING, |bound| bound.min(DEFAULT_MAX_ACK_PENDING)),
        ),
        asked => positive(asked),
    };
    for bound in [bounds.max_ack_pending, of_stream].into_iter().flatten() {
        if limit.is_some_and(|limit| limit > bound) {
            return Err(ErrorKind::ConsumerMaxPendingAckExcess.because(bound));
        }
    }
    Ok(limit)
}

fn max_request_batch(
    config: &ConsumerConfig,
    bounds: &ConsumerBounds,
) -> Result<Option<u32>, ApiError> {
    let asked = positive(config.max_batch).map(|batch| u32::try_from(batch).unwrap_or(u32::MAX));
    match (asked, bounds.max_request_batch) {
        (Some(asked), Some(bound)) if asked > bound => {
            Err(ErrorKind::ConsumerMaxRequestBatchExceeded.because(bound))
        }
        (asked, bound) => Ok(asked.or(bound)),
    }
}

fn max_request_expires(asked: i64) -> Result<Option<u64>, ApiError> {
    match asked {
        1..SHORTEST_EXPIRES => Err(ErrorKind::ConsumerMaxRequestExpiresTooSmall.error()),
        asked => Ok(positive(asked)),
    }
}

fn inactive_threshold(
    config: &ConsumerConfig,
    durable: bool,
    stream: &domain::StreamConfig,
) -> Result<Option<u64>, ApiError> {
    let of_stream = stream.consumer_limits.inactive_threshold;
    let threshold = positive(config.inactive_threshold).or(of_stream);
    if let (Some(threshold), Some(limit)) = (threshold, of_stream)
        && threshold > limit
    {
        let limit = crate::GoDuration(limit);
        return Err(ErrorKind::ConsumerInactiveThresholdExcess.because(limit));
    }
    Ok(threshold.or_else(|| (!durable).then_some(DEFAULT_INACTIVE_THRESHOLD)))
}

fn sample_percent(text: &str) -> Result<Option<u8>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<u32>().map_err(|_| {
        ErrorKind::ConsumerInvalidSampling
            .because(format_args!("{text:?} is not a percentage such as 50%"))
    })?;
    Ok(u8::try_from(percent.min(100)).ok().filter(|percent| *percent > 0))
}

/// Where the consumer begins. A start that the policy does not look at is refused: the client meant
/// something by it.
fn deliver_policy(
    config: &ConsumerConfig,
    filters: &[String],
) -> Result<domain::DeliverPolicy, ApiError> {
    use domain::DeliverPolicy as Deliver;

    let (seq, time) = (config.opt_start_seq, config.opt_start_time);
    let (policy, name) = match config.deliver_policy {
        DeliverPolicy::All => (Deliver::All, "all"),
        DeliverPolicy::Last => (Deliver::Last, "last"),
        DeliverPolicy::New => (Deliver::New, "new"),
        DeliverPolicy::LastPerSubject => (Deliver::LastPerSubject, "last per subject"),
        DeliverPolicy::ByStartSequence => match (seq, time) {
            (0, _) => return unset("by start sequence", "start sequence"),
            (_, Some(_)) => return contradictory("by start sequence", "time"),
            (seq, None) => return Ok(Deliver::ByStartSequence(seq)),
        },
        DeliverPolicy::ByStartTime => match (seq, time) {
            (_, None) => return unset("by start time", "start time"),
            (1.., _) => return contradictory("by start time", "start sequence"),
            (0, Some(Time(time))) => {
                let time = time.unwrap_or(domain::Timestamp(i64::MIN));
                return Ok(Deliver::ByStartTime(time));
            }
        },
    };
    if seq > 0 {
        return contradictory(name, "sequence");
    }
    if time.is_some() {
        return contradictory(name, "time");
    }
    if policy == Deliver::LastPerSubject && filters.is_empty() {
        return unset(name, "filter subject");
    }
    Ok(policy)
}

fn contradictory<T>(policy: &str, start: &str) -> Result<T, ApiError> {
    invalid_policy(format_args!(
        "consumer delivery policy is deliver {policy}, but optional start {start} is also set"
    ))
}

fn unset<T>(policy: &str, missing: &str) -> Result<T, ApiError> {
    invalid_policy(format_args!(
        "consumer delivery policy is deliver {policy}, but optional {missing} is not set"
    ))
}

fn invalid_policy<T>(cause: impl fmt::Display) -> Result<T, ApiError> {
    Err(ErrorKind::ConsumerInvalidPolicy.because(cause))
}

#[cfg(test)]
mod tests;
