//! Replies of the reference server (nats-server 2.14.5, alone and in a cluster of three), and what
//! our types make of them. `golden/` holds each exchange as it was on the wire.

use flotilla_jsapi::consumer::{self, ConsumerBounds, ConsumerInfo, ConsumerList, ConsumerNames};
use flotilla_jsapi::message::MessageFound;
use flotilla_jsapi::stream::{
    Purged, StreamConfig, StreamCreated, StreamDescription, StreamInfo, StreamLimits, StreamList,
    StreamNames, validate_create,
};
use flotilla_jsapi::{
    AccountInfo, ApiError, ApiSubject, ErrorKind, ReplyError, ReplyKind, Success, request,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A request and its reply.
#[derive(Deserialize)]
struct Exchange {
    subject: String,
    request: String,
    reply: String,
}

impl Exchange {
    fn kind(&self) -> ReplyKind {
        let subject = ApiSubject::parse(&self.subject).expect("a request");
        subject.reply_kind().expect("a request with a JSON reply")
    }

    /// The reply as our encoder spells it: Go's escapes some characters that need no escape.
    fn reply(&self) -> String {
        self.reply.replace(r"\u003e", ">")
    }
}

macro_rules! golden {
    ($name:literal) => {
        serde_json::from_str::<Exchange>(include_str!(concat!("golden/", $name, ".json"))).unwrap()
    };
}

/// The reply, read and written again, is the same to the byte: same fields, same order, same
/// choice of what is left out.
#[track_caller]
fn assert_same<T: DeserializeOwned + Serialize>(exchange: &Exchange) -> T {
    let kind = exchange.kind();
    let payload: T = kind.decode(exchange.reply.as_bytes()).expect("a reply of its kind");
    assert_eq!(String::from_utf8_lossy(&kind.success(&payload)), exchange.reply());
    payload
}

#[test]
fn accounts() {
    let info: AccountInfo = assert_same(&golden!("account_info"));
    assert_eq!((info.api.level, info.usage.limits.max_streams), (4, -1));
}

#[test]
fn streams() {
    assert_same::<StreamCreated>(&golden!("stream_create"));
    assert_same::<StreamCreated>(&golden!("stream_create_minimal"));
    let created: StreamCreated = assert_same(&golden!("stream_create_replicated"));
    assert_eq!(created.info.cluster.unwrap().replicas.len(), 2);
    assert_same::<StreamInfo>(&golden!("stream_update"));
    let info: StreamDescription = assert_same(&golden!("stream_info"));
    assert_eq!((info.info.state.deleted, info.paging.total), (vec![2], 4));
    assert_same::<StreamDescription>(&golden!("stream_info_purged"));
    let electing: StreamDescription = assert_same(&golden!("stream_info_electing"));
    assert_eq!(electing.info.cluster.unwrap().leader, None);
    assert_same::<StreamNames>(&golden!("stream_names"));
    assert_same::<StreamList>(&golden!("stream_list"));
    assert_same::<Success>(&golden!("stream_delete"));
    let purged: Purged = assert_same(&golden!("stream_purge"));
    assert_eq!(purged.purged, 4);
}

#[test]
fn messages() {
    let found: MessageFound = assert_same(&golden!("message_get"));
    assert_eq!(found.message.hdrs.0, b"NATS/1.0\r\nNats-Msg-Id: a\r\n\r\n");
    assert_same::<MessageFound>(&golden!("message_get_empty"));
    assert_same::<Success>(&golden!("message_delete"));
}

#[test]
fn consumers() {
    assert_same::<ConsumerInfo>(&golden!("consumer_create"));
    assert_same::<ConsumerInfo>(&golden!("consumer_info"));
    assert_same::<ConsumerNames>(&golden!("consumer_names"));
    assert_same::<Success>(&golden!("consumer_delete"));

    // Times are told in UTC, whatever the client said.
    let in_utc = |mut exchange: Exchange| {
        exchange.reply =
            exchange.reply.replace("2024-01-02T03:04:05.6+02:00", "2024-01-02T01:04:05.6Z");
        exchange
    };
    assert_same::<ConsumerInfo>(&in_utc(golden!("consumer_create_by_time")));
    assert_same::<ConsumerList>(&in_utc(golden!("consumer_list")));
}

#[test]
fn operations() {
    assert_same::<Success>(&golden!("meta_step_down"));
    assert_same::<Success>(&golden!("server_remove"));
}

/// What the reference says about the server that answers differs from what we say about ours.
fn with_their_level(metadata: &mut std::collections::BTreeMap<String, String>) {
    metadata.insert("_nats.level".to_owned(), "4".to_owned());
}

fn create_stream(exchange: &Exchange) -> flotilla_stream::StreamConfig {
    let asked: StreamConfig = request::decode(exchange.request.as_bytes()).expect("a request");
    let accepted = validate_create(&asked.name, &asked, &StreamLimits::default());
    accepted.expect("what the reference accepted").config
}

#[test]
fn a_stream_is_told_as_the_reference_tells_it() {
    for exchange in [
        golden!("stream_create"),
        golden!("stream_create_minimal"),
        golden!("stream_create_replicated"),
        golden!("stream_update"),
    ] {
        let theirs: StreamCreated = exchange.kind().decode(exchange.reply.as_bytes()).unwrap();
        let mut ours = StreamConfig::told(&create_stream(&exchange), "2.14.5");
        with_their_level(&mut ours.metadata);
        assert_eq!(ours, theirs.info.config, "{}", exchange.subject);
    }
}

#[test]
fn a_consumer_is_told_as_the_reference_tells_it() {
    let stream = create_stream(&golden!("stream_create_minimal"));
    for exchange in [golden!("consumer_create"), golden!("consumer_info")] {
        let theirs: ConsumerInfo = exchange.kind().decode(exchange.reply.as_bytes()).unwrap();
        let asked = match exchange.request.as_str() {
            // What was told may be asked for again.
            "" => theirs.config.clone(),
            body => request::decode::<consumer::CreateRequest>(body.as_bytes()).unwrap().config,
        };
        let bounds = ConsumerBounds::default();
        let config = consumer::validate(&theirs.name, &asked, &stream, &bounds, false).unwrap();
        let mut ours = consumer::ConsumerConfig::told(&config, "2.14.5");
        with_their_level(&mut ours.metadata);
        assert_eq!(ours, theirs.config, "{}", exchange.subject);
    }
}

fn refusal(exchange: &Exchange) -> ApiError {
    let decoded = exchange.kind().decode::<serde_json::Value>(exchange.reply.as_bytes());
    match decoded {
        Err(ReplyError::Api(error)) => error,
        other => panic!("{}: {other:?}", exchange.subject),
    }
}

#[test]
fn refusals_have_the_numbers_and_texts_of_our_table() {
    let refusals: Vec<Exchange> =
        serde_json::from_str(include_str!("golden/refusals.json")).unwrap();
    for exchange in &refusals {
        let error = refusal(exchange);
        let kind = ErrorKind::from_number(error.err_code).expect("a known error");
        assert_eq!(error.code, kind.class(), "{kind:?}");
        if !kind.template().contains('{') {
            assert_eq!(error, kind.error());
        }
        // A purge that failed says how many messages it removed; clients look at the error alone.
        let theirs = exchange.reply().replace(r#","purged":0"#, "");
        let ours = String::from_utf8(exchange.kind().failure(&error)).unwrap();
        assert_eq!(ours.replace(r"\u003e", ">"), theirs);
    }
    assert!(refusals.len() > 20);
}

#[test]
fn we_refuse_what_the_reference_refuses_with_its_words() {
    let refusals: Vec<Exchange> =
        serde_json::from_str(include_str!("golden/refusals.json")).unwrap();
    let mut checked = 0;
    for exchange in &refusals {
        let body = exchange.request.as_bytes();
        let Err(ours) = (match ApiSubject::parse(&exchange.subject).unwrap() {
            ApiSubject::StreamCreate(name) => request::decode::<StreamConfig>(body)
                .and_then(|asked| validate_create(name, &asked, &StreamLimits::default()))
                .map(drop),
            ApiSubject::ConsumerCreate { stream, form } => {
                request::decode::<consumer::CreateRequest>(body).and_then(|asked| {
                    consumer::resolve_name(stream, form, &asked)?;
                    let stream = create_stream(&golden!("stream_create_minimal"));
                    let bounds = ConsumerBounds::default();
                    consumer::validate("C", &asked.config, &stream, &bounds, false).map(drop)
                })
            }
            ApiSubject::MessageGet(_) => {
                request::decode_required::<flotilla_jsapi::message::GetRequest>(body)
                    .and_then(flotilla_jsapi::message::GetRequest::selector)
                    .map(drop)
            }
            ApiSubject::StreamPurge(_) => {
                request::decode_optional::<flotilla_jsapi::stream::PurgeRequest>(body)
                    .and_then(|asked| asked.check())
            }
            ApiSubject::ServerRemove => {
                request::decode_required::<flotilla_jsapi::cluster::ServerRemoveRequest>(body)
                    .map(drop)
            }
            _ => Ok(()),
        }) else {
            // The refusal was about what is there, which no request shows by itself.
            continue;
        };
        assert_eq!(ours, refusal(exchange), "{} {}", exchange.subject, exchange.request);
        checked += 1;
    }
    assert!(checked >= 7, "only {checked} refusals could be checked");
}
