//! Three hosts with in-memory disks and links, in one thread: what is acknowledged survives kills and
//! power loss, and the same seed gives the same run.
#![allow(clippy::unwrap_used)] // a test

mod catchup;
mod compare;
mod queue;
mod rest;
mod rolled_back;
mod room;
mod shards;
mod world;

use std::collections::BTreeMap;

use flotilla_host::{Answer, Get, MILLISECOND, MetaRequest, Request, StreamRequest};
use flotilla_meta::ConsumerAction;
use flotilla_raft::{GroupId, StoreId};
use flotilla_stream::StreamConfig;
use world::{ROOM, World, consumer, stream};

fn create_stream(world: &mut World, name: &str, replicas: u8) -> GroupId {
    let config = Box::new(stream(name, replicas));
    let request = MetaRequest::CreateStream { account: "$G".to_owned(), config, max_streams: None };
    match world.ask(GroupId::META, &Request::Meta(request)) {
        Answer::Asset { group, created: true, .. } => group,
        other => panic!("{other:?}"),
    }
}

fn new_consumer(stream: &str, name: &str) -> MetaRequest {
    MetaRequest::CreateConsumer {
        account: "$G".to_owned(),
        stream: stream.to_owned(),
        config: Box::new(consumer(name)),
        action: ConsumerAction::CreateOrUpdate,
        max_consumers: None,
    }
}

fn create_consumer(world: &mut World, stream: &str, name: &str) -> GroupId {
    match world.ask(GroupId::META, &Request::Meta(new_consumer(stream, name))) {
        Answer::Asset { group, created: true, .. } => group,
        other => panic!("{other:?}"),
    }
}

/// Publishes `count` messages, a few per step, and returns what was acknowledged: payload by sequence.
fn publish(world: &mut World, group: GroupId, from: u64, count: u64) -> BTreeMap<u64, String> {
    world.published.clear();
    for n in from..from + count {
        world.publish(group, &format!("S.{}", n % 7), &format!("ack.{n}"), &format!("payload {n}"));
        if n % 5 == 0 {
            world.run(10);
        }
    }
    world.run(1_000);
    acknowledged(world)
}

fn acknowledged(world: &World) -> BTreeMap<u64, String> {
    let mut acked = BTreeMap::new();
    for publish in &world.published {
        let to = std::str::from_utf8(&publish.to).unwrap();
        let Some(n) = to.strip_prefix("ack.") else { continue };
        let ack: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
        if let Some(seq) = ack["seq"].as_u64().filter(|_| ack.get("error").is_none()) {
            let before = acked.insert(seq, format!("payload {n}"));
            assert_eq!(before, None, "sequence {seq} was acknowledged twice");
        }
    }
    acked
}

fn info(world: &mut World, group: GroupId) -> flotilla_host::StreamAnswer {
    let request = StreamRequest::Info { deleted_details: false, subjects_filter: None, offset: 0 };
    match world.ask(group, &Request::Stream(request)) {
        Answer::Stream(answer) => *answer,
        other => panic!("{other:?}"),
    }
}

fn check(world: &mut World, group: GroupId, acked: &BTreeMap<u64, String>) {
    for (seq, payload) in acked {
        let get = Request::Stream(StreamRequest::Get(Get::Seq(*seq)));
        match world.ask(group, &get) {
            Answer::Message(message) => assert_eq!(message.payload, payload.as_bytes()),
            other => panic!("message {seq} is lost: {other:?}"),
        }
    }
}

fn cluster(seed: u64) -> (World, GroupId) {
    let mut world = World::new(3, seed);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    (world, group)
}

#[test]
fn a_stream_of_three_acknowledges_and_serves() {
    let (mut world, group) = cluster(1);
    let acked = publish(&mut world, group, 1, 50);
    assert_eq!(acked.len(), 50);
    let info = info(&mut world, group);
    assert_eq!((info.messages, info.first_seq, info.last_seq), (50, 1, 50));
    assert_eq!(info.cluster.members.len(), 2);
    assert!(info.cluster.members.iter().all(|m| m.current && !m.offline), "{:?}", info.cluster);
    check(&mut world, group, &acked);
}

