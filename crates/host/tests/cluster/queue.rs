//! What waits for a stream is bounded.

use flotilla_host::Thresholds;
use flotilla_raft::GroupId;

use super::world::World;
use super::{create_stream, info, publish};

fn world_with(thresholds: Thresholds) -> (World, GroupId) {
    let mut world = World::with(thresholds, 3, 81);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    (world, group)
}

/// Publishes ten messages of a hundred bytes in one turn. Returns how many were stored, and how many refused as the
/// reference server does.
fn burst(world: &mut World, group: GroupId) -> (usize, usize) {
    world.published.clear();
    let payload = "x".repeat(33);
    (0..10).for_each(|n| world.publish(group, "S.a", &format!("ack.{n}"), &payload));
    world.run(1_000);
    let ack = |payload: &[u8]| serde_json::from_slice::<serde_json::Value>(payload).unwrap();
    let refused = world.published.iter().filter(|p| p.to.starts_with(b"ack."));
    let refused = refused.filter(|p| ack(&p.payload)["error"]["err_code"] == 10167).count();
    (world.published.iter().filter(|p| p.to.starts_with(b"ack.")).count() - refused, refused)
}

#[test]
fn bytes_that_wait_for_a_stream_are_bounded() {
    let (mut world, group) = world_with(Thresholds { stream_queue: 350, ..Thresholds::default() });
    assert_eq!(burst(&mut world, group), (4, 6), "the one that passes the bound is taken");
    assert_eq!(burst(&mut world, group), (4, 6), "there is room again");
    assert_eq!(info(&mut world, group).messages, 8);
}

#[test]
fn messages_that_wait_for_a_stream_are_bounded() {
    let (mut world, group) =
        world_with(Thresholds { stream_queue_messages: 3, ..Thresholds::default() });
    assert_eq!(burst(&mut world, group), (3, 7));
    assert_eq!(publish(&mut world, group, 100, 3).len(), 3);
    assert_eq!(info(&mut world, group).messages, 6);
}

#[test]
fn bytes_that_wait_for_all_streams_of_a_shard_are_bounded() {
    let (mut world, group) = world_with(Thresholds { queues: 350, ..Thresholds::default() });
    assert_eq!(burst(&mut world, group), (4, 6));
}
