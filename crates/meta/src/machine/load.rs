//! What each store is asked to carry.

use std::collections::BTreeMap;

use flotilla_raft::StoreId;
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

fn count(loads: &mut BTreeMap<StoreId, StoreLoad>, group: &AssetGroup) {
    for store in group.stores() {
        let load = loads.entry(store).or_default();
        load.assets += 1;
        load.ha_assets += u32::from(group.desired.len() > 1);
        load.preferred += u32::from(group.preferred == store);
    }
}