#[test]
fn what_streams_reserve_is_not_given_to_others() {
    let (mut world, _) = cluster(8);
    let mut create = |name: &str, max_bytes| {
        let config = Box::new(StreamConfig { max_bytes: Some(max_bytes), ..stream(name, 3) });
        let account = "$G".to_owned();
        let request = MetaRequest::CreateStream { account, config, max_streams: None };
        world.ask(GroupId::META, &Request::Meta(request))
    };
    assert!(matches!(create("A", ROOM / 4 * 3), Answer::Asset { created: true, .. }));
    let Answer::Error(error) = create("B", ROOM / 2) else { panic!("there is no room for it") };
    assert_eq!(error.err_code, 10005, "{error}");
    assert!(matches!(create("C", ROOM / 4), Answer::Asset { created: true, .. }));
}

/// On slow disks members learn of a new group at different times, and may be asked for votes before they know it, or
/// while they wait for their disk. That must not cost an election timeout, which is a second at least.
#[test]
fn a_new_group_has_a_leader_soon_whatever_its_disks_do() {
    let mut slowest = 0;
    for seed in 0..20 {
        let (mut world, _) = cluster(100 + seed);
        world.sync_time = (1 + seed % 8) * 25 * MILLISECOND;
        for n in 0..5 {
            let group = create_stream(&mut world, &format!("S{n}"), 3);
            let began = world.now;
            while !world.leaders.contains_key(&group) && world.now < began + 10_000 * MILLISECOND {
                world.run(1);
            }
            slowest = slowest.max((world.now - began) / MILLISECOND);
        }
    }
    assert!(slowest < 1_000, "a group had no leader for {slowest} ms");
}

#[test]
fn groups_in_which_nothing_happens_sleep() {
    let (mut world, _) = cluster(9);
    for n in 0..20 {
        create_stream(&mut world, &format!("S{n}"), 3);
        create_consumer(&mut world, &format!("S{n}"), "C");
    }
    world.run(5_000);
    // All but the meta group, which servers ask now and then whether they are current.
    let mut awake = BTreeMap::new();
    for _ in 0..200 {
        world.run(100);
        for store in world.stores() {
            let totals = world.totals(store);
            assert_eq!((totals.streams, totals.consumers), (21, 20));
            *awake.entry(totals.awake).or_insert(0) += 1;
        }
    }
    assert!(awake.keys().all(|count| *count <= 1), "how many were awake, how often: {awake:?}");
}

#[test]
fn a_killed_leader_loses_nothing_that_was_acknowledged() {
    let (mut world, group) = cluster(2);
    let mut acked = publish(&mut world, group, 1, 30);
    for round in 0..5 {
        let (_, leader) = world.leaders[&group];
        world.kill(leader);
        world.leaders.retain(|_, (_, l)| *l != leader);
        world.run(3_000);
        acked.extend(publish(&mut world, group, 100 * (round + 1), 30));
        world.start(leader);
        world.run(2_000);
    }
    assert_eq!(acked.len(), 180, "every publish was answered once there was a leader");
    check(&mut world, group, &acked);
}

#[test]
fn power_loss_of_all_servers_loses_nothing_that_was_acknowledged() {
    for seed in 0..12 {
        let (mut world, group) = cluster(10 + seed);
        let mut acked = publish(&mut world, group, 1, 40);
        // In the middle of a burst.
        world.published.clear();
        for n in 100..140 {
            world.publish(group, "S.x", &format!("ack.{n}"), &format!("payload {n}"));
            if n % 8 == 0 {
                world.run(5);
            }
        }
        acked.extend(acknowledged(&world));
        let stores = world.stores();
        for (n, store) in stores.iter().enumerate() {
            world.power_loss(*store, seed * 31 + n as u64);
        }
        world.leaders.clear();
        for store in stores {
            world.start(store);
        }
        world.run(5_000);
        check(&mut world, group, &acked);
        let more = publish(&mut world, group, 500, 10);
        assert_eq!(more.len(), 10, "seed {seed}: the stream goes on");
    }
}

#[test]
fn a_minority_answers_nothing_and_catches_up_after_healing() {
    let (mut world, group) = cluster(3);
    publish(&mut world, group, 1, 20);
    let (_, leader) = world.leaders[&group];
    world.isolate(leader);
    world.published.clear();
    for n in 1000..1010 {
        world.publish(group, "S.x", &format!("ack.{n}"), &format!("payload {n}"));
    }
    world.leaders.remove(&group);
    world.run(4_000);
    assert!(acknowledged(&world).is_empty(), "a minority acknowledged");
    let (_, other) = world.leaders[&group];
    assert_ne!(other, leader);
    let acked = publish(&mut world, group, 2000, 20);
    assert_eq!(acked.len(), 20);
    world.heal();
    world.run(3_000);
    check(&mut world, group, &acked);
    let members = info(&mut world, group).cluster.members;
    assert!(members.iter().all(|m| m.current && m.lag == 0), "{members:?}");
}

