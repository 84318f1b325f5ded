//! Order and completeness under load.

use crate::wire::{QUIET, WireClient, start};
use flotilla_server_core::ClientOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MESSAGES: usize = 20_000;

async fn publish_numbers(mut socket: TcpStream, publisher: usize) {
    let mut bytes = QUIET.as_bytes().to_vec();
    bytes.extend_from_slice(b"\r\n");
    for number in 0..MESSAGES {
        let payload = format!("{publisher} {number}");
        bytes.extend_from_slice(
            format!("PUB n.{publisher} {}\r\n{payload}\r\n", payload.len()).as_bytes(),
        );
    }
    socket.write_all(&bytes).await.unwrap();
    socket.flush().await.unwrap();
    // The server may answer with its INFO at any time; the socket is kept until it has read everything.
    socket.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = socket.read_to_end(&mut rest).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_gets_every_message_of_a_publisher_in_order() {
    let listener = start(ClientOptions::default()).await;
    let addr = listener.local_addr();
    let mut subscribers = Vec::new();
    for _ in 0..2 {
        let mut subscriber = WireClient::ready(addr).await;
        subscriber.send("SUB n.* 1").await;
        subscriber.settle().await;
        subscribers.push(subscriber);
    }
    let mut publishers = Vec::new();
    for publisher in 0..2 {
        let socket = TcpStream::connect(addr).await.unwrap();
        publishers.push(tokio::spawn(publish_numbers(socket, publisher)));
    }
    let readers = subscribers.into_iter().map(|mut subscriber| {
        tokio::spawn(async move {
            let mut next = [0, 0];
            while next != [MESSAGES, MESSAGES] {
                assert!(subscriber.line().await.starts_with("MSG n."));
                let payload = subscriber.line().await;
                let (publisher, number) = payload.split_once(' ').unwrap();
                let expected = &mut next[publisher.parse::<usize>().unwrap()];
                assert_eq!(number.parse(), Ok(*expected));
                *expected += 1;
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}

#[tokio::test]
async fn a_pong_comes_after_everything_that_was_asked_before() {
    let listener = start(ClientOptions::default()).await;
    let addr = listener.local_addr();
    let mut client = WireClient::ready(addr).await;
    let mut other = WireClient::ready(addr).await;
    other.send("SUB a 9").await;
    other.settle().await;
    let burst = format!("SUB a 1\r\n{}PING", "PUB a 3\r\nabc\r\n".repeat(500));
    client.send(&burst).await;
    for _ in 0..500 {
        assert_eq!(client.line().await, "MSG a 1 3");
        assert_eq!(client.line().await, "abc");
    }
    assert_eq!(client.line().await, "PONG");
    for _ in 0..500 {
        assert_eq!(other.line().await, "MSG a 9 3");
        assert_eq!(other.line().await, "abc");
    }
}

#[tokio::test]
async fn the_largest_message_passes_however_it_is_cut() {
    let listener = start(ClientOptions::default()).await;
    let mut client = WireClient::ready(listener.local_addr()).await;
    client.send("SUB big 1").await;
    let payload: Vec<u8> = (0..1 << 20).map(|at| b'a' + (at % 26) as u8).collect();
    client.send_bytes(format!("PUB big {}\r\n", payload.len()).as_bytes()).await;
    let (head, tail) = payload.split_at(12_345);
    client.send_bytes(head).await;
    client.settle_nothing().await;
    client.send_bytes(tail).await;
    client.send_bytes(b"\r\n").await;
    assert_eq!(client.line().await, "MSG big 1 1048576");
    let mut received = vec![0; payload.len()];
    client.socket.read_exact(&mut received).await.unwrap();
    assert!(received == payload);
}

impl WireClient {
    /// Lets the server's tasks run, so that a cut in the bytes stays one.
    async fn settle_nothing(&mut self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}
