//! Requests and their answers, over a router, with a shard that the test plays.

use std::collections::BTreeSet;

use flotilla_host::{MetaRequest, Request, StreamRequest};
use flotilla_jsapi::consumer::{ConsumerInfo, ConsumerList, ConsumerNames};
use flotilla_jsapi::message::MessageFound;
use flotilla_jsapi::stream::{
    Purged, StreamCreated, StreamDescription, StreamInfo, StreamList, StreamNames,
};
use flotilla_jsapi::{AccountInfo, AccountLimits, ApiError, ReplyError, ReplyKind, Success};
use serde::de::DeserializeOwned;

use super::QUEUED;
use crate::fixture::{Fixture, HERE, THERE, names};
use crate::leaders::Claim;
use flotilla_raft::GroupId;

impl Fixture {
    /// The payload of an answer that says it worked.
    async fn ok<T: DeserializeOwned>(&self, kind: ReplyKind, subject: &str, body: &str) -> T {
        let answer = self.request(&format!("$JS.API.{subject}"), body).await;
        kind.decode(&answer).unwrap_or_else(|error| panic!("{subject}: {error}"))
    }

    /// The error of an answer that says why it did not.
    async fn refused(&self, kind: ReplyKind, subject: &str, body: &str) -> ApiError {
        let answer = self.request(&format!("$JS.API.{subject}"), body).await;
        match kind.decode::<serde_json::Value>(&answer) {
            Err(ReplyError::Api(error)) => error,
            other => panic!("{subject}: {other:?}"),
        }
    }
}

const STREAM: &str = r#"{"name":"S","subjects":["orders.>"],"num_replicas":3}"#;
const CONSUMER: &str =
    r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;

async fn with_stream() -> Fixture {
    let server = Fixture::start();
    server.ok::<StreamCreated>(ReplyKind::StreamCreate, "STREAM.CREATE.S", STREAM).await;
    server
}

async fn with_consumer() -> Fixture {
    let server = with_stream().await;
    server.ok::<ConsumerInfo>(ReplyKind::ConsumerCreate, "CONSUMER.CREATE.S.C", CONSUMER).await;
    server
}