/// Takes a follower's replica of the stream S away, and waits for another one. Returns where it was.
fn remove_a_follower(world: &mut World, group: GroupId) -> StoreId {
    let (_, leader) = world.leaders[&group];
    let store = holders(world, group).into_iter().find(|store| *store != leader).unwrap();
    let (account, stream) = ("$G".to_owned(), "S".to_owned());
    let request = MetaRequest::RemovePeer { account, stream, store };
    assert_eq!(world.ask(GroupId::META, &Request::Meta(request)), Answer::Done);
    world.run(8_000);
    store
}

#[test]
fn a_removed_peer_is_replaced_and_the_new_one_catches_up() {
    let mut world = World::new(4, 4);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    let acked = publish(&mut world, group, 1, 60);
    let gone = remove_a_follower(&mut world, group);
    let after = holders(&mut world, group);
    assert_eq!(after.len(), 3);
    assert!(!after.contains(&gone), "{after:?}");
    let members = info(&mut world, group).cluster.members;
    assert!(members.iter().all(|m| m.current), "{members:?}");
    check(&mut world, group, &acked);
}

/// Seen with real servers: the leader had joined by an entry that the restarted replica had not applied again, so that
/// it knew no way to answer it.
#[test]
fn a_restarted_replica_answers_a_leader_that_joined_after_its_base() {
    let mut world = World::new(4, 8);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    publish(&mut world, group, 1, 20);
    let before = holders(&mut world, group);
    remove_a_follower(&mut world, group);
    let after = holders(&mut world, group);
    let newcomer = *after.iter().find(|s| !before.contains(s)).unwrap();
    let step_down = StreamRequest::StepDown { preferred: Some(newcomer) };
    assert_eq!(world.ask(group, &Request::Stream(step_down)), Answer::Done);
    world.run(2_000);
    assert_eq!(world.leaders[&group].1, newcomer);
    let old = *after.iter().find(|s| **s != newcomer).unwrap();
    world.kill(old);
    world.run(1_000);
    world.start(old);
    world.run(5_000);
    publish(&mut world, group, 100, 10);
    let members = info(&mut world, group).cluster.members;
    assert!(members.iter().all(|m| m.current && m.lag == 0), "{members:?}");
}

fn holders(world: &mut World, group: GroupId) -> Vec<StoreId> {
    let cluster = info(world, group).cluster;
    let members = cluster.members.iter().map(|m| m.store);
    members.chain(cluster.leader).collect()
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let (mut world, group) = cluster(seed);
        publish(&mut world, group, 1, 30);
        let (_, leader) = world.leaders[&group];
        world.power_loss(leader, seed);
        world.run(2_000);
        world.start(leader);
        publish(&mut world, group, 100, 30);
        world.trace
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// A member that comes late gets the whole log, if that is still there: it must begin where the others began, whatever the
/// stream's configuration is by then.
#[test]
fn a_late_member_begins_with_the_configuration_that_the_others_began_with() {
    let mut world = World::new(4, 11);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    publish(&mut world, group, 1, 30);
    let config = Box::new(StreamConfig { max_msgs: Some(10), ..stream("S", 3) });
    let account = "$G".to_owned();
    let update = Request::Meta(MetaRequest::UpdateStream { account, config });
    assert!(matches!(world.ask(GroupId::META, &update), Answer::Asset { .. }));
    world.run(2_000);
    remove_a_follower(&mut world, group);
    publish(&mut world, group, 100, 10);
    // The group sleeps, for which its members compare their states; the world lets none differ.
    world.run(10_000);
    let members = info(&mut world, group).cluster.members;
    assert!(members.iter().all(|m| m.current && m.lag == 0), "{members:?}");
}

/// What a leader's log began with may be from before a member was added; that state says that it has no part in the group.
#[test]
fn a_member_is_given_a_state_that_knows_it() {
    let mut world = World::new(4, 12);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    // So much that it is flushed, and the log begins with a base.
    let payload = "x".repeat(1 << 20);
    world.published.clear();
    for n in 0..20 {
        world.publish(group, "S.a", &format!("ack.{n}"), &payload);
        world.run(100);
    }
    remove_a_follower(&mut world, group);
    world.run(10_000);
    let members = info(&mut world, group).cluster.members;
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|m| m.current && m.lag == 0), "{members:?}");
    for store in world.stores() {
        assert_eq!(world.totals(store).ended, []);
    }
}
