//! Which servers come together, and how they part.

use std::net::UdpSocket;
use std::time::Duration;

use crate::cluster::{Node, identity, options, pair};
use flotilla_routes::{Authorization, DownReason, Event, Lane, Refusal};

#[test]
fn one_seed_is_enough_for_a_full_mesh() {
    let seed = Node::start(options("n1", &[]));
    let at = [seed.addr()];
    let mut nodes = vec![seed];
    nodes.extend(["n2", "n3", "n4"].map(|name| Node::start(options(name, &at))));
    let names = ["n1", "n2", "n3", "n4"];
    for (node, own) in nodes.iter_mut().zip(names) {
        for other in names.into_iter().filter(|other| *other != own) {
            node.peer_up(other);
        }
        assert_eq!(node.handle.peers().len(), 3);
    }
}

/// All dial all, and themselves, at the same moment: each pair gets one link, and keeps it.
#[test]
fn mutual_dialing_does_not_flap() {
    let sockets: Vec<_> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let addrs: Vec<_> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
    drop(sockets);
    let names = ["n1", "n2", "n3"];
    let mut nodes: Vec<_> = names
        .into_iter()
        .zip(&addrs)
        .map(|(name, addr)| {
            let mut options = options(name, &addrs);
            options.listen = *addr;
            Node::start(options)
        })
        .collect();
    for (node, own) in nodes.iter_mut().zip(names) {
        for other in names.into_iter().filter(|other| *other != own) {
            node.peer_up(other);
        }
    }
    // Beats of everybody reach everybody, so whatever else was under way has been seen.
    for round in 0..20u8 {
        for node in &nodes {
            assert_eq!(node.handle.beat(&vec![round].into()), 2);
        }
        for node in &mut nodes {
            for peer in node.handle.peers() {
                node.beat(peer.peer);
            }
        }
    }
    for node in &nodes {
        let unexpected: Vec<_> = node.passed().collect();
        assert!(unexpected.is_empty(), "{unexpected:?}");
    }
}

#[test]
fn a_duplicate_server_name_is_refused_on_both_sides() {
    let mut seed = Node::start(options("n1", &[]));
    let mut first = Node::start(options("n2", &[seed.addr()]));
    seed.peer_up("n2");
    first.peer_up("n1");
    let mut second = options("n2", &[seed.addr()]);
    second.identity.server_id = "ANOTHER".to_owned();
    second.identity.boot_id = 2;
    let mut second = Node::start(second);
    assert_eq!(seed.refused(), Refusal::DuplicateName("n2".to_owned()));
    let Refusal::Remote(said) = second.refused() else { panic!("refused by the other side") };
    assert!(said.contains("duplicate server name"), "{said}");
    assert_eq!(seed.handle.peers().len(), 1, "the first one stays");
}

#[test]
fn a_name_equal_to_ones_own_is_refused() {
    let mut first = Node::start(options("n1", &[]));
    let mut second = options("n1", &[first.addr()]);
    second.identity.server_id = "ANOTHER".to_owned();
    let mut second = Node::start(second);
    assert_eq!(first.refused(), Refusal::DuplicateName("n1".to_owned()));
    assert!(matches!(second.refused(), Refusal::Remote(_)));
}

#[test]
fn another_cluster_is_refused() {
    let mut here = Node::start(options("n1", &[]));
    let mut there = options("n2", &[here.addr()]);
    there.identity.cluster_name = "other".to_owned();
    let mut there = Node::start(there);
    let names = Refusal::ClusterName { theirs: "other".to_owned(), ours: "test".to_owned() };
    assert_eq!(here.refused(), names);
    let Refusal::Remote(said) = there.refused() else { panic!("refused by the other side") };
    assert!(said.contains("cluster name from remote server conflicts"), "{said}");
}

#[test]
fn cluster_ids_spread_and_conflicts_part() {
    let (mut a, of_b, mut b, of_a) = pair();
    a.handle.set_cluster_id(1);
    let told = b.wait("PeerChanged", |event| match event {
        Event::PeerChanged(info) if info.peer == of_a => Some(info.identity.cluster_id),
        _ => None,
    });
    assert_eq!(told, Some(1));
    b.handle.set_cluster_id(2);
    for reason in [a.peer_down(of_b), b.peer_down(of_a)] {
        let text = reason.to_string();
        assert!(text.contains("cluster id from remote server conflicts"), "{text}");
    }
    assert!(matches!(a.refused(), Refusal::ClusterId { .. } | Refusal::Remote(_)));
}

