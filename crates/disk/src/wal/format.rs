//! The bytes of a batch's head: header and table (docs/storage-format.md §2).

use flotilla_raft::{GroupId, ReplicaId};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

use crate::fields::Fields;

/// Batches start at multiples of this; a torn write cannot harm a page that it does not touch.
pub(super) const PAGE: u64 = 4096;
pub(super) const HEADER: usize = 72;
pub(super) const DESCRIPTOR: usize = 64;
const MAGIC: &[u8; 4] = b"FWAL";
/// Version 1 knows no [`RecordKind::Aside`], and is the same otherwise.
const VERSION: u16 = 2;
const FIRST_VERSION: u16 = 1;
const CHAIN_AT: usize = 40;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordKind {
    Entry = 1,
    HardState = 2,
    Base = 3,
    Create = 4,
    Destroy = 5,
    Turn = 6,
    Aside = 7,
}

impl RecordKind {
    fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Entry,
            2 => Self::HardState,
            3 => Self::Base,
            4 => Self::Create,
            5 => Self::Destroy,
            6 => Self::Turn,
            7 => Self::Aside,
            _ => return None,
        })
    }
}

/// One record's line in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) group: GroupId,
    pub(super) replica: ReplicaId,
    pub(super) term: u64,
    pub(super) index: u64,
    /// By kind: vote, lowest entry kept, incarnation, length of the next file.
    pub(super) extra: u64,
    pub(super) chain: u64,
    pub(super) length: u32,
    pub(super) crc: u32,
    pub(super) kind: RecordKind,
    pub(super) entry_kind: u8,
}

impl Descriptor {
    /// The chain value of this record when `before` is that of the group's previous one.
    pub(super) fn link(&self, before: u64) -> u64 {
        let mut bytes = Vec::with_capacity(DESCRIPTOR);
        Self { chain: 0, ..*self }.encode(&mut bytes);
        xxh3_64_with_seed(&bytes, before)
    }

    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.group.0.to_le_bytes());
        to.extend_from_slice(&self.replica.0.to_le_bytes());
        to.extend_from_slice(&self.term.to_le_bytes());
        to.extend_from_slice(&self.index.to_le_bytes());
        to.extend_from_slice(&self.extra.to_le_bytes());
        debug_assert_eq!(to.len() % 8, CHAIN_AT % 8);
        to.extend_from_slice(&self.chain.to_le_bytes());
        to.extend_from_slice(&self.length.to_le_bytes());
        to.extend_from_slice(&self.crc.to_le_bytes());
        to.extend_from_slice(&[self.kind as u8, self.entry_kind, 0, 0, 0, 0, 0, 0]);
    }

    fn decode(fields: &mut Fields<'_>) -> Option<Self> {
        let descriptor = Self {
            group: GroupId(fields.u64()?),
            replica: ReplicaId(fields.u64()?),
            term: fields.u64()?,
            index: fields.u64()?,
            extra: fields.u64()?,
            chain: fields.u64()?,
            length: fields.u32()?,
            crc: fields.u32()?,
            kind: RecordKind::from_u8(fields.u8()?)?,
            entry_kind: fields.u8()?,
        };
        fields.take(6)?;
        Some(descriptor)
    }
}

/// Header and table of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) generation: u64,
    pub(super) first_lsn: u64,
    /// Highest LSN known synced when this was written.
    pub(super) synced: u64,
    /// The oldest generation that holds live records.
    pub(super) start: u64,
    pub(super) file_len: u64,
    /// Length of the copy of the previous head behind the table.
    pub(super) previous_len: u32,
    pub(super) body_len: u64,
    pub(super) table: Vec<Descriptor>,
}

