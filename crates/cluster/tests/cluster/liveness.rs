//! Who lives.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flotilla_host::{Input, Room};
use flotilla_jetstream::Claim;
use flotilla_raft::{GroupId, StoreId};

use crate::node::{Node, Setup, eventually};

fn heard(node: &Node, store: u64, boot: u64) {
    let wanted = (StoreId(store), boot);
    eventually("a sign of life", || {
        node.fake().took(|i| matches!(i, Input::Heard { store, boot } if (*store, *boot) == wanted))
    });
}

fn died(node: &Node, store: u64) {
    eventually("a death", || {
        node.fake().took(|i| matches!(i, Input::Died(died) if *died == StoreId(store)))
    });
}

fn is_alive(node: &Node, name: &str) -> bool {
    node.handle.peers().iter().any(|peer| peer.name == name && peer.alive)
}

#[test]
fn a_killed_server_is_dead_before_its_link_is_lost() {
    let mut nodes = Node::stores(&["a", "b"], 9);
    heard(&nodes[0], 2, 1);
    assert!(is_alive(&nodes[0], "b"));
    let killed = nodes.remove(1);
    let at = Instant::now();
    killed.kill();
    died(&nodes[0], 2);
    // The routes would need three seconds; seven beats are missing after less than one.
    assert!(at.elapsed() < Duration::from_secs(3));
    assert!(!is_alive(&nodes[0], "b"));

    let again = Setup { boot: 2, ..Setup::new("b", Some(&nodes[0])) }.with_store(2).start();
    heard(&nodes[0], 2, 2);
    assert!(is_alive(&nodes[0], "b"));
    drop(again);
}

#[test]
fn a_disk_without_room_is_heard_of_and_so_is_its_end() {
    let nodes = Node::stores(&["a", "b"], 9);
    heard(&nodes[0], 2, 1);
    for said in [Room::Short, Room::Out, Room::Enough] {
        *nodes[1].fake().room.lock().unwrap() = said;
        eventually("a word about the disk", || {
            let news = (StoreId(2), said);
            let is_it =
                |i: &Input| matches!(i, Input::Room { store, room } if (*store, *room) == news);
            nodes[0].fake().took(is_it)
        });
    }
}

#[test]
fn a_server_that_leaves_is_dead_soon() {
    let mut nodes = Node::stores(&["a", "b"], 9);
    heard(&nodes[0], 2, 1);
    nodes.remove(1).shutdown();
    eventually("the end of the link", || {
        nodes[0].fake().took(|input| matches!(input, Input::LinkReset(StoreId(2))))
    });
    died(&nodes[0], 2);
}

#[test]
fn a_server_that_hangs_is_dead_although_it_is_linked_and_is_asked_what_it_leads_when_it_is_back() {
    let nodes = Node::stores(&["a", "b"], 9);
    heard(&nodes[0], 2, 1);
    let claim = Claim { group: GroupId(7), term: 3, leads: true };
    nodes[1].leaders.claim(StoreId(2), claim);
    flotilla_jetstream::Remote::claims(&nodes[1].handle, &[claim]);
    eventually("the claim", || nodes[0].leaders.of(GroupId(7)) == Some(StoreId(2)));

    nodes[1].fake().is_well.store(false, Ordering::Relaxed);
    died(&nodes[0], 2);
    assert_eq!(nodes[0].leaders.of(GroupId(7)), None);
    assert!(nodes[0].handle.peers()[0].linked);

    nodes[1].fake().is_well.store(true, Ordering::Relaxed);
    heard(&nodes[0], 2, 1);
    eventually("the claim again", || nodes[0].leaders.of(GroupId(7)) == Some(StoreId(2)));
}
