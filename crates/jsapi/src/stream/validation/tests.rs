use proptest::prelude::*;

use super::*;
use crate::request;

const MINUTE: u64 = 60_000_000_000;

fn create_with(json: &str, limits: &StreamLimits) -> Result<Accepted, ApiError> {
    let config: StreamConfig = request::decode(json.as_bytes())?;
    validate_create("S", &config, limits)
}

fn create(fields: &str) -> Result<Accepted, ApiError> {
    let comma = if fields.is_empty() { "" } else { "," };
    create_with(&format!(r#"{{"name":"S"{comma}{fields}}}"#), &StreamLimits::default())
}

fn config(fields: &str) -> domain::StreamConfig {
    create(fields).unwrap().config
}

#[track_caller]
fn assert_invalid(fields: &str, cause: &str) {
    let error = create(fields).unwrap_err();
    assert_eq!((error.code, error.err_code), (500, 10052), "{fields}");
    assert_eq!(error.description, cause, "{fields}");
}

#[test]
fn a_name_is_enough() {
    let accepted = create("").unwrap();
    let config = accepted.config;
    assert_eq!(config.subjects, ["S"]);
    assert_eq!(config.replicas, 1);
    assert_eq!(config.duplicate_window, 2 * MINUTE);
    assert_eq!((config.max_msgs, config.max_bytes, config.max_age), (None, None, None));
    assert_eq!((config.max_msg_size, config.max_consumers), (None, None));
    assert_eq!(config.first_seq, None);
    assert_eq!(accepted.warnings, []);
}

#[test]
fn the_subject_and_the_request_name_one_stream() {
    let request = |name: &str| StreamConfig { name: name.to_owned(), ..StreamConfig::default() };
    let check = |subject: &str, name: &str| {
        validate_create(subject, &request(name), &StreamLimits::default()).unwrap_err().err_code
    };
    assert_eq!(check("A", "B"), 10056);
    assert_eq!(check("A", ""), 10056);
    assert_eq!(check("A/B", "A/B"), 10128);
    assert_eq!(check("A*", "A*"), 10052);
    assert_eq!(check("A B", "A B"), 10052);
    let long = "x".repeat(256);
    assert_eq!(check(&long, &long), 10052);
}

#[test]
fn texts_are_bounded() {
    let long = "x".repeat(4097);
    assert_invalid(
        &format!(r#""description":"{long}""#),
        "stream description is too long, maximum allowed is 4096",
    );
    let long = "x".repeat(128 * 1024);
    assert_invalid(
        &format!(r#""metadata":{{"k":"{long}"}}"#),
        "stream metadata exceeds maximum size of 131072 bytes",
    );
}

#[test]
fn replicas_are_one_to_nine() {
    assert_eq!(create(r#""num_replicas":-1"#).unwrap_err().err_code, 10133);
    assert_invalid(r#""num_replicas":10"#, "maximum replicas is 9");
    assert_eq!(config(r#""num_replicas":0"#).replicas, 1);
    assert_eq!(create(r#""num_replicas":9"#).unwrap().warnings, []);
    let even = create(r#""num_replicas":4"#).unwrap();
    assert_eq!((even.config.replicas, even.warnings), (4, vec![Warning::EvenReplicas(4)]));
    assert_eq!(
        Warning::EvenReplicas(4).to_string(),
        "4 replicas survive no more losses than 3 do; use an odd number"
    );
}

#[test]
fn limits_below_one_are_none_unless_pedantic() {
    for field in ["max_msgs", "max_msgs_per_subject", "max_bytes", "max_msg_size", "max_consumers"]
    {
        assert_eq!(config(&format!(r#""{field}":-5"#)), config(""), "{field}");
        assert_eq!(config(&format!(r#""{field}":-1,"pedantic":true"#)), config(""), "{field}");
        let error = create(&format!(r#""{field}":-5,"pedantic":true"#)).unwrap_err();
        assert_eq!(error.err_code, 10157);
        assert_eq!(error.description, format!("pedantic mode: {field} must be set to -1"));
    }
    assert_eq!(config(r#""max_msgs":7"#).max_msgs, Some(7));
}

#[test]
fn ages_and_windows_fit_together() {
    assert_invalid(r#""max_age":-1"#, "max age can not be negative");
    assert_invalid(r#""max_age":99999999"#, "max age needs to be >= 100ms");
    assert_invalid(r#""duplicate_window":-1"#, "duplicates window can not be negative");
    assert_invalid(r#""duplicate_window":1"#, "duplicates window needs to be >= 100ms");
    assert_invalid(
        r#""max_age":1000000000,"duplicate_window":2000000000"#,
        "duplicates window can not be larger then max age",
    );
    let short = config(r#""max_age":1000000000"#);
    assert_eq!((short.max_age, short.duplicate_window), (Some(1_000_000_000), 1_000_000_000));
    let error = create(r#""max_age":1000000000,"pedantic":true"#).unwrap_err();
    assert_eq!(error.description, "pedantic mode: duplicate window cannot be bigger than max age");
}

#[test]
fn the_server_limits_the_window_and_the_size() {
    let limits = StreamLimits {
        duplicate_window: Some(60_000_000_000),
        max_bytes_required: true,
        max_bytes: Some(1000),
    };
    let create = |json: &str| create_with(json, &limits);
    let accepted = create(r#"{"name":"S","max_bytes":1000}"#).unwrap();
    assert_eq!(accepted.config.duplicate_window, MINUTE);
    assert_eq!(create(r#"{"name":"S"}"#).unwrap_err().err_code, 10113);
    assert_eq!(create(r#"{"name":"S","max_bytes":1001}"#).unwrap_err().err_code, 10122);
    let error = create(r#"{"name":"S","max_bytes":9,"duplicate_window":61000000000}"#).unwrap_err();
    assert_eq!(error.description, "duplicates window can not be larger then server limit of 1m0s");
    let error = create(r#"{"name":"S","max_bytes":9,"pedantic":true}"#).unwrap_err();
    assert_eq!(error.err_code, 10157);
}

#[test]
fn permissions_do_not_contradict_each_other() {
    assert_invalid(
        r#""deny_purge":true,"allow_rollup_hdrs":true"#,
        "roll-ups require the purge permission",
    );
    assert_invalid(
        r#""discard_new_per_subject":true,"max_msgs_per_subject":1"#,
        "discard new per subject requires discard new policy to be set",
    );
    assert_invalid(
        r#""discard_new_per_subject":true,"discard":"new""#,
        "discard new per subject requires max msgs per subject > 0",
    );
    assert_invalid(r#""sealed":true"#, "stream configuration for create can not be sealed");
    assert_invalid(r#""mirror_direct":true"#, "stream has no mirror but does have mirror direct");
    assert_invalid(
        r#""placement":{"preferred":"n1"}"#,
        "preferred server not permitted in placement",
    );
    assert_eq!(config(r#""placement":{}"#).placement, None);
}

#[test]
fn subjects_are_valid_and_apart() {
    assert_invalid(r#""subjects":["a..b"]"#, "invalid subject");
    assert_invalid(r#""subjects":["a.>.b"]"#, "invalid subject");
    assert_invalid(r#""subjects":[""]"#, "invalid subject");
    assert_invalid(r#""subjects":["a","a"]"#, r#"subject "a" overlaps with "a""#);
    assert_invalid(r#""subjects":["o.x","o.*"]"#, r#"subject "o.x" overlaps with "o.*""#);
    assert_eq!(config(r#""subjects":["a.*","b.>"]"#).subjects, ["a.*", "b.>"]);
}

#[test]
fn requests_are_not_captured_by_streams_that_answer() {
    let api = "subjects that overlap with jetstream api require no-ack to be true";
    for subject in ["$JS.>", "$JS.API.INFO", "*.>", "$JSC.x", "$NRG.a"] {
        assert_invalid(&format!(r#""subjects":["{subject}"]"#), api);
        config(&format!(r#""subjects":["{subject}"],"no_ack":true"#));
    }
    assert_invalid(
        r#""subjects":["$SYS.REQ.>"]"#,
        "subjects that overlap with system api require no-ack to be true",
    );
    config(r#""subjects":["$JS.EVENT.>"]"#);
    config(r#""subjects":["$SYS.ACCOUNT.*.CONNECT"]"#);
    config(r#""subjects":["$KV.b.>"]"#);
}

#[test]
fn everything_is_captured_only_without_answers_and_copies() {
    assert_invalid(r#""subjects":[">"]"#, "capturing all subjects requires no-ack to be true");
    assert_invalid(
        r#""subjects":[">"],"no_ack":true,"num_replicas":3"#,
        "capturing all subjects requires replicas of 1",
    );
    config(r#""subjects":[">"],"no_ack":true"#);
}

/// A configuration that was told can be sent back: `nats stream edit` does so.
fn any_fields() -> impl Strategy<Value = String> {
    let limit = || prop_oneof![Just(-1_i64), Just(0), 1_i64..1 << 40];
    (limit(), limit(), limit(), 0_i64..10, any::<[bool; 5]>(), 0_u64..5).prop_map(
        |(max_msgs, max_bytes, max_consumers, replicas, flags, first_seq)| {
            let [no_ack, direct, deny_delete, deny_purge, new] = flags;
            let discard = if new { "new" } else { "old" };
            format!(
                r#""max_msgs":{max_msgs},"max_bytes":{max_bytes},"max_consumers":{max_consumers},
                "num_replicas":{replicas},"no_ack":{no_ack},"allow_direct":{direct},
                "deny_delete":{deny_delete},"deny_purge":{deny_purge},"discard":"{discard}",
                "first_seq":{first_seq},"metadata":{{"a":"b"}},"placement":{{"tags":["x"]}},
                "subjects":["a","b.*"],"max_age":3600000000000,
                "consumer_limits":{{"max_ack_pending":5}}"#
            )
        },
    )
}

proptest! {
    #[test]
    fn what_is_told_can_be_sent_back(fields in any_fields()) {
        let accepted = create(&fields).unwrap();
        let told = StreamConfig::told(&accepted.config, "2.10.29");
        prop_assert_eq!(told.metadata.len(), 4);
        let json = serde_json::to_vec(&told).unwrap();
        let sent: StreamConfig = request::decode(&json).unwrap();
        let again = validate_create("S", &sent, &StreamLimits::default()).unwrap();
        prop_assert_eq!(again, accepted);
    }

    #[test]
    fn no_numbers_panic(numbers in any::<[i64; 6]>(), size: i32, pedantic: bool) {
        let [age, window, msgs, bytes, replicas, limit] = numbers;
        let request = StreamConfig {
            name: "S".to_owned(),
            max_age: age,
            duplicate_window: window,
            max_msgs: msgs,
            max_bytes: bytes,
            num_replicas: replicas,
            max_msg_size: size,
            pedantic,
            ..StreamConfig::default()
        };
        let limits = StreamLimits {
            duplicate_window: Some(limit),
            max_bytes_required: pedantic,
            max_bytes: Some(limit),
        };
        let _ = validate_create("S", &request, &limits);
    }
}
