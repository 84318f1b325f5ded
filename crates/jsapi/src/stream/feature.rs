//! What streams of the protocol may have and streams of this server may not yet.

use super::{Compression, PersistMode, Retention, Storage, StreamConfig};
use crate::error::{ApiError, ErrorKind};

/// Refuses a configuration that asks for what this server does not carry out. To take it and not
/// keep it would be worse than to say so.
///
/// # Errors
/// 10052, naming the first such field.
pub(super) fn check(config: &StreamConfig) -> Result<(), ApiError> {
    let asked = [
        (config.storage == Storage::Memory, "memory storage"),
        (config.retention == Retention::Interest, "interest retention"),
        (config.retention == Retention::WorkQueue, "work queue retention"),
        (config.mirror.is_some(), "mirror"),
        (!config.sources.is_empty(), "sources"),
        (config.compression == Compression::S2, "compression s2"),
        (config.subject_transform.is_some(), "subject_transform"),
        (config.republish.is_some(), "republish"),
        (config.allow_msg_ttl, "allow_msg_ttl"),
        (config.subject_delete_marker_ttl != 0, "subject_delete_marker_ttl"),
        (config.allow_msg_counter, "allow_msg_counter"),
        (config.allow_atomic, "allow_atomic"),
        (config.allow_msg_schedules, "allow_msg_schedules"),
        (config.persist_mode == PersistMode::Async, "persist_mode async"),
        (config.allow_batched, "allow_batched"),
    ];
    match asked.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, feature)) => {
            let cause = format_args!("{feature} is not supported by this server");
            Err(ErrorKind::StreamInvalidConfig.because(cause))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_named() {
        for (json, feature) in [
            (r#"{"storage":"memory"}"#, "memory storage"),
            (r#"{"retention":"interest"}"#, "interest retention"),
            (r#"{"retention":"workqueue"}"#, "work queue retention"),
            (r#"{"mirror":{"name":"A"}}"#, "mirror"),
            (r#"{"sources":[{"name":"A"}]}"#, "sources"),
            (r#"{"compression":"s2"}"#, "compression s2"),
            (r#"{"subject_transform":{"src":"a","dest":"b"}}"#, "subject_transform"),
            (r#"{"republish":{"dest":"b"}}"#, "republish"),
            (r#"{"allow_msg_ttl":true}"#, "allow_msg_ttl"),
            (r#"{"subject_delete_marker_ttl":1000000000}"#, "subject_delete_marker_ttl"),
            (r#"{"allow_msg_counter":true}"#, "allow_msg_counter"),
            (r#"{"allow_atomic":true}"#, "allow_atomic"),
            (r#"{"allow_msg_schedules":true}"#, "allow_msg_schedules"),
            (r#"{"persist_mode":"async"}"#, "persist_mode async"),
            (r#"{"allow_batched":true}"#, "allow_batched"),
        ] {
            let config: StreamConfig = crate::request::decode(json.as_bytes()).unwrap();
            let error = check(&config).unwrap_err();
            assert_eq!(error.err_code, 10052, "{json}");
            assert_eq!(error.description, format!("{feature} is not supported by this server"));
        }
    }

    #[test]
    fn features_that_are_named_but_not_asked_for_do_no_harm() {
        let json = br#"{"storage":"file","retention":"limits","mirror":null,"sources":[],
            "compression":"none","allow_msg_ttl":false,"persist_mode":"","allow_atomic":false}"#;
        let config: StreamConfig = crate::request::decode(json).unwrap();
        assert_eq!(check(&config), Ok(()));
    }
}
