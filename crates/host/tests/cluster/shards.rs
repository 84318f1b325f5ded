//! Servers with different numbers of shards, which come back with others.

use std::collections::BTreeSet;

use flotilla_disk::Disk;
use flotilla_host::{
    Answer, Bundle, CallId, Digests, Input, MILLISECOND, MetaRequest, Request, Say, Share,
    StreamRequest, Thresholds, Totals,
};
use flotilla_raft::{GroupId, StoreId};

use super::world::{World, stream};
use super::{
    acknowledged, check, cluster, create_consumer, create_stream, info, new_consumer, publish,
};

fn delete_stream(world: &mut World, name: &str) {
    let (account, stream) = ("$G".to_owned(), name.to_owned());
    let request = Request::Meta(MetaRequest::DeleteStream { account, stream });
    assert_eq!(world.ask(GroupId::META, &request), Answer::Done);
}

fn totals(world: &World) -> Vec<Totals> {
    world.stores().into_iter().map(|store| world.totals(store)).collect()
}

/// Streams with a consumer each come and go, and in between all servers stop, some by power loss, and come back with
/// other numbers of shards. No replica is taken for lost, none is left behind, and nothing that was acknowledged is
/// missing.
#[test]
fn groups_are_taken_up_by_whichever_shard_drives_their_slot_now() {
    for seed in 0..6 {
        let (mut world, first) = cluster(40 + seed);
        world.publish(first, "S.a", "ack.1", "payload 1");
        world.run(500);
        let mut live = BTreeSet::from(["S".to_owned()]);
        for round in 0..4 {
            for n in 0..6 {
                let name = format!("S{round}x{n}");
                create_stream(&mut world, &name, 3);
                create_consumer(&mut world, &name, "C");
                live.insert(name);
            }
            // The newest one too: what was created must be remembered although the log forgets it.
            for n in [1, 3, 5] {
                let name = format!("S{round}x{n}");
                delete_stream(&mut world, &name);
                live.remove(&name);
            }
            if round % 2 == 0 {
                world.run(500 * seed);
            }
            for (n, store) in world.stores().into_iter().enumerate() {
                stop(&mut world, store, (seed + n as u64).is_multiple_of(2), seed * 10 + round);
            }
            world.leaders.clear();
            for store in world.stores() {
                world.start(store);
            }
            world.run(3_000);
        }
        world.run(8_000);
        for totals in totals(&world) {
            let consumers = live.len() - 1;
            assert_eq!(totals.streams, live.len() as u64, "seed {seed}: {totals:?}");
            assert_eq!(totals.consumers, consumers as u64, "seed {seed}: {totals:?}");
            assert!(totals.ended.is_empty(), "seed {seed}: {totals:?}");
        }
        let led = |count: fn(&Totals) -> u64| totals(&world).iter().map(count).sum::<u64>();
        assert_eq!(led(|t| t.streams_led), live.len() as u64, "seed {seed}");
        assert_eq!(led(|t| t.consumers_led), live.len() as u64 - 1, "seed {seed}");
        let acked = acknowledged(&world);
        assert_eq!(acked.len(), 1);
        check(&mut world, first, &acked);
    }
}

fn stop(world: &mut World, store: StoreId, power: bool, seed: u64) {
    if power {
        world.power_loss(store, seed);
    } else {
        world.kill(store);
    }
}

/// A replica whose files are damaged takes no part until it has a peer's copy of what is lost; then it is as good as any.
#[test]
fn a_damaged_replica_is_made_whole_by_its_peers() {
    let (mut world, group) = cluster(60);
    // Enough to be flushed to segments.
    let payload = "x".repeat(1 << 20);
    for n in 0..20 {
        world.publish(group, "S.a", &format!("ack.{n}"), &payload);
        world.run(100);
    }
    let store = world.stores()[1];
    world.kill(store);
    let disk = world.servers[&store].disk.clone();
    let dir = format!("streams/{:016x}", group.0);
    let segment = disk.list(&dir).unwrap().into_iter().find(|name| name.ends_with(".seg"));
    let path = format!("{dir}/{}", segment.expect("a segment"));
    let good = disk.contents(&path).unwrap();
    let trailer = good.len() as u64 - 1;
    assert!(disk.flip_bit(&path, trailer, 1) && disk.flip_bit(&path, 200, 1));
    world.isolate(store);
    world.start_damaged(store);
    world.run(3_000);
    let damaged = world.totals(store);
    assert_eq!((damaged.streams, damaged.mending.len()), (0, 1), "{damaged:?}");
    world.heal();
    world.run(10_000);
    let whole = world.totals(store);
    assert_eq!((whole.streams, whole.messages, whole.repairs), (1, 20, 1), "{whole:?}");
    assert_eq!((whole.mending, whole.ended), (Vec::new(), Vec::new()));
    assert_eq!(disk.contents(&path), Some(good));

    delete_stream(&mut world, "S");
    world.run(10_000);
    assert_eq!(disk.contents(&path), None, "its files are gone");
}

