//! What a server does when its disk is full, or fails.

use flotilla_disk::{Failure, MemDisk, Operation};
use flotilla_host::Room;
use flotilla_jetstream::{Opening, Stage, open_on};
use flotilla_jsapi::ReplyKind;
use flotilla_jsapi::publish::PubAckReply;
use flotilla_jsapi::stream::{StreamCreated, StreamDescription};
use flotilla_raft::GroupId;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::server::{PATIENCE, Server, options};

/// Looks until it is so.
async fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "waited for {what}");
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn with_a_stream(disk: &MemDisk) -> Server {
    let server = Server::start_on(disk).await;
    let body = r#"{"name":"S","subjects":["orders.>"]}"#;
    let _: StreamCreated = server.api(ReplyKind::StreamCreate, "STREAM.CREATE.S", body).await;
    assert_eq!(server.store("orders.1", "body").await, 1);
    server
}

async fn refusal(server: &Server, subject: &str) -> Option<u16> {
    let answer = server.request(subject, "body").await;
    let ack: PubAckReply = serde_json::from_slice(&answer).expect("an acknowledgement");
    ack.error.map(|error| error.err_code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_said_how_many_groups_are_open() {
    let disk = MemDisk::new();
    let server = with_a_stream(&disk).await;
    server.jetstream.stop();
    drop(server);
    let opening = Opening::default();
    assert_eq!(opening.stage(), Stage::Log);
    let options = options(std::path::Path::new("/store"));
    let opened = open_on(std::sync::Arc::new(disk), options, &opening);
    assert!(opened.is_ok());
    assert_eq!(opening.stage().to_string(), "2 of 2 groups are open", "meta and a stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_says_so_and_is_over_by_itself() {
    let disk = MemDisk::new();
    let server = with_a_stream(&disk).await;
    let system = server.router.account("$SYS");
    let mut advisories = server.listen_in(&system, "$JS.EVENT.ADVISORY.>");
    disk.set_capacity(0);
    eventually("a word about the disk", || server.jetstream.room() != Room::Enough).await;
    let deadline = Instant::now() + PATIENCE;
    // What came before the shards knew is stored: there is a place for it.
    while refusal(&server, "orders.2").await != Some(10023) {
        assert!(Instant::now() < deadline);
    }
    let why = server.jetstream.lacks_room().expect("a complaint");
    assert!(why.contains("/store") && why.contains("0 bytes are free"), "{why}");
    assert!(server.jetstream.is_lively() && server.jetstream.failure().is_none());
    let create = server.request("$JS.API.STREAM.CREATE.T", r#"{"name":"T"}"#).await;
    let create: Value = serde_json::from_slice(&create).expect("an answer");
    assert_eq!(create["error"]["err_code"], 10047, "{create}");
    let stream: StreamDescription = server.api(ReplyKind::StreamInfo, "STREAM.INFO.S", "").await;
    let held = stream.info.state.messages;

    // Two threads publish them: either may come first.
    let mut both = [advisories.next().await, advisories.next().await];
    both.sort_by(|a, b| a.subject.cmp(&b.subject));
    let [full, reference] = both;
    assert_eq!(full.subject, "$JS.EVENT.ADVISORY.FLOTILLA.DISK_FULL");
    assert_eq!(reference.subject, "$JS.EVENT.ADVISORY.SERVER.OUT_OF_STORAGE");
    let body: Value = serde_json::from_slice(&full.payload).expect("an advisory");
    assert_eq!(body["type"], "io.flotilla.jetstream.advisory.v1.disk_full");
    assert_eq!((&body["server"], &body["server_id"]), (&"S1".into(), &"NS1".into()), "{body}");
    assert_eq!((&body["store_dir"], &body["free"]), (&"/store".into(), &0.into()), "{body}");

    disk.set_capacity(u64::MAX);
    assert_eq!(advisories.next().await.subject, "$JS.EVENT.ADVISORY.FLOTILLA.DISK_ROOM");
    let deadline = Instant::now() + PATIENCE;
    while refusal(&server, "orders.3").await.is_some() {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(server.store("orders.4", "body").await, held + 2, "nothing was stored meanwhile");
    assert!(server.jetstream.lacks_room().is_none());
    server.jetstream.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_ends_jetstream_on_the_server() {
    let disk = MemDisk::new();
    let server = with_a_stream(&disk).await;
    let store = server.jetstream.info().store;
    let led = |server: &Server| server.jetstream.leaders().of(GroupId::META) == Some(store);
    assert!(led(&server) && server.jetstream.is_lively());
    // The making of a spare may meet one of them, which ends nothing.
    disk.fail(Operation::Sync, 1, Failure::Io);
    disk.fail(Operation::Sync, 2, Failure::Io);
    let deadline = Instant::now() + PATIENCE;
    let mut stored = 1;
    while server.jetstream.failure().is_none() && Instant::now() < deadline {
        let mut inbox = server.listen("_INBOX.late");
        server.publish("orders.2", "_INBOX.late", "body");
        let soon = std::time::Duration::from_millis(200);
        if tokio::time::timeout(soon, inbox.next()).await.is_ok() {
            stored += 1;
        }
    }
    let failure = server.jetstream.failure().expect("it has ended");
    assert!(failure.contains("input/output error"), "{failure}");
    assert!(!server.jetstream.is_lively(), "it beats");
    eventually("nothing to be led here", || !led(&server)).await;
    assert!(server.jetstream.log_ended().is_some());
    server.jetstream.stop();
    drop(server);

    // What was acknowledged is there; the disk is well again, and only now that counts.
    disk.power_loss(1);
    disk.forget_faults();
    let server = Server::start_on(&disk).await;
    let stream: StreamDescription = server.api(ReplyKind::StreamInfo, "STREAM.INFO.S", "").await;
    assert!(stream.info.state.messages >= stored, "{} of {stored}", stream.info.state.messages);
    server.jetstream.stop();
}
