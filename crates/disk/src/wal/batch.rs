//! What a shard hands to the writer: the records of one turn, in order.

use bytes::{BufMut, Bytes, BytesMut};
use flotilla_raft::{Base, Entry, EntryKind, GroupId, HardState, ReplicaId};
use thiserror::Error;

use super::format::{DESCRIPTOR, Descriptor, RecordKind};
use crate::fields::{Fields, crc32c};

const BASE_VERSION: u8 = 1;

/// The longest body of one record, in bytes.
pub const MAX_BODY: usize = 1 << 30;

/// A record that the log cannot hold.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RecordError {
    /// Its body is too long.
    #[error("group {group}: a record of {length} bytes is above the limit of {MAX_BODY}")]
    TooLong {
        /// Whose.
        group: GroupId,
        /// How long.
        length: usize,
    },
    /// It could not be encoded.
    #[error("group {group}: the base cannot be encoded: {reason}")]
    Encode {
        /// Whose.
        group: GroupId,
        /// What the encoder said.
        reason: String,
    },
}

/// A group's new beginning: everything before it in the log is superseded, except the entries it names.
#[derive(Clone, Copy, Debug)]
pub struct BaseRecord<'a> {
    /// Of which group.
    pub group: GroupId,
    /// Of which replica.
    pub replica: ReplicaId,
    /// The asset's incarnation, as it was created.
    pub incarnation: u64,
    /// The asset's description, as it was created; opaque.
    pub asset: &'a Bytes,
    /// The hard state that is in force.
    pub hard_state: HardState,
    /// The base.
    pub base: &'a Base,
    /// The lowest index whose entry, written before this record, stays live; entries below may be reclaimed. Use
    /// the base's index + 1 to keep just what the base does not contain.
    pub entries_from: u64,
}

/// Records of one or more groups, in the order in which they take force. Either all or none of the
/// batches of one write are there after a crash, as long as they are not yet acknowledged as synced.
#[derive(Clone, Debug, Default)]
pub struct WalBatch {
    pub(super) records: Vec<(Descriptor, Bytes)>,
    bodies: usize,
    relieves: bool,
}

impl WalBatch {
    /// No records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries of one group, ascending. Entry `i` removes all entries at or above `i` written before. The data
    /// is not copied.
    pub fn entries(
        &mut self,
        group: GroupId,
        replica: ReplicaId,
        entries: &[Entry],
    ) -> Result<(), RecordError> {
        if let Some(entry) = entries.iter().find(|entry| entry.data.len() > MAX_BODY) {
            return Err(RecordError::TooLong { group, length: entry.data.len() });
        }
        for Entry { term, index, kind, data } in entries {
            let descriptor = Descriptor {
                term: *term,
                index: *index,
                entry_kind: *kind as u8,
                ..empty(RecordKind::Entry, group, replica)
            };
            self.push(descriptor, data.clone());
        }
        Ok(())
    }

    /// The group's hard state.
    pub fn hard_state(&mut self, group: GroupId, replica: ReplicaId, state: HardState) {
        let descriptor = Descriptor {
            term: state.term,
            index: state.commit,
            extra: state.vote.0,
            ..empty(RecordKind::HardState, group, replica)
        };
        self.push(descriptor, Bytes::new());
    }

    /// A new base, and behind it the hard state, so that damage to a large base costs no vote.
    pub fn base(&mut self, record: &BaseRecord<'_>) -> Result<(), RecordError> {
        let BaseRecord { group, replica, incarnation, asset, hard_state, base, entries_from } =
            *record;
        let body = BaseBody { incarnation, asset: asset.clone(), base: base.clone() };
        let body = body.encode(group)?;
        let descriptor = Descriptor {
            term: base.term,
            index: base.index,
            extra: entries_from,
            ..empty(RecordKind::Base, group, replica)
        };
        self.push(descriptor, body);
        self.hard_state(group, replica, hard_state);
        self.relieves = true;
        Ok(())
    }

    /// A replica that did not exist before, with an empty log and no vote. `asset` describes what the group is; it is
    /// handed back at recovery.
    pub fn create(
        &mut self,
        group: GroupId,
        replica: ReplicaId,
        incarnation: u64,
        asset: Bytes,
    ) -> Result<(), RecordError> {
        if asset.len() > MAX_BODY {
            return Err(RecordError::TooLong { group, length: asset.len() });
        }
        let descriptor =
            Descriptor { extra: incarnation, ..empty(RecordKind::Create, group, replica) };
        self.push(descriptor, asset);
        Ok(())
    }