#[test]
fn changes_of_identity_are_told_and_names_stay() {
    let (a, _, mut b, _) = pair();
    let change = a.handle.update_identity(|identity| {
        identity.server_name = "z".to_owned();
        identity.boot_id = 9;
        identity.jetstream = false;
        identity.client_urls = vec!["127.0.0.1:4222".to_owned()];
    });
    assert_eq!(change, Ok(()));
    let told = b.wait("PeerChanged", |event| match event {
        Event::PeerChanged(info) => Some(info.identity.clone()),
        _ => None,
    });
    assert_eq!((told.server_name.as_str(), told.boot_id, told.jetstream), ("a", 1, false));
    assert_eq!(told.client_urls, ["127.0.0.1:4222"]);
}

#[test]
fn leaving_in_order_is_seen_at_once() {
    let (mut a, of_b, mut b, _) = pair();
    b.shutdown();
    assert_eq!(a.peer_down(of_b), DownReason::Remote("server shutdown".to_owned()));
}

/// A full congestion window must not keep the goodbye from the peer.
#[test]
fn leaving_is_seen_under_load() {
    let mut receiver = options("a", &[]);
    receiver.timing.idle = Duration::from_secs(600);
    let mut a = Node::start(receiver);
    let mut sender = options("b", &[a.addr()]);
    sender.timing.idle = Duration::from_secs(600);
    let mut b = Node::start(sender);
    let (of_b, of_a) = (a.peer_up("b").peer, b.peer_up("a").peer);
    for _ in 0..60 {
        b.handle.send(of_a, Lane::Raft(0), vec![0; 1 << 20].into()).unwrap();
    }
    b.shutdown();
    assert_eq!(a.peer_down(of_b), DownReason::Remote("server shutdown".to_owned()));
}

#[test]
fn a_killed_server_is_down_and_comes_back() {
    let mut a = Node::start(options("a", &[]));
    let seeds = [a.addr()];
    let b = Node::start(options("b", &seeds));
    let up = a.peer_up("b");
    let addr = b.addr();
    b.kill();
    assert!(matches!(a.peer_down(up.peer), DownReason::Lost(_)));
    assert!(a.handle.peers().is_empty());
    let mut again = options("b", &seeds);
    (again.listen, again.identity) = (addr, identity("b", 2));
    let mut b = Node::start(again);
    b.peer_up("a");
    assert_eq!(a.peer_up("b").peer, up.peer, "the same server keeps its id");
}

/// A server that returns before anybody missed it takes the place of its former self.
#[test]
fn a_new_boot_replaces_the_old_link() {
    let mut seed = options("a", &[]);
    seed.timing.idle = Duration::from_secs(600);
    let mut a = Node::start(seed);
    let seeds = [a.addr()];
    let mut first = options("b", &seeds);
    first.timing.idle = Duration::from_secs(600);
    let b = Node::start(first.clone());
    let up = a.peer_up("b");
    b.kill();
    let mut again = first;
    again.identity.boot_id = 2;
    let _b = Node::start(again);
    assert_eq!(a.peer_down(up.peer), DownReason::Replaced);
    assert_eq!(a.peer_up("b").identity.boot_id, 2);
}

#[test]
fn a_disconnected_peer_comes_back() {
    let (mut a, of_b, mut b, of_a) = pair();
    a.handle.disconnect(of_b, "slow consumer");
    assert_eq!(a.peer_down(of_b), DownReason::Disconnected("slow consumer".to_owned()));
    let said = b.peer_down(of_a).to_string();
    assert!(said.contains("slow consumer"), "{said}");
    a.peer_up("b");
    b.peer_up("a");
}

#[test]
fn credentials_are_proven() {
    let with = |name, pass: Option<&str>, seeds: &[_]| {
        let mut options = options(name, seeds);
        options.authorization =
            pass.map(|pass| Authorization { user: "u".to_owned(), pass: pass.to_owned() });
        Node::start(options)
    };
    let mut a = with("a", Some("secret"), &[]);
    let seeds = [a.addr()];
    let _good = with("b", Some("secret"), &seeds);
    a.peer_up("b");
    for (name, pass) in [("c", Some("wrong")), ("d", None)] {
        let mut bad = with(name, pass, &seeds);
        assert_eq!(a.refused(), Refusal::Authorization);
        assert_eq!(bad.refused(), Refusal::Remote("authorization violation".to_owned()));
    }
    assert_eq!(a.handle.peers().len(), 1);
}
