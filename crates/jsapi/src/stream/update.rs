//! What may change about a stream that exists.

use flotilla_stream as domain;

use super::StreamConfig;
use super::validation::{Accepted, StreamLimits, check_name, invalid, validate};
use crate::error::{ApiError, ErrorKind};

/// Checks a request to change the stream that the subject names from what it is.
///
/// # Errors
/// Those of [`super::validate_create`] and of [`check_update`].
pub fn validate_update(
    name: &str,
    old: &domain::StreamConfig,
    request: &StreamConfig,
    limits: &StreamLimits,
) -> Result<Accepted, ApiError> {
    check_name(name, request)?;
    let accepted = validate(request, limits)?;
    check_update(old, &accepted.config)?;
    Ok(accepted)
}

/// Checks that a stream may change from `old` to `new`, each fine by itself.
///
/// # Errors
/// 10052 for what never changes, or only in one direction; 10123 when the replicas would change in
/// number and in place at once.
pub fn check_update(
    old: &domain::StreamConfig,
    new: &domain::StreamConfig,
) -> Result<(), ApiError> {
    if new.name != old.name {
        return invalid("stream configuration name must match original");
    }
    if new.storage != old.storage {
        return invalid("stream configuration update can not change storage type");
    }
    let is_queue = |config: &domain::StreamConfig| config.retention == domain::Retention::WorkQueue;
    if is_queue(old) != is_queue(new) {
        return invalid(
            "stream configuration update can not change retention policy to/from workqueue",
        );
    }
    // Whoever relies on these must not have them taken away.
    let kept = [
        (old.sealed, new.sealed, "unseal a sealed stream"),
        (old.deny_delete, new.deny_delete, "cancel deny message deletes"),
        (old.deny_purge, new.deny_purge, "cancel deny purge"),
    ];
    if let Some((.., what)) = kept.iter().find(|(was, is, _)| *was && !*is) {
        return invalid(format_args!("stream configuration update can not {what}"));
    }
    if new.replicas != old.replicas && new.placement != old.placement {
        return Err(ErrorKind::StreamMoveAndScale.error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::validate_create;

    fn config(json: &str) -> domain::StreamConfig {
        let request: StreamConfig = crate::request::decode(json.as_bytes()).unwrap();
        validate_create(&request.name, &request, &StreamLimits::default()).unwrap().config
    }

    #[test]
    fn what_never_changes_is_refused() {
        let old = config(r#"{"name":"S","deny_delete":true,"deny_purge":true}"#);
        let old = domain::StreamConfig { sealed: true, ..old };
        let update = "stream configuration update can not";
        let table = [
            (
                domain::StreamConfig { name: "T".to_owned(), ..old.clone() },
                "stream configuration name must match original".to_owned(),
            ),
            (
                domain::StreamConfig { storage: domain::StorageKind::Memory, ..old.clone() },
                format!("{update} change storage type"),
            ),
            (
                domain::StreamConfig { retention: domain::Retention::WorkQueue, ..old.clone() },
                format!("{update} change retention policy to/from workqueue"),
            ),
            (
                domain::StreamConfig { sealed: false, ..old.clone() },
                format!("{update} unseal a sealed stream"),
            ),
            (
                domain::StreamConfig { deny_delete: false, ..old.clone() },
                format!("{update} cancel deny message deletes"),
            ),
            (
                domain::StreamConfig { deny_purge: false, ..old.clone() },
                format!("{update} cancel deny purge"),
            ),
        ];
        for (new, cause) in table {
            assert_eq!(check_update(&old, &new), invalid(cause));
        }
        assert_eq!(check_update(&old, &old), Ok(()));
    }

    #[test]
    fn a_stream_moves_or_scales() {
        let old = config(r#"{"name":"S","num_replicas":3}"#);
        let moved = config(r#"{"name":"S","num_replicas":3,"placement":{"tags":["eu"]}}"#);
        let scaled = config(r#"{"name":"S","num_replicas":5}"#);
        let both = config(r#"{"name":"S","num_replicas":5,"placement":{"tags":["eu"]}}"#);
        assert_eq!(check_update(&old, &moved), Ok(()));
        assert_eq!(check_update(&old, &scaled), Ok(()));
        assert_eq!(check_update(&old, &both).unwrap_err().err_code, 10123);
    }

    #[test]
    fn a_request_is_checked_by_itself_first() {
        let old = config(r#"{"name":"S"}"#);
        let request = |json: &str| crate::request::decode::<StreamConfig>(json.as_bytes()).unwrap();
        let update = |name: &str, json: &str| {
            validate_update(name, &old, &request(json), &StreamLimits::default())
        };
        assert_eq!(update("T", r#"{"name":"S"}"#).unwrap_err().err_code, 10056);
        assert_eq!(update("S", r#"{"name":"S","max_age":1}"#).unwrap_err().err_code, 10052);
        let sealed = update("S", r#"{"name":"S","sealed":true,"max_age":3600000000000}"#).unwrap();
        assert!(sealed.config.sealed && sealed.config.deny_delete && sealed.config.deny_purge);
        assert_eq!(sealed.config.max_age, None);
        assert_eq!(sealed.config.discard, domain::Discard::New);
    }
}
