//! A member is given one state after the other, whatever its disk takes.

use flotilla_disk::SegmentOptions;
use flotilla_host::{Input, MILLISECOND, Say, Thresholds};
use flotilla_raft::{Body, GroupId, StoreId};

use super::world::World;
use super::{create_stream, info, publish};

fn is_sign_of_life(say: &Say) -> bool {
    matches!(say, Say::Raft(message) if matches!(message.body, Body::HeartbeatReply { .. }))
}

/// A member takes over a state, on a disk whose syncs take `sync` milliseconds, and the leader, whose log has gone on,
/// offers it the next one at once: a sign of life comes late, behind the word that the state is taken.
fn offered_another_state(sync: u64) -> (World, GroupId, StoreId) {
    let segments = SegmentOptions { segment_size: 1 << 10, ..SegmentOptions::default() };
    let (stream_flush, stream_log) = (1 << 10, 0);
    let thresholds = Thresholds { segments, stream_flush, stream_log, ..Thresholds::default() };
    let mut world = World::with(thresholds, 3, 13);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    let (_, leader) = world.leaders[&group];
    let member = world.stores().into_iter().find(|store| *store != leader).unwrap();
    world.isolate(member);
    publish(&mut world, group, 1, 100);
    world.heal();
    (world.slow, world.sync_time) = (Some(member), sync * MILLISECOND);
    let ready = format!("streams/{:016x}/staging/ready", group.0);
    let mut late = None;
    while world.servers[&member].disk.contents(&ready).is_none() {
        assert!(world.now < 60_000 * MILLISECOND, "no state is given");
        world.publish(group, "S.a", "", &"x".repeat(200));
        world.run(5);
        late = world.copy((member, leader), group, is_sign_of_life).or(late);
    }
    world.run(5);
    world.give(leader, Input::Bundle { from: member, frame: late.unwrap() });
    (world, group, member)
}

/// Seen in the simulator: the switch to the first state took away what was staged for the next one, and the list of what
/// that is made of. The next switch removed every segment.
#[test]
fn a_member_takes_over_one_state_after_the_other() {
    for sync in [20, 40, 60, 100, 200] {
        let (mut world, group, member) = offered_another_state(sync);
        world.run(5_000);
        assert_eq!(world.totals(member).ended, [], "{sync} ms");
        assert_eq!(publish(&mut world, group, 1_000, 10).len(), 10);
        let members = info(&mut world, group).cluster.members;
        assert!(members.iter().all(|m| m.current && m.lag == 0), "{sync} ms: {members:?}");
    }
}

#[test]
fn power_that_goes_while_a_state_is_taken_over_damages_nothing() {
    for millis in (10..=300).step_by(10) {
        let (mut world, _, member) = offered_another_state(200);
        world.run(millis);
        world.power_loss(member, millis);
        world.start(member);
        let totals = world.totals(member);
        assert_eq!((totals.damages, totals.mending), (0, Vec::new()), "after {millis} ms");
    }
}
