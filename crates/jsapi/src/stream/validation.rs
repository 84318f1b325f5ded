//! The rules by which a request becomes a stream: what is refused, and what is filled in.

use std::fmt;

use flotilla_stream as domain;
use flotilla_subject::grammar::REST;
use flotilla_subject::{is_subscribable, is_subset, overlap};

use super::{Discard, StreamConfig, feature};
use crate::error::{ApiError, ErrorKind};
use crate::level;

/// The longest name of a stream or a consumer, in bytes.
pub(crate) const MAX_NAME: usize = 255;
/// The longest description, in bytes.
pub(crate) const MAX_DESCRIPTION: usize = 4 * 1024;
/// The most bytes in all keys and values of metadata.
pub(crate) const MAX_METADATA: usize = 128 * 1024;
/// The most replicas. The reference stops at 5; a group of 9 survives four losses at once.
const MAX_REPLICAS: i64 = 9;
/// The shortest age, duplicate window and the like, in nanoseconds.
const SHORTEST: i64 = 100_000_000;
/// How long identities of messages are remembered when the request does not say, in nanoseconds.
const DEFAULT_DUPLICATE_WINDOW: i64 = 120_000_000_000;

/// What the account and the server allow a stream; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamLimits {
    /// The longest duplicate window, in nanoseconds.
    pub duplicate_window: Option<i64>,
    /// Whether a stream must say how large it may become.
    pub max_bytes_required: bool,
    /// The largest a stream may say.
    pub max_bytes: Option<i64>,
}

/// A configuration that is fine, and what its owner should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The configuration, with everything filled in.
    pub config: domain::StreamConfig,
    /// For the server's log: nothing in the protocol carries them.
    pub warnings: Vec<Warning>,
}

/// What is allowed and yet seldom meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// One replica more than needed for as many losses survived.
    EvenReplicas(u8),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EvenReplicas(replicas) => write!(
                f,
                "{replicas} replicas survive no more losses than {} do; use an odd number",
                replicas - 1
            ),
        }
    }
}

/// Checks a request to create the stream that the subject names.
///
/// Whether its subjects are free, and its servers and its account have room, is for the caller.
///
/// # Errors
/// 10056 when subject and request differ; 10052, 10113, 10122, 10128, 10133 and, in a pedantic
/// request, 10157 for what the configuration says.
pub fn validate_create(
    name: &str,
    request: &StreamConfig,
    limits: &StreamLimits,
) -> Result<Accepted, ApiError> {
    check_name(name, request)?;
    if request.sealed {
        return invalid("stream configuration for create can not be sealed");
    }
    validate(request, limits)
}

/// Checks that the subject and the request name the same stream, by a name that can be one.
///
/// # Errors
/// 10056, 10128.
pub fn check_name(name: &str, request: &StreamConfig) -> Result<(), ApiError> {
    if name != request.name {
        return Err(ErrorKind::StreamMismatch.error());
    }
    if name.contains(['\\', '/']) {
        return Err(ErrorKind::StreamNameContainsPathSeparators.error());
    }
    Ok(())
}

/// Checks everything that a configuration says by itself.
pub(super) fn validate(
    request: &StreamConfig,
    limits: &StreamLimits,
) -> Result<Accepted, ApiError> {
    check_texts(request)?;
    if request.mirror_direct && request.mirror.is_none() {
        return invalid("stream has no mirror but does have mirror direct");
    }
    feature::check(request)?;
    let replicas = replicas(request.num_replicas)?;
    let limit = |value, field| unlimited_as_none(value, field, request.pedantic);
    let max_msgs = limit(request.max_msgs, "max_msgs")?;
    let max_msgs_per_subject = limit(request.max_msgs_per_subject, "max_msgs_per_subject")?;
    let max_bytes = limit(request.max_bytes, "max_bytes")?;
    let max_msg_size = limit(request.max_msg_size.into(), "max_msg_size")?;
    let max_consumers = limit(request.max_consumers, "max_consumers")?;
    let max_age = max_age(request.max_age)?;
    let duplicate_window = duplicate_window(request, limits)?;
    check_permissions(request, max_msgs_per_subject)?;
    let subjects = subjects(request, replicas)?;
    check_size(max_bytes, limits)?;
    let mut config = domain::StreamConfig {
        name: request.name.clone(),
        description: (!request.description.is_empty()).then(|| request.description.clone()),
        subjects,
        retention: request.retention.into(),
        max_consumers,
        max_msgs,
        max_bytes,
        max_age,
        max_msgs_per_subject,
        max_msg_size: max_msg_size.and_then(|size| u32::try_from(size).ok()),
        discard: request.discard.into(),
        discard_new_per_subject: request.discard_new_per_subject,
        storage: request.storage.into(),
        replicas,
        no_ack: request.no_ack,
        duplicate_window,
        placement: placement(request)?,
        sealed: request.sealed,
        deny_delete: request.deny_delete,
        deny_purge: request.deny_purge,
        allow_rollup: request.allow_rollup_hdrs,
        allow_direct: request.allow_direct,
        first_seq: (request.first_seq > 0).then_some(request.first_seq),
        consumer_limits: request.consumer_limits.into(),
        metadata: level::unstamped(&request.metadata),
    };
    seal(&mut config);
    let even = replicas.is_multiple_of(2);
    let warnings = even.then_some(Warning::EvenReplicas(replicas)).into_iter().collect();
    Ok(Accepted { config, warnings })
}