#[tokio::test]
async fn a_stream_lives_from_its_creation_to_its_deletion() {
    let server = Fixture::start();
    for _ in 0..2 {
        let created: StreamCreated =
            server.ok(ReplyKind::StreamCreate, "STREAM.CREATE.S", STREAM).await;
        assert!(created.did_create);
        assert_eq!(created.info.config.subjects, ["orders.>"]);
        let cluster = created.info.cluster.unwrap();
        assert_eq!(cluster.leader.as_deref(), Some("n1"));
        let replicas: Vec<_> =
            cluster.replicas.iter().map(|r| (r.name.as_str(), r.peer.as_str())).collect();
        assert_eq!(replicas, [("n2", "44jzkV9D"), ("n3", "BXScrY9i")]);
        let group = server.group("S", None);
        assert_eq!(cluster.raft_group, Some(format!("S-R3F-{group}")));
    }
    let changed = r#"{"name":"S","subjects":["orders.>"],"num_replicas":3,"max_msgs":5}"#;
    let updated: StreamInfo = server.ok(ReplyKind::StreamUpdate, "STREAM.UPDATE.S", changed).await;
    assert_eq!(updated.config.max_msgs, 5);
    let info: StreamDescription = server
        .ok(ReplyKind::StreamInfo, "STREAM.INFO.S", r#"{"subjects_filter":">","offset":3}"#)
        .await;
    assert_eq!((info.paging.total, info.paging.offset, info.paging.limit), (7, 3, 100_000));
    assert_eq!((info.info.state.messages, info.info.config.max_msgs), (2, 5));
    let done: Success = server.ok(ReplyKind::StreamDelete, "STREAM.DELETE.S", "").await;
    assert_eq!(done, Success::DONE);
    assert!(names(&server.directory).is_empty());
    let gone = server.refused(ReplyKind::StreamInfo, "STREAM.INFO.S", "").await;
    assert_eq!(gone.err_code, 10059);
}

#[tokio::test]
async fn an_account_has_as_many_streams_and_consumers_as_it_may() {
    let server = with_consumer().await;
    let limits = AccountLimits { max_streams: 1, max_consumers: 1, ..AccountLimits::default() };
    server.api.enable(&server.account, limits.clone());
    let told: AccountInfo = server.ok(ReplyKind::AccountInfo, "INFO", "").await;
    assert_eq!(told.usage.limits, limits);
    let another = r#"{"name":"T","subjects":["t"]}"#;
    let refused = server.refused(ReplyKind::StreamCreate, "STREAM.CREATE.T", another).await;
    assert_eq!(refused.err_code, 10027);
    let another = r#"{"stream_name":"S","config":{"ack_policy":"none"}}"#;
    let refused = server.refused(ReplyKind::ConsumerCreate, "CONSUMER.CREATE.S", another).await;
    assert_eq!(refused.err_code, 10026);
    // What is there already is found.
    server.ok::<StreamCreated>(ReplyKind::StreamCreate, "STREAM.CREATE.S", STREAM).await;
}

#[tokio::test]
async fn a_consumer_lives_from_its_creation_to_its_deletion() {
    let server = with_stream().await;
    let create = ReplyKind::ConsumerCreate;
    let info: ConsumerInfo = server.ok(create, "CONSUMER.CREATE.S.C", CONSUMER).await;
    assert_eq!((info.stream_name.as_str(), info.name.as_str()), ("S", "C"));
    assert_eq!((info.delivered.stream_seq, info.num_pending), (2, 3));
    assert_eq!(info.cluster.unwrap().replicas.len(), 2);
    let ephemeral = r#"{"stream_name":"S","config":{"ack_policy":"none"}}"#;
    let info: ConsumerInfo = server.ok(create, "CONSUMER.CREATE.S", ephemeral).await;
    assert_eq!((info.name.len(), info.config.durable_name.as_str()), (8, ""));

    let must_be_new =
        CONSUMER.replace("explicit\"}", "explicit\",\"max_batch\":5},\"action\":\"create\"");
    let refused = server.refused(create, "CONSUMER.CREATE.S.C", &must_be_new).await;
    assert_eq!(refused.err_code, 10148);
    let found: ConsumerInfo = server.ok(ReplyKind::ConsumerInfo, "CONSUMER.INFO.S.C", "").await;
    assert_eq!(found.config.durable_name, "C");
    let listed: ConsumerList = server.ok(ReplyKind::ConsumerList, "CONSUMER.LIST.S", "").await;
    assert_eq!((listed.paging.total, listed.consumers.len()), (2, 2));
    let done: Success = server.ok(ReplyKind::ConsumerDelete, "CONSUMER.DELETE.S.C", "").await;
    assert_eq!(done, Success::DONE);
    let names: ConsumerNames = server.ok(ReplyKind::ConsumerNames, "CONSUMER.NAMES.S", "").await;
    assert_eq!(names.consumers, [info.name]);
    let gone = server.refused(ReplyKind::ConsumerInfo, "CONSUMER.INFO.S.C", "").await;
    assert_eq!(gone.err_code, 10014);
    let gone = server.refused(ReplyKind::ConsumerInfo, "CONSUMER.INFO.T.C", "").await;
    assert_eq!(gone.err_code, 10059);
}

#[tokio::test]
async fn streams_are_listed_by_pages_and_subjects() {
    let server = with_stream().await;
    for name in ["A", "B"] {
        let body = format!(r#"{{"name":"{name}","subjects":["{name}.>"]}}"#);
        let subject = format!("STREAM.CREATE.{name}");
        server.ok::<StreamCreated>(ReplyKind::StreamCreate, &subject, &body).await;
    }
    let names: StreamNames = server.ok(ReplyKind::StreamNames, "STREAM.NAMES", "").await;
    assert_eq!((names.paging.total, names.streams), (3, ["A", "B", "S"].map(String::from).into()));
    let names: StreamNames =
        server.ok(ReplyKind::StreamNames, "STREAM.NAMES", r#"{"subject":"orders.1"}"#).await;
    assert_eq!(names.streams, ["S"]);
    let list: StreamList = server.ok(ReplyKind::StreamList, "STREAM.LIST", r#"{"offset":1}"#).await;
    let listed: Vec<_> = list.streams.iter().map(|s| s.config.name.as_str()).collect();
    assert_eq!((list.paging.offset, listed, list.missing.len()), (1, vec!["B", "S"], 0));

    let info: AccountInfo = server.ok(ReplyKind::AccountInfo, "INFO", "").await;
    assert_eq!((info.usage.streams, info.usage.consumers), (3, 0));
    assert_eq!(info.usage.storage, 100 + 100 + 3 * 100, "each replica counts");
    assert_eq!((info.api.level, info.api.total, info.api.errors), (0, 7, 0));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_error() {
    let server = with_consumer().await;
    let table = [
        (ReplyKind::System, "NONSENSE", "", 10003),
        (ReplyKind::StreamCreate, "STREAM.CREATE.S", "{x", 10025),
        (ReplyKind::StreamCreate, "STREAM.CREATE.S", r#"{"name":"S","unknown":1}"#, 10025),
        (ReplyKind::StreamCreate, "STREAM.CREATE.S", r#"{"name":"T"}"#, 10056),
        (ReplyKind::StreamCreate, "STREAM.CREATE.S", r#"{"name":"S"}"#, 10058),
        (ReplyKind::StreamUpdate, "STREAM.UPDATE.T", r#"{"name":"T"}"#, 10059),
        (ReplyKind::StreamDelete, "STREAM.DELETE.S", r#"{"a":1}"#, 10038),
        (ReplyKind::StreamDelete, "STREAM.DELETE.T", "", 10059),
        (ReplyKind::StreamSnapshot, "STREAM.SNAPSHOT.S", "{}", 10064),
        (ReplyKind::MessageGet, "STREAM.MSG.GET.S", "", 10003),
        (ReplyKind::MessageGet, "STREAM.MSG.GET.S", r#"{"seq":9}"#, 10037),
        (ReplyKind::StreamPurge, "STREAM.PURGE.S", r#"{"seq":1,"keep":1}"#, 10003),
        (ReplyKind::ConsumerNames, "CONSUMER.NAMES.T", "", 10059),
        (ReplyKind::ConsumerList, "CONSUMER.LIST.T", "", 10059),
        (ReplyKind::ConsumerPause, "CONSUMER.PAUSE.S.C", "", 10003),
    ];
    for (kind, subject, body, err_code) in table {
        let error = server.refused(kind, subject, body).await;
        assert_eq!(error.err_code, err_code, "{subject} {body}: {error}");
    }
    let level = "NATS/1.0\r\nNats-Required-Api-Level: 3\r\n\r\n";
    let (_, answer) = server.request_with("$JS.API.STREAM.INFO.S", level, "").await;
    let refused = ReplyKind::StreamInfo.decode::<StreamDescription>(&answer);
    assert!(matches!(refused, Err(ReplyError::Api(e)) if e.err_code == 10185));
    let info: AccountInfo = server.ok(ReplyKind::AccountInfo, "INFO", "").await;
    assert_eq!(info.api.errors, table.len() as u64 + 1);

    // Other limits begin an account's count anew, and not the server's.
    server.api.enable(&server.account, AccountLimits::default());
    let anew: AccountInfo = server.ok(ReplyKind::AccountInfo, "INFO", "").await;
    assert_eq!((anew.api.total, anew.api.errors), (1, 0));
    let all = server.api.stats();
    assert_eq!((all.total, all.errors), (info.api.total + 1, info.api.errors));
}

#[tokio::test]
async fn messages_are_read_and_removed() {
    let server = with_stream().await;
    let found: MessageFound =
        server.ok(ReplyKind::MessageGet, "STREAM.MSG.GET.S", r#"{"seq":1}"#).await;
    assert_eq!((found.message.seq, found.message.data.0), (1, b"one".to_vec()));
    assert_eq!(found.message.hdrs.0, b"NATS/1.0\r\nA: b\r\n\r\n");
    let body = r#"{"seq":1,"no_erase":true}"#;
    server.ok::<Success>(ReplyKind::MessageDelete, "STREAM.MSG.DELETE.S", body).await;
    let body = r#"{"filter":"orders.1","keep":1}"#;
    let purged: Purged = server.ok(ReplyKind::StreamPurge, "STREAM.PURGE.S", body).await;
    assert_eq!(purged.purged, 3);
    let filter = Some("orders.1".to_owned());
    let asked = [
        Request::Stream(StreamRequest::Delete { seq: 1, erase: false }),
        Request::Stream(StreamRequest::Purge { filter, up_to: None, keep: Some(1) }),
    ];
    assert_eq!(server.shard.asked(), asked);
}

#[tokio::test]
async fn direct_gets_are_messages_or_statuses() {
    let server = with_stream().await;
    let (headers, _) = server.request_with("$JS.API.DIRECT.GET.S", "", r#"{"seq":1}"#).await;
    assert!(headers.starts_with("NATS/1.0 503\r\n"), "not allowed: {headers}");
    let (headers, _) = server.request_with("$JS.API.DIRECT.GET.T", "", r#"{"seq":1}"#).await;
    assert!(headers.starts_with("NATS/1.0 503\r\n"), "not there: {headers}");
    let allow = STREAM.replace('}', r#","allow_direct":true}"#);
    server.ok::<StreamInfo>(ReplyKind::StreamUpdate, "STREAM.UPDATE.S", &allow).await;
    let (headers, payload) = server.request_with("$JS.API.DIRECT.GET.S", "", r#"{"seq":1}"#).await;
    assert_eq!(
        headers,
        "NATS/1.0\r\nA: b\r\nNats-Stream: S\r\nNats-Subject: orders.1\r\nNats-Sequence: 1\r\n\
         Nats-Time-Stamp: 1970-01-01T00:00:00Z\r\n\r\n"
    );
    assert_eq!(payload, "one");
    let (headers, _) = server.request_with("$JS.API.DIRECT.GET.S.orders.9", "", "").await;
    assert_eq!(headers, "NATS/1.0 404 Message Not Found\r\n\r\n");
    let (headers, _) = server.request_with("$JS.API.DIRECT.GET.S", "", "").await;
    assert_eq!(headers, "NATS/1.0 408 Empty Request\r\n\r\n");
}

#[tokio::test]
async fn leaders_step_down_for_whom_the_client_prefers() {
    let server = with_consumer().await;
    let (stream, consumer) = ("STREAM.LEADER.STEPDOWN.S", "CONSUMER.LEADER.STEPDOWN.S.C");
    let kind = ReplyKind::StreamLeaderStepDown;
    let prefer = |placement: &str| format!(r#"{{"placement":{{{placement}}}}}"#);
    let unknown = server.refused(kind, stream, &prefer(r#""preferred":"n9""#)).await;
    assert_eq!(
        (unknown.err_code, &*unknown.description),
        (10005, r#"preferred server "n9" not known"#)
    );
    let leading = server.refused(kind, stream, &prefer(r#""preferred":"n1""#)).await;
    assert_eq!(leading.description, r#"preferred server "n1" is already leader"#);
    let nowhere = server.refused(kind, stream, &prefer(r#""tags":["zone:9"]"#)).await;
    assert_eq!(nowhere.description, "no replacement peer connected");
    assert!(server.shard.asked().is_empty());

    server.ok::<Success>(kind, stream, "").await;
    server.ok::<Success>(kind, stream, &prefer(r#""preferred":"n2""#)).await;
    server.ok::<Success>(kind, stream, &prefer(r#""cluster":"C1","tags":["zone:3"]"#)).await;
    let kind = ReplyKind::ConsumerLeaderStepDown;
    server.ok::<Success>(kind, consumer, &prefer(r#""tags":["!zone:2"]"#)).await;
    let chosen = server.shard.asked().into_iter().map(|request| match request {
        Request::Stream(StreamRequest::StepDown { preferred }) => preferred.map(|s| s.0),
        Request::Consumer(flotilla_host::ConsumerRequest::StepDown { preferred }) => {
            preferred.map(|s| s.0)
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(chosen.collect::<Vec<_>>(), [None, Some(2), Some(3), Some(3)]);
}

#[tokio::test]
async fn replicas_leave_a_server_by_its_name_or_its_id() {
    let server = with_stream().await;
    let (kind, subject) = (ReplyKind::StreamPeerRemove, "STREAM.PEER.REMOVE.S");
    for peer in ["n3", "BXScrY9i"] {
        server.ok::<Success>(kind, subject, &format!(r#"{{"peer":"{peer}"}}"#)).await;
    }
    let store = flotilla_raft::StoreId(3);
    let (account, stream) = ("$G".to_owned(), "S".to_owned());
    let removed = Request::Meta(MetaRequest::RemovePeer { account, stream, store });
    assert_eq!(server.shard.asked(), [removed.clone(), removed]);
    let refused = server.refused(kind, subject, r#"{"peer":"n9"}"#).await;
    assert_eq!(refused.err_code, 10040);
}

#[tokio::test]
async fn only_the_system_account_removes_servers() {
    let mut server = with_stream().await;
    let body = r#"{"peer":"n3"}"#;
    // Nobody answers; the request after it is.
    server.publish("$JS.API.SERVER.REMOVE", Some("_R.1"), "", body);
    server.ok::<AccountInfo>(ReplyKind::AccountInfo, "INFO", "").await;
    let members = |server: &Fixture| {
        server.directory.with(|meta| meta.servers().filter(|s| s.is_member()).count())
    };
    assert_eq!(members(&server), Some(3));

    server.account = server.router.account("$SYS");
    server.api.enable(&server.account, AccountLimits::default());
    let kind = ReplyKind::ServerRemove;
    let unknown = server.refused(kind, "SERVER.REMOVE", r#"{"peer":"n9"}"#).await;
    assert_eq!(unknown.err_code, 10044);
    server.ok::<Success>(kind, "SERVER.REMOVE", body).await;
    assert_eq!(members(&server), Some(2));
    let kind = ReplyKind::MetaLeaderStepDown;
    server.ok::<Success>(kind, "META.LEADER.STEPDOWN", r#"{"placement":{"preferred":"n2"}}"#).await;
    let asked = MetaRequest::StepDown { preferred: Some(THERE) };
    assert_eq!(server.shard.asked(), [Request::Meta(asked)]);
}

#[tokio::test]
async fn during_an_election_a_member_says_what_it_has() {
    let server = with_stream().await;
    server.lead(server.group("S", None), None);
    let info: StreamDescription = server.ok(ReplyKind::StreamInfo, "STREAM.INFO.S", "").await;
    let cluster = info.info.cluster.unwrap();
    assert_eq!((cluster.leader, cluster.replicas.len()), (None, 3));
}

#[tokio::test]
async fn without_a_meta_leader_what_is_known_is_described_and_nothing_is_denied() {
    let server = with_stream().await;
    server.lead(GroupId::META, None);
    server.ok::<StreamDescription>(ReplyKind::StreamInfo, "STREAM.INFO.S", "").await;
    let unknown = server.refused(ReplyKind::StreamInfo, "STREAM.INFO.T", "").await;
    assert_eq!(unknown.err_code, 10008, "it may have been created elsewhere");
    let names = server.refused(ReplyKind::StreamNames, "STREAM.NAMES", "").await;
    assert_eq!(names.err_code, 10008);
    server.leaders.claim(HERE, Claim { group: GroupId::META, term: 4, leads: true });
    let unknown = server.refused(ReplyKind::StreamInfo, "STREAM.INFO.T", "").await;
    assert_eq!(unknown.err_code, 10059);
}

#[tokio::test]
async fn beyond_the_limit_requests_are_refused_at_once() {
    let server = with_stream().await;
    // Nothing is carried out before this task waits for something.
    for _ in 0..QUEUED {
        server.publish("$JS.API.STREAM.NAMES", None, "", "");
    }
    let refused = server.refused(ReplyKind::StreamNames, "STREAM.NAMES", "").await;
    assert_eq!((refused.code, refused.err_code), (503, 10008));
}

#[tokio::test]
async fn an_account_without_jetstream_is_not_answered() {
    let server = with_stream().await;
    assert!(server.account.has_interest("$JS.API.INFO"));
    server.api.keep_only(&BTreeSet::from(["$SYS"]));
    assert!(!server.account.has_interest("$JS.API.INFO"));
    assert!(!server.account.has_interest("$JS.ACK.S.C.1.2.3.4.5"));
}