/// Streams that are created at the same time, before any of them is applied, are spread over the slots all the same.
#[test]
fn streams_that_are_created_together_are_in_different_slots() {
    let (mut world, _) = cluster(61);
    let (_, leader) = world.leaders[&GroupId::META];
    let calls = 1_000..1_012;
    for n in calls.clone() {
        let (account, config) = ("$G".to_owned(), Box::new(stream(&format!("S{n}"), 3)));
        let create = MetaRequest::CreateStream { account, config, max_streams: None };
        let (group, request) = (GroupId::META, Request::Meta(create));
        world.give(leader, Input::Call { id: CallId(n), group, request });
    }
    world.run(1_000);
    let slots = calls.map(|n| match world.answers.remove(&n) {
        Some(Answer::Asset { group, created: true, .. }) => group.slot(),
        other => panic!("{other:?}"),
    });
    // Three servers are to lead four streams each.
    let slots: BTreeSet<_> = slots.collect();
    assert!(slots.len() >= 4, "{slots:?}");
}

/// Who believes that groups sleep under a leader wakes them when that leader leads no such groups: it may have lost
/// them in a way that nobody saw.
#[test]
fn groups_that_sleep_under_nobody_are_woken() {
    let (mut world, group) = cluster(62);
    world.run(10_000);
    let (_, leader) = world.leaders[&group];
    let store = world.stores().into_iter().find(|store| *store != leader).unwrap();
    let before = world.totals(store).awake;
    let mut bundle = Bundle::default();
    let digests = Digests { share: Share::WHOLE, slots: [].into() };
    bundle.push(GroupId(0), &Say::Digests(digests));
    let frame = bundle.into_parts().concat().into();
    world.give(store, Input::Bundle { from: leader, frame });
    world.run(5);
    assert!(world.totals(store).awake > before, "{:?}", world.totals(store));
}

/// The end of one replica is remembered at once, the beginning of another one not before it is on stable storage: if
/// that gets lost, the replica is not taken for one that was here and is lost. Consumers of one stream are in one slot.
#[test]
fn a_creation_that_gets_lost_is_made_up_for() {
    for seed in 0..40 {
        let (mut world, _) = cluster(70 + seed);
        create_consumer(&mut world, "S", "A");
        world.run(1_000);
        world.sync_time = 40 * MILLISECOND;
        let (_, leader) = world.leaders[&GroupId::META];
        let mut ask = |id, request, millis| {
            let (group, request) = (GroupId::META, Request::Meta(request));
            world.give(leader, Input::Call { id: CallId(id), group, request });
            world.run(millis);
        };
        ask(2_000, new_consumer("S", "B"), 5 * (seed % 8));
        let (account, stream) = ("$G".to_owned(), "S".to_owned());
        let consumer = "A".to_owned();
        let delete = MetaRequest::DeleteConsumer { account, stream, consumer, group: None };
        ask(2_001, delete, 80 + 15 * (seed / 8));
        for (n, store) in world.stores().into_iter().enumerate() {
            world.power_loss(store, seed * 3 + n as u64);
        }
        world.leaders.clear();
        world.sync_time = 0;
        for store in world.stores() {
            world.start(store);
        }
        world.run(12_000);
        let all = totals(&world);
        assert!(all.iter().all(|totals| totals.ended.is_empty()), "seed {seed}: {all:?}");
        assert!(all.iter().all(|t| t.consumers == all[0].consumers), "seed {seed}: {all:?}");
    }
}

/// Replicas that applied the same and came to another state are shown, until they agree again. In all other runs of the
/// world none may.
#[test]
fn a_replica_that_differs_from_its_leader_is_shown() {
    let (mut world, group) = cluster(63);
    world.publish(group, "S.a", "ack.1", "payload 1");
    let (_, leader) = world.leaders[&group];
    let store = world.stores().into_iter().find(|store| *store != leader).unwrap();
    world.deceived = Some(store);
    world.run(10_000);
    assert!(world.totals(store).diverged.contains(&group), "{:?}", world.totals(store));
    world.deceived = None;
    world.publish(group, "S.a", "ack.2", "payload 2");
    world.run(10_000);
    assert!(!world.totals(store).diverged.contains(&group), "{:?}", world.totals(store));
}

/// A server that comes back takes its groups up a few at a time, and serves those that are asked for before all others.
#[test]
fn groups_serve_one_after_the_other_when_a_server_comes_back() {
    let thresholds = Thresholds { begin_at_once: 1, ..Thresholds::default() };
    let mut world = World::with(thresholds, 1, 61);
    world.found();
    let groups: Vec<GroupId> =
        (0..60).map(|n| create_stream(&mut world, &format!("S{n}"), 1)).collect();
    let store = world.stores()[0];
    world.kill(store);
    world.leaders.clear();
    world.start(store);
    assert_eq!(world.totals(store).beginning, 61);
    world.run(20);
    assert!(world.leaders.contains_key(&GroupId::META), "the meta group is the first");
    let last = *groups.iter().rev().find(|group| !world.leaders.contains_key(group)).unwrap();
    let request = Request::Stream(StreamRequest::Barrier);
    world.give(store, Input::Call { id: CallId(9_999), group: last, request });
    world.run(20);
    assert!(world.leaders.contains_key(&last), "the one that was asked for is the next");
    // Each shard began one in each of eight steps.
    assert!(world.totals(store).beginning >= 61 - 1 - 8 * 3, "{:?}", world.totals(store));
    world.run(1_000);
    assert_eq!((world.totals(store).beginning, world.leaders.len()), (0, 61));
    publish(&mut world, last, 1, 5);
    assert_eq!(info(&mut world, last).messages, 5);
}
