//! What is known of a process that has ended.

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream};

use flotilla_routes::{Event, PeerId};

use crate::cluster::{Node, options};

fn cut(node: &mut Node, of: PeerId) {
    node.wait("LifelineCut", |event| match event {
        Event::LifelineCut { peer } if *peer == of => Some(()),
        _ => None,
    });
}

#[test]
fn a_lifeline_is_kept_until_the_process_ends_and_refused_from_then_on() {
    let node = Node::start(options("a", &[]));
    let at = node.addr();
    let mut line = TcpStream::connect(at).unwrap();
    line.set_nonblocking(true).unwrap();
    let nothing = line.read(&mut [0]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    node.kill();
    line.set_nonblocking(false).unwrap();
    assert!(matches!(line.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(TcpStream::connect(at).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// The test takes the place of the second server's lifelines, whose TCP port it has taken before.
#[test]
fn a_lifeline_that_can_be_had_anew_was_not_cut() {
    let lifelines = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut a = Node::start(options("a", &[]));
    let mut of_b = options("b", &[a.addr()]);
    of_b.listen = lifelines.local_addr().unwrap();
    let b = Node::start(of_b);
    let of_b = a.peer_up("b").peer;
    // Each is dialled again when it is closed, and nothing else is said before the beat.
    for _ in 0..3 {
        drop(lifelines.accept().unwrap());
    }
    let last = lifelines.accept().unwrap();
    assert_eq!(b.handle.beat(&vec![1].into()), 1);
    a.beat(of_b);
    assert_eq!(a.passed().count(), 0);
    drop((last, lifelines));
    cut(&mut a, of_b);
    // It lives all the same, which is for others to judge.
    assert_eq!(b.handle.beat(&vec![2].into()), 1);
    assert_eq!(a.beat(of_b), vec![2]);
}