/// A sealed stream changes no more: not by age, by request, or to make room.
fn seal(config: &mut domain::StreamConfig) {
    if config.sealed {
        config.max_age = None;
        config.discard = domain::Discard::New;
        config.deny_delete = true;
        config.deny_purge = true;
        config.allow_rollup = false;
    }
}

fn check_texts(request: &StreamConfig) -> Result<(), ApiError> {
    if !is_asset_name(&request.name) {
        return invalid("stream name is required and can not contain '.', '*', '>', '\\', '/'");
    }
    if request.name.len() > MAX_NAME {
        return invalid(format_args!("stream name is too long, maximum allowed is {MAX_NAME}"));
    }
    if request.description.len() > MAX_DESCRIPTION {
        return invalid(format_args!(
            "stream description is too long, maximum allowed is {MAX_DESCRIPTION}"
        ));
    }
    let metadata = &request.metadata;
    if metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA {
        return invalid(format_args!(
            "stream metadata exceeds maximum size of {MAX_METADATA} bytes"
        ));
    }
    Ok(())
}

/// Can `name` be the name of a stream or a consumer? It is a token of subjects, and was a directory.
pub(crate) fn is_asset_name(name: &str) -> bool {
    let refused = [' ', '\t', '\r', '\n', '\u{c}', '.', '*', '>', '\\', '/'];
    !name.is_empty() && !name.contains(refused)
}

fn replicas(asked: i64) -> Result<u8, ApiError> {
    match asked {
        ..0 => Err(ErrorKind::ReplicasCountCannotBeNegative.error()),
        0 => Ok(1),
        1..=MAX_REPLICAS => Ok(asked as u8),
        _ => invalid(format_args!("maximum replicas is {MAX_REPLICAS}")),
    }
}

/// A limit where 0 and everything below mean that there is none.
fn unlimited_as_none(value: i64, field: &str, pedantic: bool) -> Result<Option<u64>, ApiError> {
    if value < -1 && pedantic {
        return Err(ErrorKind::Pedantic.because(format_args!("{field} must be set to -1")));
    }
    Ok(u64::try_from(value).ok().filter(|value| *value > 0))
}

fn max_age(asked: i64) -> Result<Option<u64>, ApiError> {
    match asked {
        ..0 => invalid("max age can not be negative"),
        0 => Ok(None),
        1..SHORTEST => invalid("max age needs to be >= 100ms"),
        age => Ok(Some(age.unsigned_abs())),
    }
}

