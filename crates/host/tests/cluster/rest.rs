//! Groups at rest, and groups that begin.

use flotilla_host::Input;
use flotilla_raft::{GroupId, StoreId};

use super::world::World;
use super::{acknowledged, check, cluster, create_consumer, create_stream, publish};

fn awake(world: &World, store: StoreId) -> u64 {
    world.totals(store).awake
}

/// A member died, and that is no reason for anything to happen: only what it led is looked after. When it is back, it finds
/// all groups as they are.
#[test]
fn groups_that_sleep_sleep_on_without_a_member_and_are_whole_again_with_it() {
    let (mut world, first) = cluster(71);
    let mut groups = vec![first];
    for n in 0..12 {
        groups.push(create_stream(&mut world, &format!("S{n}"), 3));
    }
    world.run(10_000);
    let stores = world.stores();
    assert!(stores.iter().all(|store| awake(&world, *store) == 0), "all sleep");
    let lost = stores[2];
    let led_there = world.leaders.values().filter(|(_, store)| *store == lost).count() as u64;
    assert!(led_there > 0 && led_there < groups.len() as u64 / 2);

    world.kill(lost);
    let mut most = 0;
    for _ in 0..40 {
        world.run(50);
        most = most.max(awake(&world, stores[0])).max(awake(&world, stores[1]));
    }
    assert!((1..=led_there).contains(&most), "{most} awake, {led_there} were led there");
    let acked = publish(&mut world, first, 0, 20);

    world.start(lost);
    world.run(10_000);
    assert!(stores.iter().all(|store| awake(&world, *store) == 0), "all sleep again");
    world.kill(stores[0]);
    world.run(3_000);
    check(&mut world, first, &acked);
}

/// Whoever makes its replica of a new group first asks the others for their votes before they have theirs; they answer when
/// they do, and nobody waits for a tick.
#[test]
fn a_new_group_is_led_without_waiting_for_a_tick() {
    let (mut world, _) = cluster(72);
    world.step = flotilla_host::MILLISECOND;
    let waited = |group: GroupId, world: &mut World| {
        let began = world.now;
        while !world.leaders.contains_key(&group) {
            world.run(1);
        }
        world.now - began
    };
    let mut all = Vec::new();
    for n in 0..10 {
        let name = format!("S{n}");
        let stream = create_stream(&mut world, &name, 3);
        all.push(waited(stream, &mut world));
        let consumer = create_consumer(&mut world, &name, "C");
        all.push(waited(consumer, &mut world));
    }
    // A vote, its rehearsal and an entry, there and back, take some steps; a tick is fifty.
    all.sort_unstable();
    assert!(all[all.len() - 1] <= 15 * flotilla_host::MILLISECOND, "{all:?}");
    assert!(acknowledged(&world).is_empty());
}

/// A server that stops on purpose hands over what it leads, groups that sleep as well as others.
#[test]
fn a_server_that_leaves_hands_over_groups_that_sleep() {
    let (mut world, first) = cluster(73);
    world.run(10_000);
    let leader = world.leaders[&first].1;
    assert_eq!(awake(&world, leader), 0);
    world.give(leader, Input::HandOver);
    world.run(1_000);
    assert_ne!(world.leaders[&first].1, leader);
}
