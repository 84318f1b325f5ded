//! What stores tell each other.

use bytes::Bytes;
use flotilla_host::Input;
use flotilla_jetstream::{Claim, Remote};
use flotilla_raft::{GroupId, ReplicaId, StoreId};

use crate::node::{Node, Setup, eventually};

#[test]
fn three_stores_found_one_cluster_and_a_fourth_joins_it() {
    let nodes = Node::stores(&["a", "b", "c"], 3);
    let replica = |node: &Node| node.fake().joins.lock().unwrap().last().map(|join| join.replica);
    let entered = |node: &Node| node.fake().file.lock().unwrap().as_ref() == [2];
    eventually("all entered", || nodes.iter().all(entered));
    let mut replicas: Vec<_> = nodes.iter().filter_map(replica).collect();
    replicas.sort_unstable();
    assert_eq!(replicas, [1, 2, 3].map(ReplicaId));
    let cluster = nodes[0].handle.routes().identity().cluster_id.unwrap();
    let joins: Vec<_> = nodes.iter().flat_map(|n| n.fake().joins.lock().unwrap().clone()).collect();
    assert!(joins.iter().all(|join| join.cluster == cluster));
    assert!(joins.iter().all(|join| join.founding == joins[0].founding));

    let late = Setup { expected: 4, ..Setup::new("d", Some(&nodes[1])) }.with_store(4).start();
    eventually("it entered", || entered(&late));
    assert_eq!(replica(&late), Some(ReplicaId(4)));
    assert_eq!(late.handle.routes().identity().cluster_id, Some(cluster));
}

#[test]
fn bundles_arrive_in_order_and_whole() {
    let nodes = Node::stores(&["a", "b"], 9);
    eventually("the link is told", || {
        nodes[0].fake().took(|input| matches!(input, Input::LinkReset(StoreId(2))))
    });
    let parts = |n: u8| vec![Bytes::from(vec![n; 10]), Bytes::from(vec![n; 100_000])];
    for n in 0..20 {
        assert!(nodes[0].handle.bundle(StoreId(2), 3, parts(n), false));
    }
    nodes[0].handle.bundle(StoreId(2), 3, vec![Bytes::from_static(b"piece")], true);
    for n in 0..20 {
        eventually("a bundle", || {
            nodes[1].fake().took(|input| match input {
                Input::Bundle { from, frame } => {
                    *from == StoreId(1) && frame.len() == 100_010 && frame.iter().all(|b| *b == n)
                }
                _ => false,
            })
        });
    }
    // Pieces have a lane of their own: this one may have come before, and been passed over.
    nodes[0].handle.bundle(StoreId(2), 3, vec![Bytes::from_static(b"piece")], true);
    let is_piece = |input: &Input| matches!(input, Input::Bundle { frame, .. } if frame == "piece");
    eventually("a piece", || nodes[1].fake().took(is_piece));
    assert_eq!(nodes[0].handle.refused_bundles(), 0);
}

#[test]
fn claims_reach_those_that_are_there_and_those_that_come() {
    let nodes = Node::stores(&["a", "b"], 9);
    let lead = |group, term, leads| {
        let claim = Claim { group: GroupId(group), term, leads };
        nodes[0].leaders.claim(StoreId(1), claim);
        nodes[0].handle.claims(&[claim]);
    };
    lead(7, 1, true);
    lead(8, 1, true);
    lead(8, 1, false);
    lead(9, 1, true);
    eventually("the last claim", || nodes[1].leaders.of(GroupId(9)) == Some(StoreId(1)));
    assert_eq!(nodes[1].leaders.of(GroupId(7)), Some(StoreId(1)));
    assert_eq!(nodes[1].leaders.of(GroupId(8)), None);

    let late = Setup::new("c", Some(&nodes[1])).with_store(3).start();
    eventually("the list", || late.leaders.of(GroupId(9)) == Some(StoreId(1)));
    assert_eq!(late.leaders.of(GroupId(7)), Some(StoreId(1)));
}

#[test]
fn what_is_for_a_consumers_leader_passes_by_the_router() {
    let nodes = Node::stores(&["a", "b"], 9);
    let listens = nodes[1].subscribe("$JS.ACK.>", None);
    let payload = Bytes::from_static(b"+ACK");
    eventually("a link that carries it", || {
        nodes[0].handle.forward(StoreId(2), "$G", "$JS.ACK.s.c", Some("r"), None, &payload)
    });
    let forwarded = &nodes[1].fake().forwarded;
    eventually("it arrives", || !forwarded.lock().unwrap().is_empty());
    let expected = format!("$G $JS.ACK.s.c {:?} None {payload:?}", Some("r"));
    assert_eq!(forwarded.lock().unwrap()[0], expected);
    assert!(listens.so_far().is_empty());
    assert!(!nodes[0].handle.forward(StoreId(3), "$G", "a", None, None, &payload), "no such store");
}

#[test]
fn a_copied_store_is_refused() {
    let first = Setup::new("a", None).with_store(1).start();
    let copy = Setup::new("b", Some(&first)).with_store(1).start();
    let third = Setup::new("c", Some(&first)).with_store(3).start();
    eventually("the third", || third.handle.peers().iter().any(|p| p.name == "a" && p.linked));
    let heard = |input: &Input| matches!(input, Input::Heard { store: StoreId(1), .. });
    assert!(!first.fake().took(heard) && !copy.fake().took(heard));
}
