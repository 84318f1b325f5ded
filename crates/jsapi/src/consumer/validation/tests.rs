use proptest::prelude::*;

use super::*;
use crate::consumer::{Change, ConsumerAction, check_update, resolve_change};
use crate::request;
use crate::stream::{StreamConfig, StreamLimits, validate_create};

const SECOND: u64 = 1_000_000_000;

fn stream(fields: &str) -> domain::StreamConfig {
    let json = format!(r#"{{"name":"S","num_replicas":3{fields}}}"#);
    let config: StreamConfig = request::decode(json.as_bytes()).unwrap();
    validate_create("S", &config, &StreamLimits::default()).unwrap().config
}

fn create_on(
    stream: &domain::StreamConfig,
    fields: &str,
    pedantic: bool,
) -> Result<domain::ConsumerConfig, ApiError> {
    let config: ConsumerConfig = request::decode(format!("{{{fields}}}").as_bytes())?;
    validate("C", &config, stream, &ConsumerBounds::default(), pedantic)
}

fn create(fields: &str) -> Result<domain::ConsumerConfig, ApiError> {
    create_on(&stream(""), fields, false)
}

#[track_caller]
fn assert_refused(fields: &str, err_code: u16) {
    assert_eq!(create(fields).unwrap_err().err_code, err_code, "{fields}");
}

#[test]
fn a_durable_name_and_acknowledgements_are_enough() {
    let config = create(r#""durable_name":"C","ack_policy":"explicit""#).unwrap();
    assert_eq!(config.name, "C");
    assert!(config.durable);
    assert_eq!(config.ack, domain::AckPolicy::Explicit);
    assert_eq!(config.ack_wait, 30 * SECOND);
    assert_eq!(config.max_deliver, None);
    assert_eq!(config.max_waiting, 512);
    assert_eq!(config.max_ack_pending, Some(1000));
    assert_eq!(config.inactive_threshold, None);
    assert_eq!(config.deliver, domain::DeliverPolicy::All);
    assert_eq!(effective_replicas(&config, &stream("")), 3);
}

#[test]
fn without_acknowledgements_nothing_is_waited_for() {
    let config = create(r#""name":"C""#).unwrap();
    assert_eq!(config.ack, domain::AckPolicy::None);
    assert_eq!((config.ack_wait, config.max_ack_pending), (0, None));
    assert!(!config.durable);
    assert_eq!(config.inactive_threshold, Some(5 * SECOND));
    assert_eq!(effective_replicas(&config, &stream("")), 1);
    let replicated = create(r#""name":"C","num_replicas":3"#).unwrap();
    assert_eq!(effective_replicas(&replicated, &stream("")), 3);
}

#[test]
fn replicas_stay_within_the_stream() {
    assert_refused(r#""num_replicas":4"#, 10126);
    assert_refused(r#""num_replicas":-1"#, 10133);
    let queue = domain::StreamConfig { retention: domain::Retention::WorkQueue, ..stream("") };
    let on_queue = |fields: &str| create_on(&queue, fields, false).map_err(|e| e.err_code);
    assert_eq!(on_queue(r#""num_replicas":1,"ack_policy":"explicit""#), Err(10134));
    assert_eq!(on_queue(r#""ack_policy":"none""#), Err(10084));
    assert_eq!(on_queue(r#""ack_policy":"all""#), Err(10098));
    assert!(on_queue(r#""num_replicas":3,"ack_policy":"explicit""#).is_ok());
}

#[test]
fn waits_fit_the_number_of_deliveries() {
    let waits = create(r#""ack_policy":"explicit","backoff":[1000000000,2000000000]"#).unwrap();
    assert_eq!((waits.ack_wait, waits.backoff), (SECOND, vec![SECOND, 2 * SECOND]));
    assert_refused(r#""max_deliver":1,"backoff":[1,2]"#, 10116);
    assert!(create(r#""max_deliver":2,"backoff":[1,2]"#).is_ok());
    assert_refused(r#""backoff":[1,-2]"#, 10184);
    assert_refused(r#""ack_wait":-1"#, 10183);
    assert_eq!(create(r#""max_deliver":-7"#).unwrap().max_deliver, None);
}

#[test]
fn texts_are_bounded() {
    let long = "x".repeat(4097);
    assert_refused(&format!(r#""description":"{long}""#), 10107);
    let long = "x".repeat(128 * 1024);
    let error = create(&format!(r#""metadata":{{"k":"{long}"}}"#)).unwrap_err();
    assert_eq!(error.description, "consumer metadata exceeds maximum size of 128KB");
    assert_refused(r#""durable_name":"C","name":"D""#, 10132);
}

#[test]
fn a_start_belongs_to_its_policy() {
    let by_seq = create(r#""deliver_policy":"by_start_sequence","opt_start_seq":7"#).unwrap();
    assert_eq!(by_seq.deliver, domain::DeliverPolicy::ByStartSequence(7));
    let time = r#""opt_start_time":"1970-01-01T00:00:01Z""#;
    let by_time = create(&format!(r#""deliver_policy":"by_start_time",{time}"#)).unwrap();
    let second = domain::Timestamp(1_000_000_000);
    assert_eq!(by_time.deliver, domain::DeliverPolicy::ByStartTime(second));
    let zero = r#""deliver_policy":"by_start_time","opt_start_time":"0001-01-01T00:00:00Z""#;
    let earliest = domain::Timestamp(i64::MIN);
    assert_eq!(create(zero).unwrap().deliver, domain::DeliverPolicy::ByStartTime(earliest));
    assert!(create(r#""deliver_policy":"last_per_subject","filter_subject":"a""#).is_ok());
    assert_refused(r#""deliver_policy":"last_per_subject""#, 10094);
    assert_refused(r#""deliver_policy":"by_start_sequence""#, 10094);
    assert_refused(r#""deliver_policy":"by_start_time""#, 10094);
    assert_refused(
        &format!(r#""deliver_policy":"by_start_sequence","opt_start_seq":7,{time}"#),
        10094,
    );
    assert_refused(&format!(r#""deliver_policy":"by_start_time","opt_start_seq":7,{time}"#), 10094);
    for policy in ["all", "last", "new"] {
        assert_refused(&format!(r#""deliver_policy":"{policy}",{time}"#), 10094);
        let error = create(&format!(r#""deliver_policy":"{policy}","opt_start_seq":7"#));
        assert_eq!(
            error.unwrap_err().description,
            format!(
                "consumer delivery policy is deliver {policy}, but optional start sequence is also set"
            )
        );
    }
}

#[test]
fn pull_requests_and_samples_are_limited() {
    assert_refused(r#""max_expires":999999"#, 10115);
    assert_eq!(create(r#""max_expires":1000000"#).unwrap().max_request_expires, Some(1_000_000));
    assert_eq!(create(r#""max_batch":-1"#).unwrap().max_request_batch, None);
    let bounds = ConsumerBounds { max_ack_pending: Some(100), max_request_batch: Some(10) };
    let bounded = |fields: &str| {
        let config: ConsumerConfig = request::decode(format!("{{{fields}}}").as_bytes()).unwrap();
        validate("C", &config, &stream(""), &bounds, false)
    };
    let config = bounded(r#""ack_policy":"all""#).unwrap();
    assert_eq!((config.max_ack_pending, config.max_request_batch), (Some(100), Some(10)));
    assert_eq!(bounded(r#""max_batch":11"#).unwrap_err().err_code, 10125);
    assert_eq!(bounded(r#""max_ack_pending":101"#).unwrap_err().err_code, 10121);

    assert_eq!(create(r#""sample_freq":"50%""#).unwrap().sample_percent, Some(50));
    assert_eq!(create(r#""sample_freq":"500""#).unwrap().sample_percent, Some(100));
    assert_eq!(create(r#""sample_freq":"0%""#).unwrap().sample_percent, None);
    assert_refused(r#""sample_freq":"some""#, 10095);
    assert_refused(r#""sample_freq":"-1%""#, 10095);
}

#[test]
fn the_stream_has_defaults_and_limits() {
    let stream =
        stream(r#","consumer_limits":{"max_ack_pending":50,"inactive_threshold":60000000000}"#);
    let on = |fields: &str| create_on(&stream, fields, false);
    let config = on(r#""durable_name":"C","ack_policy":"explicit""#).unwrap();
    assert_eq!(config.max_ack_pending, Some(50));
    assert_eq!(config.inactive_threshold, Some(60 * SECOND));
    assert_eq!(on(r#""max_ack_pending":51"#).unwrap_err().err_code, 10121);
    let error = on(r#""inactive_threshold":61000000000"#).unwrap_err();
    assert_eq!(error.description, "consumer inactive threshold exceeds system limit of 1m0s");
    let error = create_on(&stream, r#""ack_policy":"explicit""#, true).unwrap_err();
    assert_eq!(error.err_code, 10157);
}

#[test]
fn pedantic_requests_are_not_adjusted() {
    for fields in [
        r#""max_deliver":-2"#,
        r#""max_waiting":-1"#,
        r#""max_ack_pending":-2"#,
        r#""max_batch":-1"#,
        r#""max_expires":-1"#,
        r#""max_bytes":-1"#,
        r#""inactive_threshold":-1"#,
        r#""backoff":[5],"ack_wait":4"#,
    ] {
        let error = create_on(&stream(""), fields, true).unwrap_err();
        assert_eq!(error.err_code, 10157, "{fields}");
        assert!(create(fields).is_ok(), "{fields}");
    }
}

#[test]
fn what_is_there_decides_what_a_request_does() {
    let there = create(r#""durable_name":"C","ack_policy":"explicit""#).unwrap();
    let changed = domain::ConsumerConfig { max_deliver: Some(5), ..there.clone() };
    let resolve = |action, existing: Option<&domain::ConsumerConfig>| {
        resolve_change(action, existing, &changed).map_err(|error| error.err_code)
    };
    assert_eq!(resolve(ConsumerAction::Create, None), Ok(Change::Create));
    assert_eq!(resolve(ConsumerAction::CreateOrUpdate, None), Ok(Change::Create));
    assert_eq!(resolve(ConsumerAction::Update, None), Err(10149));
    assert_eq!(resolve(ConsumerAction::Create, Some(&there)), Err(10148));
    assert_eq!(resolve(ConsumerAction::Create, Some(&changed)), Ok(Change::Keep));
    assert_eq!(resolve(ConsumerAction::Update, Some(&there)), Ok(Change::Update));
    let other = domain::ConsumerConfig { ack: domain::AckPolicy::All, ..there };
    assert_eq!(resolve(ConsumerAction::CreateOrUpdate, Some(&other)), Err(10012));
}

#[test]
fn what_decided_deliveries_stays() {
    use domain::DeliverPolicy::{ByStartSequence, New};

    let old = create(r#""durable_name":"C","ack_policy":"explicit""#).unwrap();
    let table = [
        (domain::ConsumerConfig { deliver: New, ..old.clone() }, "deliver policy"),
        (domain::ConsumerConfig { memory_storage: true, ..old.clone() }, "storage type"),
        (domain::ConsumerConfig { ack: domain::AckPolicy::None, ..old.clone() }, "ack policy"),
        (domain::ConsumerConfig { replay_original: true, ..old.clone() }, "replay policy"),
        (domain::ConsumerConfig { max_waiting: 1, ..old.clone() }, "max waiting"),
        (domain::ConsumerConfig { durable: false, ..old.clone() }, "durable name"),
    ];
    for (new, what) in table {
        let error = check_update(&old, &new).unwrap_err();
        assert_eq!(error.description, format!("{what} can not be updated"));
    }
    let from_1 = domain::ConsumerConfig { deliver: ByStartSequence(1), ..old.clone() };
    let from_2 = domain::ConsumerConfig { deliver: ByStartSequence(2), ..old.clone() };
    let error = check_update(&from_1, &from_2).unwrap_err();
    assert_eq!(error.description, "start sequence can not be updated");
    let free = domain::ConsumerConfig { filters: vec!["a".to_owned()], replicas: 1, ..old.clone() };
    assert_eq!(check_update(&old, &free), Ok(()));
}

/// Clients take another form than theirs for a server that does not know the field.
#[test]
fn a_filter_is_told_in_the_form_it_was_given() {
    let told = |fields| ConsumerConfig::told(&create(fields).unwrap(), "2.10.29");
    let one = told(r#""durable_name":"C","filter_subject":"a""#);
    assert_eq!((one.filter_subject.as_str(), one.filter_subjects.len()), ("a", 0));
    let list = told(r#""durable_name":"C","filter_subjects":["a"]"#);
    assert_eq!(
        (list.filter_subject.as_str(), list.filter_subjects.as_slice()),
        ("", &["a".to_owned()][..])
    );
}

fn any_fields() -> impl Strategy<Value = String> {
    let limit = || prop_oneof![Just(-1_i64), Just(0), 1_i64..1 << 30];
    let ack = prop::sample::select(vec!["none", "all", "explicit"]);
    let start = prop::sample::select(vec![
        r#""deliver_policy":"all""#,
        r#""deliver_policy":"all","filter_subjects":["a"]"#,
        r#""deliver_policy":"last_per_subject","filter_subject":"a""#,
        r#""deliver_policy":"by_start_sequence","opt_start_seq":9,"filter_subjects":["a","b"]"#,
        r#""deliver_policy":"by_start_time","opt_start_time":"2024-01-02T03:04:05.6+02:00""#,
    ]);
    let name = prop::sample::select(vec![r#""durable_name":"C""#, r#""name":"C""#]);
    (limit(), limit(), 0_i64..3, any::<[bool; 2]>(), ack, start, name).prop_map(
        |(max_ack_pending, max_deliver, replicas, [headers_only, memory], ack, start, name)| {
            format!(
                r#"{name},{start},"ack_policy":"{ack}","max_ack_pending":{max_ack_pending},
                "max_deliver":{max_deliver},"num_replicas":{replicas},"sample_freq":"7",
                "headers_only":{headers_only},"mem_storage":{memory},"metadata":{{"a":"b"}},
                "max_batch":5,"max_expires":1000000,"max_bytes":9,"backoff":[5]"#
            )
        },
    )
}

proptest! {
    /// A configuration that was told can be sent back: `nats consumer edit` does so.
    #[test]
    fn what_is_told_can_be_sent_back(fields in any_fields()) {
        let fields = fields.replace(r#""max_deliver":-1,"#, "");
        let config = create(&fields).unwrap();
        let told = ConsumerConfig::told(&config, "2.10.29");
        let json = serde_json::to_vec(&told).unwrap();
        let sent: ConsumerConfig = request::decode(&json).unwrap();
        let again = validate("C", &sent, &stream(""), &ConsumerBounds::default(), false).unwrap();
        if config.ack == domain::AckPolicy::None {
            // Unlimited is not told where nothing is acknowledged; it comes back as the same.
            prop_assert_eq!(again.max_ack_pending, config.max_ack_pending);
        }
        prop_assert_eq!(again, config);
    }

    #[test]
    fn no_numbers_panic(numbers in any::<[i64; 8]>(), backoff: Vec<i64>, sample_freq: String) {
        let [ack_wait, deliver, waiting, pending, batch, expires, bytes, replicas] = numbers;
        let request = ConsumerConfig {
            ack_wait,
            max_deliver: deliver,
            max_waiting: waiting,
            max_ack_pending: pending,
            max_batch: batch,
            max_expires: expires,
            max_bytes: bytes,
            num_replicas: replicas,
            backoff,
            sample_freq,
            ..ConsumerConfig::default()
        };
        let _ = validate("C", &request, &stream(""), &ConsumerBounds::default(), false);
    }
}
