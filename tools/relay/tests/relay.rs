//! Datagrams through a running relay.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use flotilla_relay::{Change, Pairs, Relay, Server, UnknownServer};

const DEADLINE: Duration = Duration::from_secs(10);

fn bind() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Servers a and b, and a relay between them.
fn pair() -> (UdpSocket, UdpSocket, Relay) {
    let (a, at_a) = bind();
    let (b, at_b) = bind();
    let front = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = |name: &str, address| Server { name: name.to_owned(), address, front };
    let relay = Relay::start(1, vec![server("a", at_a), server("b", at_b)]).unwrap();
    (a, b, relay)
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = [0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    (buffer[..length].to_vec(), from)
}

#[test]
fn replies_come_from_the_front() {
    let (a, b, relay) = pair();
    let front = relay.front("b").unwrap();
    a.send_to(b"question", front).unwrap();
    let (question, flow) = receive(&b);
    assert_eq!(question, b"question");
    b.send_to(&[7; 60_000], flow).unwrap();
    let (answer, from) = receive(&a);
    assert_eq!((answer.len(), from), (60_000, front));
    assert_eq!(relay.traffic("a", "b").unwrap().delivered, 1);
    assert_eq!(relay.traffic("b", "a").unwrap().delivered, 1);
}

#[test]
fn a_cut_has_a_direction_and_an_end() {
    let (a, b, relay) = pair();
    let front = relay.front("b").unwrap();
    a.send_to(b"1", front).unwrap();
    let (_, flow) = receive(&b);
    relay.change(&Pairs::one_way("a", "b"), Change::Cut).unwrap();
    a.send_to(b"2", front).unwrap();
    b.send_to(b"other way", flow).unwrap();
    assert_eq!(receive(&a).0, b"other way");
    while relay.traffic("a", "b").unwrap().lost == 0 {
        std::thread::yield_now();
    }
    relay.heal();
    a.send_to(b"3", front).unwrap();
    assert_eq!(receive(&b).0, b"3", "the second was lost");
}

#[test]
fn delayed_datagrams_keep_their_order_unless_reordered() {
    let (a, b, relay) = pair();
    let front = relay.front("b").unwrap();
    relay.change(&Pairs::all(), Change::Delay(Duration::from_millis(5))).unwrap();
    for number in 0..20 {
        a.send_to(&[number], front).unwrap();
    }
    let seen: Vec<u8> = (0..20).map(|_| receive(&b).0[0]).collect();
    assert!(seen.is_sorted(), "{seen:?}");
    relay.change(&Pairs::between("a", "b"), Change::Reorder(0.5)).unwrap();
    for number in 0..20 {
        a.send_to(&[number], front).unwrap();
    }
    let mut seen: Vec<u8> = (0..20).map(|_| receive(&b).0[0]).collect();
    assert!(!seen.is_sorted(), "{seen:?}");
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..20), "each arrives");
}

#[test]
fn a_cut_catches_what_is_under_way() {
    let (a, b, relay) = pair();
    let front = relay.front("b").unwrap();
    relay.change(&Pairs::all(), Change::Delay(Duration::from_millis(200))).unwrap();
    a.send_to(b"under way", front).unwrap();
    while relay.traffic("a", "b").unwrap().sent == 0 {
        std::thread::yield_now();
    }
    relay.cut("a", "b").unwrap();
    while relay.traffic("a", "b").unwrap().lost == 0 {
        std::thread::yield_now();
    }
    relay.heal();
    a.send_to(b"later", front).unwrap();
    assert_eq!(receive(&b).0, b"later");
}

#[test]
fn strangers_are_outside() {
    let (_a, b, relay) = pair();
    let (stranger, _) = bind();
    stranger.send_to(b"hello", relay.front("b").unwrap()).unwrap();
    receive(&b);
    assert_eq!(relay.traffic("outside", "b").unwrap().delivered, 1);
    assert_eq!(relay.isolate("c"), Err(UnknownServer("c".to_owned())));
    assert!(relay.describe().starts_with("outside>b "));
}
