//! Every limit, and what happens at it.

use std::time::Duration;

use crate::wire::{WireClient, play, start, start_with};
use bytes::Bytes;
use flotilla_server_core::{ClientOptions, RouterHandle};
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn one_client_too_many_is_told_so() {
    let listener = start(ClientOptions { max_connections: 1, ..ClientOptions::default() }).await;
    let addr = listener.local_addr();
    let mut first = WireClient::ready(addr).await;
    play(addr, "B< -ERR 'maximum connections exceeded'\nB< EOF").await;
    first.settle().await;
    assert_eq!(listener.connection_count(), 1);
}

#[tokio::test]
async fn one_subscription_too_many_is_refused() {
    let options = ClientOptions { max_subscriptions: Some(1), ..ClientOptions::default() };
    let listener = start(options).await;
    play(
        listener.local_addr(),
        r#"A> CONNECT {}
           A< +OK
           A> SUB a 1
           A< +OK
           A> SUB b 2
           A< -ERR 'maximum subscriptions exceeded'
           A> UNSUB 1
           A< +OK
           A> SUB b 2
           A< +OK"#,
    )
    .await;
}

#[tokio::test]
async fn configured_sizes_are_told_and_kept() {
    let options =
        ClientOptions { max_payload: 10, max_control_line: 20, ..ClientOptions::default() };
    let listener = start(options).await;
    let addr = listener.local_addr();
    assert_eq!(WireClient::connect(addr).await.info.max_payload, 10);
    play(
        addr,
        "A> PUB a 10
         A> 0123456789
         A< +OK
         A> PUB a 11
         A< -ERR 'Maximum Payload Violation'
         A< EOF
         B> SUB aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa 1
         B< -ERR 'maximum control line exceeded'
         B< EOF",
    )
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_and_others_are_not() {
    let router = RouterHandle::new();
    let options = ClientOptions {
        max_pending: 1 << 20,
        no_fast_producer_stall: true,
        ..ClientOptions::default()
    };
    let listener = start_with(options, router.clone()).await;
    let addr = listener.local_addr();
    let mut slow = WireClient::ready(addr).await;
    slow.send("SUB flood 1").await;
    slow.settle().await;
    let mut other = WireClient::ready(addr).await;

    let account = router.account("$G");
    let payload = Bytes::from(vec![b'x'; 64 * 1024]);
    let flooded = (0..100_000).find(|_| {
        router.publish_internal(&account, "flood", None, None, &payload);
        router.traffic().snapshot().slow_consumers == 1
    });
    assert!(flooded.is_some(), "what waits for a client is bounded");
    // The connection ends, somewhere in the flood.
    let mut rest = Vec::new();
    let _ = slow.socket.read_to_end(&mut rest).await;
    other.settle().await;
    assert_eq!(listener.connection_count(), 1);
    assert!(!account.has_interest("flood"));
}

#[tokio::test]
async fn a_write_that_makes_no_progress_is_given_up() {
    let router = RouterHandle::new();
    let write_deadline = Duration::from_millis(50);
    let options = ClientOptions { write_deadline, ..ClientOptions::default() };
    let listener = start_with(options, router.clone()).await;
    let mut slow = WireClient::ready(listener.local_addr()).await;
    slow.send("SUB flood 1").await;
    slow.settle().await;
    let account = router.account("$G");
    let payload = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..32 {
        router.publish_internal(&account, "flood", None, None, &payload);
    }
    let mut rest = Vec::new();
    // Nothing is read until the server has given up.
    while listener.connection_count() > 0 {
        tokio::task::yield_now().await;
    }
    let _ = slow.socket.read_to_end(&mut rest).await;
    assert_eq!(router.traffic().snapshot().slow_consumers, 1);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_stale() {
    let router = RouterHandle::new();
    let ping_interval = Duration::from_millis(10);
    let options = ClientOptions { ping_interval, ..ClientOptions::default() };
    let listener = start_with(options, router.clone()).await;
    let addr = listener.local_addr();
    play(addr, "A< PING\nA< PING\nA< -ERR 'Stale Connection'\nA< EOF").await;
    assert_eq!(router.traffic().snapshot().stale_connections, 1);
}

#[tokio::test]
async fn a_client_that_answers_stays_and_its_distance_is_known() {
    let ping_interval = Duration::from_millis(100);
    let listener = start(ClientOptions { ping_interval, ..ClientOptions::default() }).await;
    let mut alive = WireClient::connect(listener.local_addr()).await;
    // The second question proves that the first answer was taken.
    for _ in 0..2 {
        assert_eq!(alive.line().await, "PING");
        alive.send("PONG").await;
    }
    assert!(listener.connections()[0].round_trip.is_some());
}
