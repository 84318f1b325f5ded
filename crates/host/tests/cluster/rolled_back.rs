//! A disk that was rolled back, and nobody saw it when its server came back.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_disk::Disk;
use flotilla_host::MILLISECOND;
use flotilla_raft::{GroupId, StoreId};

use super::world::World;
use super::{check, cluster, create_stream, info, publish};

#[test]
fn a_replica_whose_leader_knows_more_of_its_log_than_it_has_gets_a_successor() {
    let (mut world, group) = cluster(70);
    let mut acked = publish(&mut world, group, 1, 20);
    let (_, leader) = world.leaders[&group];
    let victim = world.stores().into_iter().find(|store| *store != leader).unwrap();
    let image = world.servers[&victim].disk.image().unwrap();
    acked.extend(publish(&mut world, group, 100, 20));
    world.kill(victim);
    world.servers.get_mut(&victim).unwrap().disk = Arc::new(image);
    world.start(victim);
    world.run(5_000);
    has_successors(&mut world, victim, group, acked);
}

/// Nothing ended on the victim stays without a successor, and the stream has lost nothing.
fn has_successors(
    world: &mut World,
    victim: StoreId,
    group: GroupId,
    mut acked: BTreeMap<u64, String>,
) {
    acked.extend(publish(world, group, 200, 20));
    world.run(10_000);
    assert_eq!(acked.len(), 60);
    check(world, group, &acked);
    assert_eq!(world.totals(victim).ended, [], "it has another replica by now");
    let members = info(world, group).cluster.members;
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|m| m.current && m.lag == 0), "{members:?}");
}

/// Its process ends before anybody has heard of the loss, and its log holds nothing that a leader of another term would miss.
#[test]
fn what_is_found_lost_while_a_server_runs_is_lost_in_its_next_life() {
    for (seed, is_meta, is_full) in [(71, true, false), (72, false, false), (73, false, true)] {
        let (mut world, group) = cluster(seed);
        let lost = if is_meta { GroupId::META } else { group };
        let mut acked = publish(&mut world, group, 1, 20);
        let leaders = [world.leaders[&group].1, world.leaders[&GroupId::META].1];
        let victim = world.stores().into_iter().find(|store| !leaders.contains(store)).unwrap();
        let image = world.servers[&victim].disk.image().unwrap();
        acked.extend(publish(&mut world, group, 100, 20));
        create_stream(&mut world, "T", 1);
        world.kill(victim);
        world.servers.get_mut(&victim).unwrap().disk = Arc::new(image);
        world.start(victim);
        world.step = MILLISECOND;
        if is_full {
            // It cannot be kept at once.
            world.servers[&victim].disk.set_capacity(0);
        }
        let is_lost = |world: &World| {
            let ended = world.totals(victim).ended;
            ended.iter().any(|(group, reason)| *group == lost && reason.contains("lost"))
        };
        while !is_lost(&world) {
            world.run(1);
            assert!(world.now < 60_000 * MILLISECOND, "nobody finds the loss");
        }
        if is_full {
            world.run(600);
            assert!(is_lost(&world), "nobody is to hear of it yet");
            world.servers[&victim].disk.set_capacity(u64::MAX);
            while !has_set_aside(&world, victim) {
                world.run(1);
                assert!(world.now < 60_000 * MILLISECOND, "it is never kept");
            }
        }
        world.run(1);
        world.kill(victim);
        world.start_damaged(victim);
        assert!(is_lost(&world), "group {lost} takes part again: {:?}", world.totals(victim).ended);
        world.run(10_000);
        has_successors(&mut world, victim, group, acked);
    }
}

fn has_set_aside(world: &World, store: StoreId) -> bool {
    let disk = &world.servers[&store].disk;
    disk.list("aside").unwrap_or_default().iter().any(|name| {
        let file = disk.open(&format!("aside/{name}")).unwrap();
        let len = disk.len(file).unwrap();
        disk.close(file);
        len > 0
    })
}
