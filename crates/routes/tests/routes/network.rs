//! Routes over a network that loses, delays, doubles, reorders and parts.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use flotilla_relay::{Change, Pairs, Relay, Server};
use flotilla_routes::{DownReason, Event, Lane, RouteUrl};

use crate::cluster::{Node, options};

/// Servers behind a relay; each has the first as its seed.
fn start(names: &[&str], adjust: impl Fn(&mut flotilla_routes::Options)) -> (Relay, Vec<Node>) {
    // Their addresses must be known to the relay before they start.
    let sockets: Vec<_> = names.iter().map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let front = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = |(name, socket): (&&str, &UdpSocket)| {
        let address = socket.local_addr().unwrap();
        Server { name: (*name).to_owned(), address, front }
    };
    let servers: Vec<_> = names.iter().zip(&sockets).map(server).collect();
    drop(sockets);
    let relay = Relay::start(1, servers.clone()).unwrap();
    let url = |name: &str| {
        let front = relay.front(name).unwrap();
        RouteUrl { host: front.ip().to_string(), port: front.port() }
    };
    let node = |server: &Server| {
        let mut options = options(&server.name, &[]);
        options.listen = server.address;
        let own = url(&server.name);
        options.advertise = Some((own.host, own.port));
        options.seeds = vec![url(names[0])];
        adjust(&mut options);
        Node::start(options)
    };
    let nodes = servers.iter().map(node).collect();
    (relay, nodes)
}

#[test]
fn a_mesh_parts_and_heals() {
    let names = ["n1", "n2", "n3"];
    let (relay, mut nodes) = start(&names, |options| {
        options.timing.idle = Duration::from_secs(1);
        options.timing.keep_alive = Duration::from_millis(200);
    });
    let mut linked = vec![vec![None; 3]; 3];
    for (at, node) in nodes.iter_mut().enumerate() {
        for other in (0..3).filter(|other| *other != at) {
            linked[at][other] = Some(node.peer_up(names[other]).peer);
        }
    }
    // Not the seed, so that only what gossip told can bring them together again.
    relay.cut("n2", "n3").unwrap();
    for (at, other) in [(1, 2), (2, 1)] {
        let reason = nodes[at].peer_down(linked[at][other].unwrap());
        assert!(matches!(reason, DownReason::Lost(_)), "{reason}");
    }
    assert_eq!(nodes[0].handle.peers().len(), 2, "the others stay linked");
    relay.heal();
    for (at, other) in [(1, 2), (2, 1)] {
        assert_eq!(nodes[at].peer_up(names[other]).peer, linked[at][other].unwrap());
    }
}

#[test]
fn frames_survive_a_bad_network() {
    const COUNT: usize = 500;
    let (relay, mut nodes) = start(&["n1", "n2"], |options| {
        options.timing.idle = Duration::from_secs(60);
    });
    let [a, b] = &mut nodes[..] else { panic!("two servers") };
    let (of_b, of_a) = (a.peer_up("n2").peer, b.peer_up("n1").peer);
    for change in [
        Change::Loss(0.05),
        Change::Duplicate(0.05),
        Change::Reorder(0.05),
        Change::Delay(Duration::from_millis(1)),
        Change::Jitter(Duration::from_millis(2)),
    ] {
        relay.change(&Pairs::all(), change).unwrap();
    }
    let frame = |number: usize| (number as u64).to_le_bytes().repeat(1 + number % 300);
    for lane in [Lane::Raft(0), Lane::Bulk(1)] {
        for number in 0..COUNT {
            a.handle.send(of_b, lane, frame(number).into()).unwrap();
        }
    }
    for lane in [Lane::Raft(0), Lane::Bulk(1)] {
        let frames = b.frames(of_a, lane, COUNT);
        assert!(frames.into_iter().eq((0..COUNT).map(frame)), "on {lane}");
    }
    assert!(
        relay.traffic("n1", "n2").unwrap().lost > 0 || relay.traffic("n2", "n1").unwrap().lost > 0
    );
}

/// Four transfers as large as they may be are under way; an append and a beat wait for none of them.
#[test]
fn appends_and_beats_overtake_catch_up() {
    const MEBIBYTES: usize = 15;
    let (relay, mut nodes) = start(&["n1", "n2"], |options| {
        options.timing.idle = Duration::from_secs(60);
    });
    let [a, b] = &mut nodes[..] else { panic!("two servers") };
    let (of_b, of_a) = (a.peer_up("n2").peer, b.peer_up("n1").peer);
    relay.change(&Pairs::all(), Change::Delay(Duration::from_millis(2))).unwrap();
    for transfer in 0..4 {
        for _ in 0..MEBIBYTES {
            a.handle.send(of_b, Lane::Bulk(transfer), vec![0; 1 << 20].into()).unwrap();
        }
    }
    a.handle.send(of_b, Lane::Raft(0), "append".into()).unwrap();
    assert_eq!(a.handle.beat(&"alive".into()), 1);
    assert_eq!(b.frames(of_a, Lane::Raft(0), 1), ["append"]);
    assert_eq!(b.beat(of_a), "alive");
    let bulk = b.passed().filter(|event| matches!(event, Event::Frames { .. })).count();
    assert!(bulk < 2 * MEBIBYTES, "{bulk} of {} mebibytes came first", 4 * MEBIBYTES);
}
