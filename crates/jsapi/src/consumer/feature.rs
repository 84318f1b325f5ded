//! What consumers of the protocol may have and consumers of this server may not yet.

use super::{AckPolicy, ConsumerConfig, PriorityPolicy, ReplayPolicy};
use crate::error::{ApiError, ErrorKind};

/// Refuses a configuration that asks for what this server does not carry out.
///
/// # Errors
/// The protocol's own error where it has one for what is asked of a pull consumer, else 10012,
/// naming the field.
pub(super) fn check(config: &ConsumerConfig) -> Result<(), ApiError> {
    if !config.deliver_subject.is_empty() {
        return unsupported("deliver_subject (a push consumer)");
    }
    // What only push consumers have.
    let misplaced = [
        (
            config.ack_policy == AckPolicy::FlowControl,
            ErrorKind::ConsumerAckFlowControlRequiresPush,
        ),
        (config.rate_limit_bps > 0, ErrorKind::ConsumerPullWithRateLimit),
        (config.idle_heartbeat > 0, ErrorKind::ConsumerHeartbeatRequiresPush),
        (config.flow_control, ErrorKind::ConsumerFlowControlRequiresPush),
        (config.direct, ErrorKind::ConsumerDirectRequiresPush),
    ];
    if let Some((_, error)) = misplaced.iter().find(|(is_asked, _)| *is_asked) {
        return Err(error.error());
    }
    if config.priority_policy == PriorityPolicy::None {
        if !config.priority_groups.is_empty() {
            return Err(ErrorKind::ConsumerPriorityGroupWithPolicyNone.error());
        }
        if config.priority_timeout > 0 {
            return Err(ErrorKind::ConsumerPinnedTtlWithoutPriorityPolicyNone.error());
        }
    }
    let asked = [
        (config.replay_policy == ReplayPolicy::Original, "replay_policy original"),
        (config.priority_policy != PriorityPolicy::None, "priority_policy"),
        (config.pause_until.is_some_and(|until| until.0.is_some()), "pause_until"),
        (config.sourcing, "sourcing"),
    ];
    match asked.iter().find(|(is_asked, _)| *is_asked) {
        Some((_, feature)) => unsupported(feature),
        None => Ok(()),
    }
}

fn unsupported(feature: &str) -> Result<(), ApiError> {
    let cause = format_args!("{feature} is not supported by this server");
    Err(ErrorKind::ConsumerCreate.because(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_has_its_error() {
        for (json, err_code) in [
            (r#"{"deliver_subject":"a"}"#, 10012),
            (r#"{"ack_policy":"flow_control"}"#, 10218),
            (r#"{"rate_limit_bps":1}"#, 10086),
            (r#"{"idle_heartbeat":1000000000}"#, 10088),
            (r#"{"flow_control":true}"#, 10089),
            (r#"{"direct":true}"#, 10090),
            (r#"{"priority_groups":["a"]}"#, 10196),
            (r#"{"priority_timeout":1}"#, 10197),
            (r#"{"priority_policy":"overflow","priority_groups":["a"]}"#, 10012),
            (r#"{"replay_policy":"original"}"#, 10012),
            (r#"{"pause_until":"2100-01-01T00:00:00Z"}"#, 10012),
            (r#"{"sourcing":true}"#, 10012),
        ] {
            let config: ConsumerConfig = crate::request::decode(json.as_bytes()).unwrap();
            assert_eq!(check(&config).unwrap_err().err_code, err_code, "{json}");
        }
        let json = br#"{"deliver_group":"","idle_heartbeat":0,"priority_policy":"none",
            "pause_until":"0001-01-01T00:00:00Z","replay_policy":"instant"}"#;
        let config: ConsumerConfig = crate::request::decode(json).unwrap();
        assert_eq!(check(&config), Ok(()));
    }
}
