//! The whole of JetStream on one server, without sockets: from a publisher through a stream to a consumer, over a
//! real store.

mod disk;
mod server;

use flotilla_jsapi::consumer::ConsumerInfo;
use flotilla_jsapi::stream::{StreamCreated, StreamDescription, StreamNames};
use flotilla_jsapi::{ReplyKind, Success};

use server::Server;

const CONSUMER: &str =
    r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_pass_from_publishers_to_consumers_and_outlive_the_server() {
    let dir = tempfile::tempdir().expect("a directory");
    let server = Server::start(dir.path()).await;
    let body = r#"{"name":"S","subjects":["orders.>"]}"#;
    let created: StreamCreated = server.api(ReplyKind::StreamCreate, "STREAM.CREATE.S", body).await;
    assert_eq!(created.info.cluster.and_then(|c| c.leader).as_deref(), Some("S1"));
    for expected in 1..=3 {
        assert_eq!(server.store(&format!("orders.{expected}"), "body").await, expected);
    }
    let consumer: ConsumerInfo =
        server.api(ReplyKind::ConsumerCreate, "CONSUMER.CREATE.S.C", CONSUMER).await;
    assert_eq!(consumer.config.durable_name, "C");

    let mut inbox = server.listen("_INBOX.pull");
    server.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", "_INBOX.pull", r#"{"batch":5,"no_wait":true}"#);
    for seq in 1..=3 {
        let message = inbox.next().await;
        assert_eq!(
            (message.subject, &message.payload[..]),
            (format!("orders.{seq}"), &b"body"[..])
        );
        let ack = message.reply.expect("a place for the acknowledgement");
        assert!(server.request(&ack, "+ACK").await.is_empty());
    }
    assert_eq!(inbox.next().await.headers, "NATS/1.0 404 No Messages\r\n\r\n");
    let consumer: ConsumerInfo = server.api(ReplyKind::ConsumerInfo, "CONSUMER.INFO.S.C", "").await;
    assert_eq!((consumer.ack_floor.stream_seq, consumer.num_ack_pending), (3, 0));
    server.jetstream.stop();
    drop(server);

    let server = Server::start(dir.path()).await;
    let stream: StreamDescription = server.api(ReplyKind::StreamInfo, "STREAM.INFO.S", "").await;
    assert_eq!((stream.info.state.messages, stream.info.state.consumer_count), (3, 1));
    let consumer: ConsumerInfo = server.api(ReplyKind::ConsumerInfo, "CONSUMER.INFO.S.C", "").await;
    assert_eq!(consumer.ack_floor.stream_seq, 3);
    let done: Success = server.api(ReplyKind::StreamDelete, "STREAM.DELETE.S", "").await;
    assert_eq!(done, Success::DONE);
    let names: StreamNames = server.api(ReplyKind::StreamNames, "STREAM.NAMES", "").await;
    assert!(names.streams.is_empty());
    server.jetstream.stop();
}
