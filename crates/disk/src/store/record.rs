//! What a store knows about itself, and how it is written.

use std::fmt;

use bytes::Bytes;
use flotilla_raft::{ReplicaId, Slot, StoreId};
use xxhash_rust::xxh3::xxh3_64;

use crate::fields::Fields;

const MAGIC: &[u8; 8] = b"FLTSTORE";
pub(super) const VERSION: u16 = 3;
const HAS_CLUSTER: u16 = 1;
const IS_FORGETFUL: u16 = 2;
pub(super) const HEAD: usize = 40;
/// A replica id for each slot, and one more.
pub(super) const REPLICAS: usize = 8 * Slot::COUNT + 8;

/// The longest bootstrap state that a store record holds, in bytes.
pub const MAX_BOOTSTRAP: usize = 65_536;

/// What a store knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRecord {
    /// Random, made with the directory, never changed.
    pub store_id: StoreId,
    /// The cluster that it belongs to; set once. A store that has one never takes part in a bootstrap.
    pub cluster_id: Option<u64>,
    /// The highest replica ids that were ever created here, by the slot of their group. None goes back, so that no
    /// replica that once voted is created a second time with an empty log.
    pub created: CreatedThrough,
    /// The log once lost what may have told of replicas, and it is not known yet which there were: no life of this store may
    /// create any before.
    pub forgetful: bool,
    /// A log of this store was behind what its peers had been told: no replica in it with an id up to this one, but one that
    /// votes alone, is what it was.
    pub disowned: ReplicaId,
    /// What the bootstrap's acceptor has promised; opaque here, at most [`MAX_BOOTSTRAP`] bytes.
    pub bootstrap: Bytes,
}

/// The highest replica id that was created, for each slot.
#[derive(Clone, PartialEq, Eq)]
pub struct CreatedThrough(pub(super) Box<[ReplicaId; Slot::COUNT]>);

impl fmt::Debug for CreatedThrough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some = self.0.iter().enumerate().filter(|(_, through)| **through != ReplicaId::NONE);
        f.debug_map().entries(some).finish()
    }
}

impl Default for CreatedThrough {
    fn default() -> Self {
        Self(Box::new([ReplicaId::NONE; Slot::COUNT]))
    }
}

impl CreatedThrough {
    /// The highest one of a slot; [`ReplicaId::NONE`] if there never was any.
    #[must_use]
    pub fn get(&self, slot: Slot) -> ReplicaId {
        self.0[usize::from(slot.0)]
    }

    /// `replica` was created in `slot`, and others before it.
    pub fn raise(&mut self, slot: Slot, replica: ReplicaId) {
        let through = &mut self.0[usize::from(slot.0)];
        *through = replica.max(*through);
    }

    /// All of `others` were created, too.
    pub fn raise_all(&mut self, others: &Self) {
        for (through, other) in self.0.iter_mut().zip(others.0.iter()) {
            *through = (*other).max(*through);
        }
    }
}

pub(super) fn encode(record: &StoreRecord, update: u64) -> Vec<u8> {
    let cluster = if record.cluster_id.is_some() { HAS_CLUSTER } else { 0 };
    let flags = cluster | if record.forgetful { IS_FORGETFUL } else { 0 };
    let length = u32::try_from(HEAD + REPLICAS + record.bootstrap.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEAD + REPLICAS + record.bootstrap.len() + 8);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&flags.to_le_bytes());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&update.to_le_bytes());
    bytes.extend_from_slice(&record.store_id.0.to_le_bytes());
    bytes.extend_from_slice(&record.cluster_id.unwrap_or(0).to_le_bytes());
    for created in record.created.0.iter() {
        bytes.extend_from_slice(&created.0.to_le_bytes());
    }
    bytes.extend_from_slice(&record.disowned.0.to_le_bytes());
    bytes.extend_from_slice(&record.bootstrap);
    let check = xxh3_64(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// `None`: damaged. `Some(Err)`: whole, but of another version.
pub(super) fn decode(bytes: &[u8]) -> Option<Result<(u64, StoreRecord), u16>> {
    let mut fields = Fields(bytes);
    if fields.take(8)? != MAGIC {
        return None;
    }
    let version = fields.u16()?;
    let flags = fields.u16()?;
    let length = fields.u32()? as usize;
    // The first version counted from behind its head. All others are whole, or not, alike.
    let length = if version == 1 { 48 + length } else { length };
    let check = bytes.get(length..)?.first_chunk().map(|check| u64::from_le_bytes(*check))?;
    if xxh3_64(bytes.get(..length)?) != check {
        return None;
    }
    if version != VERSION {
        return Some(Err(version));
    }
    let update = fields.u64()?;
    let store_id = StoreId(fields.u64()?);
    let cluster = fields.u64()?;
    let mut created = CreatedThrough::default();
    for through in created.0.iter_mut() {
        *through = ReplicaId(fields.u64()?);
    }
    let disowned = ReplicaId(fields.u64()?);
    let bootstrap = fields.take(length.checked_sub(HEAD + REPLICAS)?)?;
    let cluster_id = (flags & HAS_CLUSTER != 0).then_some(cluster);
    let forgetful = flags & IS_FORGETFUL != 0;
    let bootstrap = Bytes::copy_from_slice(bootstrap);
    let record = StoreRecord { store_id, cluster_id, created, forgetful, disowned, bootstrap };
    Some(Ok((update, record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_has_the_documented_bytes() {
        let mut created = CreatedThrough::default();
        created.raise(Slot(3), ReplicaId(0x44));
        let record = StoreRecord {
            store_id: StoreId(0x1122),
            cluster_id: Some(0x33),
            created,
            forgetful: true,
            disowned: ReplicaId(0x55),
            bootstrap: Bytes::from_static(b"xy"),
        };
        let bytes = encode(&record, 5);
        let mut expected = b"FLTSTORE\x03\0\x03\0\x32\x08\0\0\x05\0\0\0\0\0\0\0".to_vec();
        expected.extend_from_slice(b"\x22\x11\0\0\0\0\0\0\x33\0\0\0\0\0\0\0");
        expected.resize(40 + 3 * 8, 0);
        expected.push(0x44);
        expected.resize(40 + 2048, 0);
        expected.extend_from_slice(b"\x55\0\0\0\0\0\0\0xy");
        assert_eq!(bytes[..2098], expected);
        assert_eq!(bytes[2098..], xxh3_64(&expected).to_le_bytes());
        assert_eq!(decode(&bytes), Some(Ok((5, record))));
    }
}
