//! A disk that was rolled back, and nobody saw it when its server came back.

use std::sync::Arc;

use super::{check, cluster, info, publish};

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
    acked.extend(publish(&mut world, group, 200, 20));
    world.run(10_000);
    assert_eq!(acked.len(), 60);
    check(&mut world, group, &acked);
    assert_eq!(world.totals(victim).ended, [], "it has another replica by now");
    let members = info(&mut world, group).cluster.members;
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|m| m.current && m.lag == 0), "{members:?}");
}
