//! Disks that fill up: who refuses what, who goes on, and how it ends.

use flotilla_host::{Answer, Input, MetaRequest, Request, Room, StreamRequest};
use flotilla_raft::{GroupId, StoreId};

use super::world::{World, stream};
use super::{check, cluster, create_stream, info, publish};

/// Tells everybody how much room there is on a disk: its own shards as the log would, the others as beats would.
fn tell(world: &mut World, store: StoreId, room: Room) {
    for to in world.stores() {
        world.give(to, Input::Room { store, room });
    }
}

/// The errors that publishers got.
fn refusals(world: &World) -> Vec<u64> {
    let acks = world.published.iter().filter(|p| p.to.starts_with(b"ack."));
    let ack = |payload: &[u8]| serde_json::from_slice::<serde_json::Value>(payload).unwrap();
    acks.filter_map(|p| ack(&p.payload)["error"]["err_code"].as_u64()).collect()
}

fn purge(world: &mut World, group: GroupId) -> Answer {
    let purge = StreamRequest::Purge { filter: None, up_to: None, keep: None };
    world.ask(group, &Request::Stream(purge))
}

fn segments(world: &World, store: StoreId) -> usize {
    world.servers[&store].disk.files().iter().filter(|path| path.starts_with("streams/")).count()
}

#[test]
fn a_stream_without_room_refuses_at_once_still_answers_and_takes_up_again() {
    let (mut world, _) = cluster(60);
    let group = create_stream(&mut world, "R", 1);
    world.run(2_000);
    let acked = publish(&mut world, group, 1, 20);
    assert_eq!(acked.len(), 20);
    let (_, leader) = world.leaders[&group];
    tell(&mut world, leader, Room::Short);
    assert!(publish(&mut world, group, 100, 10).is_empty());
    assert_eq!(refusals(&world), [10023; 10]);
    check(&mut world, group, &acked);
    tell(&mut world, leader, Room::Enough);
    assert_eq!(publish(&mut world, group, 200, 10).len(), 10);
    assert_eq!(info(&mut world, group).messages, 30);
}

#[test]
fn a_leader_without_room_gives_way_to_one_that_has_some() {
    let (mut world, group) = cluster(61);
    let mut acked = publish(&mut world, group, 1, 20);
    let (_, full) = world.leaders[&group];
    tell(&mut world, full, Room::Short);
    world.run(1_000);
    assert_ne!(world.leaders[&group].1, full);
    acked.extend(publish(&mut world, group, 100, 20));
    assert_eq!(acked.len(), 40);
    check(&mut world, group, &acked);
    // What is on its way still finds a place.
    let members = info(&mut world, group).cluster.members;
    assert!(members.iter().all(|m| m.current && m.lag == 0), "{members:?}");
}

#[test]
fn a_leader_refuses_what_a_majority_has_no_room_for() {
    let (mut world, group) = cluster(62);
    let (_, leader) = world.leaders[&group];
    let others: Vec<_> = world.stores().into_iter().filter(|s| *s != leader).collect();
    tell(&mut world, others[0], Room::Short);
    assert_eq!(publish(&mut world, group, 1, 5).len(), 5);
    tell(&mut world, others[1], Room::Short);
    assert!(publish(&mut world, group, 100, 5).is_empty());
    assert_eq!(refusals(&world), [10023; 5]);
    assert_eq!(world.leaders[&group].1, leader, "nobody else would do better");
}

#[test]
fn a_member_that_is_out_of_room_takes_no_messages_and_catches_up_when_it_has_some() {
    let (mut world, group) = cluster(63);
    let (_, leader) = world.leaders[&group];
    let out = world.stores().into_iter().find(|s| *s != leader).unwrap();
    tell(&mut world, out, Room::Out);
    let acked = publish(&mut world, group, 1, 30);
    assert_eq!(acked.len(), 30, "the others go on without it");
    let behind = |world: &mut World| {
        let members = info(world, group).cluster.members;
        members.into_iter().find(|m| m.store == out).unwrap()
    };
    assert!(behind(&mut world).lag > 0);
    world.run(10_000);
    assert_eq!(world.leaders[&group].1, leader, "it still follows");
    tell(&mut world, out, Room::Enough);
    world.run(3_000);
    assert_eq!(behind(&mut world).lag, 0);
    check(&mut world, group, &acked);
}

