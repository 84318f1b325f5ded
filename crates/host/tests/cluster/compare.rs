//! Replicas compare what they have on disk, and say when it is not the same.

use std::io::IoSlice;

use flotilla_disk::{Disk as _, SegmentOptions};
use flotilla_host::{SECOND, Thresholds};
use flotilla_raft::{GroupId, StoreId};

use super::create_stream;
use super::world::World;

/// Small segments, and a round of checks every second.
fn world_with(letter: &str) -> (World, GroupId) {
    let segments = SegmentOptions { segment_size: 4 << 10, ..SegmentOptions::default() };
    let (stream_flush, scrub_pause) = (4 << 10, SECOND);
    let thresholds = Thresholds { segments, stream_flush, scrub_pause, ..Thresholds::default() };
    let mut world = World::with(thresholds, 3, 80);
    world.found();
    let group = create_stream(&mut world, "S", 3);
    world.run(2_000);
    let payload = letter.repeat(500);
    for n in 0..40 {
        world.publish(group, "S.a", &format!("ack.{n}"), &payload);
        world.run(100);
    }
    world.run(5_000);
    (world, group)
}

fn segments(world: &World, store: StoreId) -> Vec<String> {
    let files = world.servers[&store].disk.files();
    files.into_iter().filter(|path| path.ends_with(".seg")).collect()
}

fn replace(world: &World, store: StoreId, path: &str, contents: &[u8]) {
    let disk = &world.servers[&store].disk;
    disk.remove(path).unwrap();
    let file = disk.create(path).unwrap();
    disk.write_vectored_at(file, 0, &[IoSlice::new(contents)]).unwrap();
    disk.sync_data(file).unwrap();
    disk.close(file);
}

#[test]
fn messages_that_differ_on_the_disk_of_a_member_are_told() {
    let (mut world, group) = world_with("a");
    let (other, _) = world_with("b");
    let (_, leader) = world.leaders[&group];
    let victim = world.stores().into_iter().find(|store| *store != leader).unwrap();
    for store in world.stores() {
        assert_eq!(world.totals(store).diverged, [], "all of them hold the same");
    }
    // Whole and good, by all that its own checksums say.
    let path = segments(&world, victim)[1].clone();
    let good = world.servers[&victim].disk.contents(&path).unwrap();
    let another = other.servers[&victim].disk.contents(&path).unwrap();
    assert_eq!(good.len(), another.len());
    world.altered = Some(victim);
    world.kill(victim);
    replace(&world, victim, &path, &another);
    world.start(victim);
    world.run(5_000);
    assert_eq!(world.totals(victim).diverged, [group]);
    world.kill(victim);
    replace(&world, victim, &path, &good);
    world.start(victim);
    world.run(5_000);
    assert_eq!(world.totals(victim).diverged, []);
}
