//! What each store is asked to carry.

use std::collections::BTreeMap;

use flotilla_raft::{Slot, StoreId};
use flotilla_stream::StorageKind;

use super::Meta;
use crate::asset::AssetGroup;

/// What desired members put on one store. With what the server itself says of its disk and of the
/// groups that it leads, it makes a [`Peer`](crate::Peer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreLoad {
    /// Replicas.
    pub assets: u32,
    /// Of these, the replicas of assets with more than one.
    pub ha_assets: u32,
    /// Of these, the groups that should be led from here.
    pub preferred: u32,
    /// Bytes that streams in files reserve by their `max_bytes`.
    pub reserved_file: u64,
    /// Bytes that streams in memory reserve by their `max_bytes`.
    pub reserved_memory: u64,
}

impl Meta {
    /// The load of every store that has any.
    #[must_use]
    pub fn load(&self) -> BTreeMap<StoreId, StoreLoad> {
        let mut loads = BTreeMap::new();
        for (_, _, stream) in self.streams() {
            count(&mut loads, &stream.group);
            stream.consumers.values().for_each(|consumer| count(&mut loads, &consumer.group));
            let bytes = stream.config.max_bytes.unwrap_or(0);
            for store in stream.group.stores() {
                let load: &mut StoreLoad = loads.entry(store).or_default();
                let reserved = match stream.config.storage {
                    StorageKind::File => &mut load.reserved_file,
                    StorageKind::Memory => &mut load.reserved_memory,
                };
                *reserved = reserved.saturating_add(bytes);
            }
        }
        loads
    }
}

impl Meta {
    /// The slot for a new stream that is to be led by `leader`: the one with the fewest of the streams led there, the
    /// lowest of several. So the streams that a server leads are spread evenly over its shards, however many these are.
    pub(super) fn freest_slot(&self, leader: StoreId) -> Slot {
        let mut led = [0_usize; Slot::COUNT];
        let groups = self.streams().map(|(_, _, stream)| &stream.group);
        for group in groups.filter(|group| group.preferred == leader) {
            led[usize::from(group.id.slot().0)] += 1;
        }
        (0..=u8::MAX).map(Slot).min_by_key(|slot| led[usize::from(slot.0)]).unwrap_or_default()
    }
}

fn count(loads: &mut BTreeMap<StoreId, StoreLoad>, group: &AssetGroup) {
    for store in group.stores() {
        let load = loads.entry(store).or_default();
        load.assets += 1;
        load.ha_assets += u32::from(group.desired.len() > 1);
        load.preferred += u32::from(group.preferred == store);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::fixture::*;

    #[test]
    fn streams_of_one_leader_take_slot_after_slot_and_consumers_follow_them() {
        let mut log = Log::new(2);
        let mut create = |n: u64, leader: u64| {
            let config = stream_config(&format!("S{n}"), &[&format!("s{n}")], 2);
            log.ok(create_stream(config, &[leader, 3 - leader]));
            let consumer = log.consumer(&format!("S{n}"), consumer_config("c", 0), &[1, 2]).group;
            let stream = log.asset(&format!("S{n}")).group.id;
            assert_eq!(consumer.slot(), stream.slot());
            assert!(consumer > stream, "later groups have higher ids");
            stream.slot().0
        };
        let slots: Vec<u8> = (0..6).map(|n| create(n, 1)).collect();
        assert_eq!(slots, [0, 1, 2, 3, 4, 5]);
        assert_eq!(create(6, 2), 0, "what another server leads does not count");

        // A stream that begins anew stays where its kind is.
        let old = log.asset("S3").group.id;
        let stores = [1, 2].map(StoreId).to_vec();
        log.ok(Command::Recreate { group: old, stores, preferred: StoreId(1) });
        let asset = log.asset("S3");
        assert_ne!(asset.group.id, old);
        assert_eq!(asset.group.id.slot(), old.slot());
        assert_eq!(asset.consumers["c"].group.id.slot(), old.slot());
    }
}