#[test]
fn the_last_room_is_given_where_the_others_do_not_suffice() {
    let (mut world, group) = cluster(67);
    let (_, leader) = world.leaders[&group];
    let others: Vec<_> = world.stores().into_iter().filter(|s| *s != leader).collect();
    world.kill(others[1]);
    world.run(1_000);
    // The leader has not heard of it, and so proposes: that must not stand in the way of all that comes behind.
    world.give(others[0], Input::Room { store: others[0], room: Room::Out });
    let acked = publish(&mut world, group, 1, 10);
    assert_eq!(acked.len(), 10);
    tell(&mut world, others[0], Room::Out);
    assert!(publish(&mut world, group, 100, 10).is_empty());
    assert_eq!(refusals(&world), [10023; 10], "of two that live one has room");
    check(&mut world, group, &acked);
}

#[test]
fn what_is_purged_makes_room_without_being_asked_twice() {
    let (mut world, group) = cluster(64);
    let payload = "x".repeat(1 << 20);
    for n in 0..20 {
        world.publish(group, "S.a", &format!("ack.{n}"), &payload);
        world.run(100);
    }
    world.run(1_000);
    let stores = world.stores();
    for store in &stores {
        assert!(segments(&world, *store) > 0, "nothing was flushed");
        tell(&mut world, *store, Room::Short);
    }
    assert!(publish(&mut world, group, 100, 5).is_empty());
    assert_eq!(refusals(&world), [10023; 5]);
    assert_eq!(purge(&mut world, group), Answer::Purged(20));
    world.run(5_000);
    for store in &stores {
        // The last segment may stay open.
        assert!(segments(&world, *store) <= 1, "{store}: {:?}", world.servers[store].disk.files());
        tell(&mut world, *store, Room::Enough);
    }
    assert_eq!(publish(&mut world, group, 200, 5).len(), 5);
}

#[test]
fn new_streams_go_where_there_is_room() {
    let (mut world, _) = cluster(65);
    let stores = world.stores();
    let create = |world: &mut World, name: &str, replicas| {
        let config = Box::new(stream(name, replicas));
        let account = "$G".to_owned();
        let request = MetaRequest::CreateStream { account, config, max_streams: None };
        world.ask(GroupId::META, &Request::Meta(request))
    };
    tell(&mut world, stores[0], Room::Short);
    tell(&mut world, stores[1], Room::Short);
    let Answer::Asset { group, created: true, .. } = create(&mut world, "A", 1) else { panic!() };
    world.run(1_000);
    assert_eq!(world.leaders[&group].1, stores[2]);
    let Answer::Error(error) = create(&mut world, "B", 3) else { panic!("there is no room") };
    assert_eq!(error.err_code, 10005);
    assert!(error.description.contains("insufficient storage"), "{error}");
    tell(&mut world, stores[0], Room::Enough);
    tell(&mut world, stores[1], Room::Enough);
    assert!(matches!(create(&mut world, "B", 3), Answer::Asset { created: true, .. }));
}

#[test]
fn a_server_alone_says_that_its_storage_is_insufficient() {
    let mut world = World::new(1, 66);
    world.found();
    let store = world.stores()[0];
    tell(&mut world, store, Room::Short);
    let config = Box::new(stream("A", 1));
    let account = "$G".to_owned();
    let request = MetaRequest::CreateStream { account, config, max_streams: None };
    let Answer::Error(error) = world.ask(GroupId::META, &Request::Meta(request)) else { panic!() };
    assert_eq!((error.err_code, error.code), (10047, 500));
}
