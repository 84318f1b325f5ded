//! From the router into the inbox.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_host::{ConsumerInput, InboundMessage, Input};
use flotilla_jsapi::publish::PubAckReply;
use flotilla_stream::{Ack, AckKind, PullRequest};

use crate::fixture::{Fixture, THERE};

async fn with_stream() -> Fixture {
    let server = Fixture::start();
    server.request("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["a.*","b"]}"#).await;
    server
}

async fn with_consumer() -> Fixture {
    let server = with_stream().await;
    let config = r#"{"durable_name":"C","ack_policy":"explicit","max_batch":10}"#;
    let body = format!(r#"{{"stream_name":"S","config":{config}}}"#);
    server.request("$JS.API.CONSUMER.CREATE.S.C", &body).await;
    server
}

fn inputs_of(input: Input) -> Vec<ConsumerInput> {
    match input {
        Input::Consumer { inputs, .. } => inputs,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_stream_listens_to_its_subjects_while_it_is_led_here() {
    let mut server = with_stream().await;
    let group = server.group("S", None);
    assert!(!server.account.has_interest("a.1"));
    server.ingest.lead(group);
    server.publish("a.1", Some("_R.1"), "NATS/1.0 503\r\nX: y\r\n\r\n", "one");
    let Input::Publish { group: to, messages } = server.input().await else { panic!("a publish") };
    assert_eq!((to, messages.len()), (group, 1));
    let expected = InboundMessage {
        subject: "a.1",
        reply: "_R.1",
        headers: b"NATS/1.0\r\nX: y\r\n\r\n",
        payload: b"one",
    };
    assert_eq!(messages.iter().collect::<Vec<_>>(), [expected]);

    // Another configuration.
    let body = r#"{"name":"S","subjects":["a.>","c"]}"#;
    server.request("$JS.API.STREAM.UPDATE.S", body).await;
    server.ingest.refresh(Some(&[group]));
    let heard = ["a.1", "a.1.2", "b", "c"].map(|subject| server.account.has_interest(subject));
    assert_eq!(heard, [true, true, false, true]);

    server.ingest.cede(group);
    assert!(!server.account.has_interest("c"));
}

/// Who was told that a stream is deleted gets no acknowledgement of it any more, although its shard may not know yet.
#[tokio::test]
async fn a_deleted_stream_listens_to_nothing() {
    let server = with_stream().await;
    let group = server.group("S", None);
    server.ingest.lead(group);
    assert!(server.account.has_interest("a.1"));
    server.request("$JS.API.STREAM.DELETE.S", "").await;
    server.ingest.refresh(Some(&[group]));
    assert!(!server.account.has_interest("a.1"));
    server.ingest.cede(group);
}

#[tokio::test]
async fn a_message_with_too_many_headers_is_refused_before_it_is_stored() {
    let mut server = with_stream().await;
    server.ingest.lead(server.group("S", None));
    let headers = format!("NATS/1.0\r\nX: {}\r\n\r\n", "y".repeat(66_000));
    let (_, refusal) = server.request_with("a.1", &headers, "one").await;
    let refusal: PubAckReply = serde_json::from_slice(&refusal).unwrap();
    assert_eq!(refusal.error.map(|e| e.err_code), Some(10097));
    assert_eq!(refusal.stream, "S");
    assert!(server.inputs.try_recv().is_err());
}

#[tokio::test]
async fn pull_requests_reach_the_leader_here() {
    let mut server = with_consumer().await;
    let body = r#"{"batch":5,"expires":1000000000,"no_wait":true}"#;
    server.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", Some("_R.1"), "", body);
    let expected = PullRequest {
        reply: "_R.1".into(),
        batch: 5,
        max_bytes: None,
        expires: Some(1_000_000_000),
        no_wait: true,
        idle_heartbeat: None,
    };
    assert_eq!(inputs_of(server.input().await), [ConsumerInput::Pull(expected)]);
}

#[tokio::test]
async fn pull_requests_that_cannot_be_met_get_a_status() {
    let server = with_consumer().await;
    let next = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    let status = |headers: String| headers.split("\r\n").next().unwrap_or_default().to_owned();
    let (headers, _) = server.request_with(next, "", "11").await;
    assert_eq!(status(headers), "NATS/1.0 409 Exceeded MaxRequestBatch of 10");
    let (headers, _) = server.request_with(next, "", r#"{"batch":x}"#).await;
    assert!(headers.starts_with("NATS/1.0 400 Bad Request - "), "{headers}");
    let level = "NATS/1.0\r\nNats-Required-Api-Level: 9\r\n\r\n";
    let (headers, _) = server.request_with(next, level, "").await;
    assert_eq!(status(headers), "NATS/1.0 412 Required Api Level");
    let (headers, _) = server.request_with("$JS.API.CONSUMER.MSG.NEXT.S.D", "", "").await;
    assert_eq!(status(headers), "NATS/1.0 503");
    server.lead(server.group("S", Some("C")), None);
    let (headers, _) = server.request_with(next, "", "").await;
    assert_eq!(status(headers), "NATS/1.0 503");
}

#[tokio::test]
async fn what_another_server_leads_is_forwarded_once() {
    let mut server = with_consumer().await;
    let group = server.group("S", Some("C"));
    server.lead(group, Some(THERE));
    server.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", Some("_R.1"), "", "7");
    server.publish("$JS.ACK.S.C.1.2.3.4.5", None, "", "+ACK");
    let sent = [
        r#"2 $G $JS.API.CONSUMER.MSG.NEXT.S.C Some("_R.1") 7"#,
        "2 $G $JS.ACK.S.C.1.2.3.4.5 None +ACK",
    ];
    assert_eq!(server.remote.take(), sent);

    // There it is taken by the leader, and nobody sends it on.
    let next = "$JS.API.CONSUMER.MSG.NEXT.S.C";
    let ingest = Arc::clone(&server.ingest);
    ingest.forwarded("$G", next, Some("_R.1"), None, &Bytes::from_static(b"7"));
    assert!(server.remote.take().is_empty());
    server
        .leaders
        .claim(crate::fixture::HERE, crate::leaders::Claim { group, term: 4, leads: true });
    ingest.forwarded("$G", next, Some("_R.1"), None, &Bytes::from_static(b"7"));
    ingest.forwarded("$G", "$JS.ACK.S.C.1.2.3.4.5", None, None, &Bytes::new());
    ingest.forwarded("$G", "elsewhere", None, None, &Bytes::new());
    ingest.forwarded("unknown", next, Some("_R.1"), None, &Bytes::new());
    ingest.settle();
    let mut inputs = inputs_of(server.input().await);
    if inputs.len() == 1 {
        inputs.extend(inputs_of(server.input().await));
    }
    assert!(matches!(&inputs[..], [ConsumerInput::Pull(_), ConsumerInput::Ack(_)]), "{inputs:?}");
}

#[tokio::test]
async fn acknowledgements_are_understood() {
    let mut server = with_consumer().await;
    let subject = "$JS.ACK.S.C.1.2.3.4.5";
    let pull = PullRequest {
        reply: "_R.1".into(),
        batch: 3,
        max_bytes: None,
        expires: None,
        no_wait: false,
        idle_heartbeat: None,
    };
    let table = [
        ("", None, AckKind::Ack),
        ("+ACK", Some("_R.1"), AckKind::Ack),
        ("-NAK", None, AckKind::Nak { delay: 0 }),
        ("-NAK {\"delay\":5}", None, AckKind::Nak { delay: 5 }),
        ("+WPI", Some("_R.1"), AckKind::Progress),
        ("+NXT 3", Some("_R.1"), AckKind::Next(pull)),
        ("+NXT 3", None, AckKind::Ack),
        ("+TERM why", None, AckKind::Term { reason: "why".to_owned() }),
    ];
    for (body, reply, kind) in table {
        server.publish(subject, reply, "", body);
        let answered = reply.filter(|_| !matches!(kind, AckKind::Next(_)));
        let ack = Ack {
            stream_seq: 2,
            consumer_seq: 3,
            deliveries: 1,
            kind,
            reply: answered.map(Into::into),
        };
        assert_eq!(inputs_of(server.input().await), [ConsumerInput::Ack(ack)], "{body}");
    }
    server.publish(subject, None, "", "nonsense");
    server.publish("$JS.ACK.S.C.1", None, "", "");
    server.publish("$JS.ACK.S.D.1.2.3.4.5", None, "", "");
    let (headers, _) = server.request_with("$JS.ACK.S.D.1.2.3.4.5", "", "").await;
    assert!(headers.starts_with("NATS/1.0 503\r\n"), "{headers}");
    assert!(server.inputs.try_recv().is_err());
}