fn duplicate_window(request: &StreamConfig, limits: &StreamLimits) -> Result<u64, ApiError> {
    let age = Some(request.max_age).filter(|age| *age > 0);
    let pedantic = |cause: &str| match request.pedantic {
        true => Err(ErrorKind::Pedantic.because(cause)),
        false => Ok(()),
    };
    let mut window = request.duplicate_window;
    if window == 0 {
        window = DEFAULT_DUPLICATE_WINDOW;
        if let Some(limit) = limits.duplicate_window.filter(|limit| *limit < window) {
            pedantic("duplicate window limits are higher than current limits")?;
            window = limit;
        }
        if let Some(age) = age.filter(|age| *age < window) {
            pedantic("duplicate window cannot be bigger than max age")?;
            window = age;
        }
    }
    if age.is_some_and(|age| window > age) {
        return invalid("duplicates window can not be larger then max age");
    }
    if let Some(limit) = limits.duplicate_window.filter(|limit| window > *limit) {
        let limit = crate::GoDuration(limit.unsigned_abs());
        return invalid(format_args!(
            "duplicates window can not be larger then server limit of {limit}"
        ));
    }
    match window {
        ..0 => invalid("duplicates window can not be negative"),
        // 0 was replaced by the default above.
        0..SHORTEST => invalid("duplicates window needs to be >= 100ms"),
        window => Ok(window.unsigned_abs()),
    }
}

fn check_permissions(
    request: &StreamConfig,
    max_msgs_per_subject: Option<u64>,
) -> Result<(), ApiError> {
    if request.deny_purge && request.allow_rollup_hdrs {
        return invalid("roll-ups require the purge permission");
    }
    if request.discard_new_per_subject {
        if request.discard != Discard::New {
            return invalid("discard new per subject requires discard new policy to be set");
        }
        if max_msgs_per_subject.is_none() {
            return invalid("discard new per subject requires max msgs per subject > 0");
        }
    }
    Ok(())
}

fn check_size(max_bytes: Option<u64>, limits: &StreamLimits) -> Result<(), ApiError> {
    match max_bytes {
        None if limits.max_bytes_required => Err(ErrorKind::StreamMaxBytesRequired.error()),
        Some(bytes) if limits.max_bytes.is_some_and(|max| max > 0 && bytes > max as u64) => {
            Err(ErrorKind::StreamMaxStreamBytesExceeded.error())
        }
        _ => Ok(()),
    }
}

/// The subjects captured, which are the stream's name when the request names none.
fn subjects(request: &StreamConfig, replicas: u8) -> Result<Vec<String>, ApiError> {
    if request.subjects.is_empty() {
        return Ok(vec![request.name.clone()]);
    }
    for (at, subject) in request.subjects.iter().enumerate() {
        if !is_subscribable(subject) {
            return invalid("invalid subject");
        }
        check_reserved(subject, request.no_ack, replicas)?;
        let mut others = request.subjects.iter().skip(at + 1);
        if let Some(other) = others.find(|other| overlap(other, subject)) {
            return invalid(format_args!("subject {subject:?} overlaps with {other:?}"));
        }
    }
    Ok(request.subjects.clone())
}

/// A stream that acknowledges what it captures must not capture requests: the requester would take
/// the acknowledgement for its answer.
fn check_reserved(subject: &str, no_ack: bool, replicas: u8) -> Result<(), ApiError> {
    if subject == REST && !no_ack {
        return invalid("capturing all subjects requires no-ack to be true");
    }
    if subject == REST && replicas != 1 {
        return invalid("capturing all subjects requires replicas of 1");
    }
    if no_ack {
        return Ok(());
    }
    let api = ["$JS.>", "$JSC.>", "$NRG.>"];
    if api.iter().any(|reserved| overlap(subject, reserved)) && !is_subset(subject, "$JS.EVENT.>") {
        return invalid("subjects that overlap with jetstream api require no-ack to be true");
    }
    if overlap(subject, "$SYS.>") && !is_subset(subject, "$SYS.ACCOUNT.>") {
        return invalid("subjects that overlap with system api require no-ack to be true");
    }
    Ok(())
}

fn placement(request: &StreamConfig) -> Result<Option<domain::Placement>, ApiError> {
    let Some(placement) = &request.placement else { return Ok(None) };
    if !placement.preferred.is_empty() {
        return invalid("preferred server not permitted in placement");
    }
    let cluster = (!placement.cluster.is_empty()).then(|| placement.cluster.clone());
    let placement = domain::Placement { cluster, tags: placement.tags.clone() };
    Ok((placement != domain::Placement::default()).then_some(placement))
}

/// 10052 with its cause.
pub(super) fn invalid<T>(cause: impl fmt::Display) -> Result<T, ApiError> {
    Err(ErrorKind::StreamInvalidConfig.because(cause))
}

#[cfg(test)]
mod tests;