impl Head {
    pub(super) fn encode(&self, salt: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        let count = u32::try_from(self.table.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.previous_len.to_le_bytes());
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&self.first_lsn.to_le_bytes());
        bytes.extend_from_slice(&self.synced.to_le_bytes());
        bytes.extend_from_slice(&self.start.to_le_bytes());
        bytes.extend_from_slice(&self.file_len.to_le_bytes());
        bytes.extend_from_slice(&self.body_len.to_le_bytes());
        bytes.extend_from_slice(&[0; 8]);
        for descriptor in &self.table {
            descriptor.encode(&mut bytes);
        }
        let check = check(&bytes, salt);
        if let Some(place) = bytes.get_mut(HEADER - 8..HEADER) {
            place.copy_from_slice(&check.to_le_bytes());
        }
        bytes
    }

    /// The head that `bytes` begin with; `None` if it is not whole, the version if it is not ours.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<Result<Self, u16>> {
        let mut fields = Fields(bytes);
        if fields.take(4)? != MAGIC {
            return None;
        }
        let version = fields.u16()?;
        fields.take(2)?;
        let count = usize::try_from(fields.u32()?).ok()?;
        let previous_len = fields.u32()?;
        let [generation, first_lsn, synced, start, file_len, body_len, stored] =
            fields.array::<56>().map(words)?;
        let len = count.checked_mul(DESCRIPTOR)?.checked_add(HEADER)?;
        // Checked before the table is read, and that before it is allocated: `count` may be anything.
        if check(bytes.get(..len)?, salt) != stored {
            return None;
        }
        if !(FIRST_VERSION..=VERSION).contains(&version) {
            return Some(Err(version));
        }
        let table = (0..count).map(|_| Descriptor::decode(&mut fields)).collect::<Option<_>>()?;
        Some(Ok(Self {
            generation,
            first_lsn,
            synced,
            start,
            file_len,
            previous_len,
            body_len,
            table,
        }))
    }

    /// Its own length in bytes.
    pub(super) fn len(&self) -> usize {
        HEADER + self.table.len() * DESCRIPTOR
    }

    /// Whether a page looks as if a batch began there, be it whole or not.
    pub(super) fn is_marked(page: &[u8]) -> bool {
        page.starts_with(MAGIC)
    }

    /// Where the bodies start within the batch.
    pub(super) fn bodies_at(&self) -> u64 {
        self.len() as u64 + u64::from(self.previous_len)
    }

    /// The length of the batch on disk; `None` if its fields make no sense.
    pub(super) fn batch_len(&self) -> Option<u64> {
        self.bodies_at().checked_add(self.body_len)?.checked_next_multiple_of(PAGE)
    }

    /// The LSN behind the batch.
    pub(super) fn next_lsn(&self) -> u64 {
        self.first_lsn + (self.table.len() as u64).max(1)
    }
}

fn check(head: &[u8], salt: u64) -> u64 {
    let mut hash = Xxh3::with_seed(salt);
    let (header, table) = head.split_at(HEADER.min(head.len()));
    hash.update(header.get(..HEADER - 8).unwrap_or_default());
    hash.update(table);
    hash.digest()
}

fn words(bytes: [u8; 56]) -> [u64; 7] {
    let mut fields = Fields(&bytes);
    std::array::from_fn(|_| fields.u64().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let descriptor = Descriptor {
            group: GroupId(1),
            replica: ReplicaId(2),
            term: 3,
            index: 4,
            extra: 5,
            chain: 6,
            length: 7,
            crc: 8,
            kind: RecordKind::Entry,
            entry_kind: 1,
        };
        Head {
            generation: 0x10,
            first_lsn: 0x11,
            synced: 0x12,
            start: 0x13,
            file_len: 0x14,
            previous_len: 0x15,
            body_len: 0x16,
            table: vec![descriptor],
        }
    }

    #[test]
    fn a_head_has_the_documented_bytes() {
        let bytes = head().encode(99);
        let word = |n: u8| [n, 0, 0, 0, 0, 0, 0, 0];
        let mut expected = b"FWAL\x02\0\0\0\x01\0\0\0\x15\0\0\0".to_vec();
        expected.extend([0x10, 0x11, 0x12, 0x13, 0x14, 0x16].map(word).concat());
        let mut table = [1, 2, 3, 4, 5, 6].map(word).concat();
        table.extend_from_slice(b"\x07\0\0\0\x08\0\0\0\x01\x01\0\0\0\0\0\0");
        let check = xxh3_64_with_seed(&[expected.clone(), table.clone()].concat(), 99);
        expected.extend_from_slice(&check.to_le_bytes());
        expected.extend(table);
        assert_eq!(bytes, expected);
        assert_eq!(Head::decode(&bytes, 99), Some(Ok(head())));
    }

    #[test]
    fn no_flipped_bit_and_no_foreign_store_passes() {
        let bytes = head().encode(99);
        assert_eq!(Head::decode(&bytes, 98), None);
        for bit in 0..bytes.len() * 8 {
            // The two reserved bytes are covered by the check as well.
            let mut hurt = bytes.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::decode(&hurt, 99), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Head::decode(&bytes[..len], 99), None, "cut to {len}");
        }
    }

    #[test]
    fn the_chain_depends_on_every_field_and_on_the_record_before() {
        let descriptor = head().table[0];
        let link = descriptor.link(1);
        assert_ne!(link, descriptor.link(2));
        assert_ne!(link, Descriptor { index: 9, ..descriptor }.link(1));
        assert_eq!(link, Descriptor { chain: 9, ..descriptor }.link(1));
    }
}