    /// The replica takes no part, and what there is of it was set aside ([`set_aside`](crate::set_aside)): nothing of it
    /// before this record is needed any more.
    pub fn aside(&mut self, group: GroupId, replica: ReplicaId) {
        self.push(empty(RecordKind::Aside, group, replica), Bytes::new());
        self.relieves = true;
    }

    /// The end of the replica: nothing of the group is recovered any more.
    pub fn destroy(&mut self, group: GroupId, replica: ReplicaId) {
        self.push(empty(RecordKind::Destroy, group, replica), Bytes::new());
        self.relieves = true;
    }

    /// How many bytes of log it takes, up to the padding.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bodies + self.records.len() * DESCRIPTOR
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether it holds a base, a destroy or the like: what makes room in a full log and is let in there.
    #[must_use]
    pub fn relieves(&self) -> bool {
        self.relieves
    }

    fn push(&mut self, mut descriptor: Descriptor, body: Bytes) {
        descriptor.length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        descriptor.crc = crc32c(&body);
        self.bodies += body.len();
        self.records.push((descriptor, body));
    }
}

fn empty(kind: RecordKind, group: GroupId, replica: ReplicaId) -> Descriptor {
    Descriptor {
        group,
        replica,
        term: 0,
        index: 0,
        extra: 0,
        chain: 0,
        length: 0,
        crc: 0,
        kind,
        entry_kind: EntryKind::Command as u8,
    }
}

/// The body of a base record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BaseBody {
    pub(super) incarnation: u64,
    pub(super) asset: Bytes,
    pub(super) base: Base,
}

impl BaseBody {
    fn encode(&self, group: GroupId) -> Result<Bytes, RecordError> {
        let base = rmp_serde::to_vec(&self.base)
            .map_err(|e| RecordError::Encode { group, reason: e.to_string() })?;
        let length = self.asset.len().saturating_add(base.len()).saturating_add(13);
        if length > MAX_BODY {
            return Err(RecordError::TooLong { group, length });
        }
        let mut bytes = BytesMut::with_capacity(length);
        bytes.put_u8(BASE_VERSION);
        bytes.put_u64_le(self.incarnation);
        bytes.put_u32_le(u32::try_from(self.asset.len()).unwrap_or(u32::MAX));
        bytes.put_slice(&self.asset);
        bytes.put_slice(&base);
        Ok(bytes.freeze())
    }

    /// What `body` says; `None` if it makes no sense, which its crc should have told.
    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let mut fields = Fields(body);
        if fields.u8()? != BASE_VERSION {
            return None;
        }
        let incarnation = fields.u64()?;
        let asset_len = usize::try_from(fields.u32()?).ok()?;
        let asset = Bytes::copy_from_slice(fields.take(asset_len)?);
        let base = rmp_serde::from_slice(fields.0).ok()?;
        Some(Self { incarnation, asset, base })
    }
}

/// The record that ends a file.
pub(super) fn turn(next_generation: u64, next_len: u64) -> Descriptor {
    let descriptor = empty(RecordKind::Turn, GroupId(0), ReplicaId::NONE);
    let descriptor = Descriptor { index: next_generation, extra: next_len, ..descriptor };
    Descriptor { chain: descriptor.link(0), ..descriptor }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_raft::Membership;

    #[test]
    fn a_base_body_is_what_it_was() {
        let membership = Membership { voters: vec![ReplicaId(3)], ..Membership::default() };
        let state = Bytes::from_static(b"state");
        let base = Base { index: 7, term: 2, membership, state_hash: 9, state };
        let body = BaseBody { incarnation: 5, asset: Bytes::from_static(b"asset"), base };
        let bytes = body.encode(GroupId(1)).unwrap();
        assert_eq!(bytes[..18], *b"\x01\x05\0\0\0\0\0\0\0\x05\0\0\0asset");
        assert_eq!(BaseBody::decode(&bytes), Some(body));
        for len in 0..bytes.len() {
            assert_eq!(BaseBody::decode(&bytes[..len]), None, "cut to {len}");
        }
    }

    #[test]
    fn entry_data_is_shared_not_copied() {
        let data = Bytes::from(vec![1; 100]);
        let mut batch = WalBatch::new();
        let entry = Entry { term: 1, index: 1, kind: EntryKind::Command, data: data.clone() };
        batch.entries(GroupId(1), ReplicaId(1), &[entry]).unwrap();
        assert_eq!(batch.records[0].1.as_ptr(), data.as_ptr());
        assert_eq!(batch.byte_len(), 164);
    }
}
