//! The frame of a segment: header, index, trailer (docs/storage-format.md §3).

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_raft::GroupId;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::record::{Parsed, RECORD_HEADER, SegmentRecordMeta};
use crate::fields::Fields;

pub(super) const HEADER: usize = 32;
pub(super) const TRAILER: usize = 48;
const SLOT: usize = 40;
const MAGIC: &[u8; 4] = b"FSEG";
const INDEX_MAGIC: &[u8; 4] = b"FIDX";
const VERSION: u16 = 1;

pub(super) fn header(group: GroupId, first_seq: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&group.0.to_le_bytes());
    bytes.extend_from_slice(&first_seq.to_le_bytes());
    let check = xxh3_64(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// The version, if it is one that this server does not know. Anything else that is wrong with a header
/// harms nothing: the name says the same, and each record is bound to its group.
pub(super) fn foreign_version(bytes: &[u8]) -> Option<u16> {
    let mut fields = Fields(bytes);
    let magic = fields.take(4)?;
    let version = fields.u16()?;
    let check = Fields(bytes.get(24..)?).u64()?;
    let whole = magic == MAGIC && xxh3_64(bytes.get(..24)?) == check;
    (whole && version != VERSION).then_some(version)
}

/// Where a record is and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) seq: u64,
    pub(super) time: i64,
    pub(super) offset: u32,
    pub(super) length: u32,
    pub(super) headers_len: u32,
    pub(super) checksum: u32,
    pub(super) subject: Bytes,
}

impl Slot {
    pub(super) fn of(parsed: &Parsed, offset: u32) -> Self {
        let record = &parsed.record;
        Self {
            seq: record.seq,
            time: record.time,
            offset,
            length: u32::try_from(record.stored_len()).unwrap_or(u32::MAX),
            headers_len: record.headers_len,
            checksum: parsed.checksum,
            subject: Bytes::copy_from_slice(record.subject()),
        }
    }

    pub(super) fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.length)
    }

    pub(super) fn meta(&self) -> SegmentRecordMeta {
        let subject_len = u32::try_from(self.subject.len()).unwrap_or(u32::MAX);
        let frame = u32::try_from(RECORD_HEADER).unwrap_or(0);
        let around = frame.saturating_add(subject_len).saturating_add(self.headers_len);
        SegmentRecordMeta {
            seq: self.seq,
            time: self.time,
            subject: self.subject.clone(),
            headers_len: self.headers_len,
            payload_len: self.length.saturating_sub(around),
        }
    }
}

/// The content hash over live records: equal on replicas with equal applied index.
pub(super) fn content_hash<'a>(live: impl Iterator<Item = &'a Slot>) -> u64 {
    let mut hash = Xxh3::new();
    for slot in live {
        hash.update(&slot.seq.to_le_bytes());
        hash.update(&slot.checksum.to_le_bytes());
    }
    hash.digest()
}

/// What a sealed segment says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Where the records end.
    pub(super) index_at: u64,
    pub(super) last_seq: u64,
    pub(super) slots: Vec<Slot>,
}

/// Index and trailer, to stand at `index_at`.
pub(super) fn encode_index(
    group: GroupId,
    first_seq: u64,
    last_seq: u64,
    index_at: u64,
    slots: &[Slot],
) -> Vec<u8> {
    let mut numbers: BTreeMap<&Bytes, u32> = BTreeMap::new();
    let mut subjects = Vec::new();
    let mut numbered = Vec::with_capacity(slots.len());
    // Neighbours often have the same one, which need not be looked for then.
    let mut last: Option<(&Bytes, u32)> = None;
    for Slot { subject, .. } in slots {
        let number = last.filter(|(same, _)| *same == subject).map(|(_, number)| number);
        let number = number.unwrap_or_else(|| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(subject).or_insert_with(|| {
                subjects.push(subject);
                next
            })
        });
        numbered.push(number);
        last = Some((subject, number));
    }
    let names: usize = subjects.iter().map(|subject| 2 + subject.len()).sum();
    let mut bytes = Vec::with_capacity(4 + names + 4 + slots.len() * SLOT + TRAILER);
    put_len(&mut bytes, subjects.len());
    for subject in subjects {
        bytes.extend_from_slice(&u16::try_from(subject.len()).unwrap_or(u16::MAX).to_le_bytes());
        bytes.extend_from_slice(subject);
    }
    put_len(&mut bytes, slots.len());
    for (slot, subject) in slots.iter().zip(numbered) {
        bytes.extend_from_slice(&slot.seq.to_le_bytes());
        bytes.extend_from_slice(&slot.time.to_le_bytes());
        for word in [slot.offset, slot.length, subject, slot.headers_len, slot.checksum, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    bytes.extend_from_slice(INDEX_MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    for word in [index_at, first_seq, last_seq, group.0] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    let check = xxh3_64(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

fn put_len(bytes: &mut Vec<u8>, len: usize) {
    bytes.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

/// Where the index starts, if `trailer` can be one of this segment; verified only by [`decode_index`].
pub(super) fn index_at(trailer: &[u8], group: GroupId, first_seq: u64) -> Option<u64> {
    let mut fields = Fields(trailer);
    let ours = fields.take(4)? == INDEX_MAGIC && fields.u16()? == VERSION;
    fields.take(2)?;
    let at = fields.u64()?;
    let ours = ours && fields.u64()? == first_seq;
    fields.u64()?;
    (ours && fields.u64()? == group.0).then_some(at)
}

/// What index and trailer say; `None` if they are not whole.
pub(super) fn decode_index(bytes: &[u8], index_at: u64) -> Option<Sealed> {
    let (covered, check) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    if xxh3_64(covered) != Fields(check).u64()? {
        return None;
    }
    let mut fields = Fields(covered);
    let mut subjects = Vec::new();
    for _ in 0..fields.u32()? {
        let len = usize::from(fields.u16()?);
        subjects.push(Bytes::copy_from_slice(fields.take(len)?));
    }
    let count = usize::try_from(fields.u32()?).ok()?;
    // Checked before it is allocated.
    let mut table = Fields(fields.take(count.checked_mul(SLOT)?)?);
    let mut slots = Vec::with_capacity(count);
    for _ in 0..count {
        let (seq, time) = (table.u64()?, table.u64()?.cast_signed());
        let [offset, length, subject, headers_len, checksum, _] =
            [table.u32()?, table.u32()?, table.u32()?, table.u32()?, table.u32()?, table.u32()?];
        let subject = subjects.get(usize::try_from(subject).ok()?)?.clone();
        slots.push(Slot { seq, time, offset, length, headers_len, checksum, subject });
    }
    fields.take(24)?;
    let last_seq = fields.u64()?;
    let ordered = slots.is_sorted_by(|a, b| a.seq < b.seq);
    (ordered && slots.iter().all(|slot| slot.end() <= index_at)).then_some(Sealed {
        index_at,
        last_seq,
        slots,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(seq: u64, offset: u32, subject: &'static [u8]) -> Slot {
        let subject = Bytes::from_static(subject);
        Slot { seq, time: 5, offset, length: 40, headers_len: 2, checksum: 9, subject }
    }

    #[test]
    fn a_header_has_the_documented_bytes() {
        let bytes = header(GroupId(3), 17);
        assert_eq!(bytes[..24], *b"FSEG\x01\0\0\0\x03\0\0\0\0\0\0\0\x11\0\0\0\0\0\0\0");
        assert_eq!(bytes[24..], xxh3_64(&bytes[..24]).to_le_bytes());
    }

    #[test]
    fn an_index_has_the_documented_bytes() {
        let slots = [slot(4, 32, b"a"), slot(6, 72, b"a")];
        let bytes = encode_index(GroupId(3), 4, 7, 112, &slots);
        assert_eq!(bytes[..11], *b"\x01\0\0\0\x01\0a\x02\0\0\0");
        let first = b"\x04\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x20\0\0\0\x28\0\0\0\0\0\0\0\x02\0\0\0\x09\0\0\0\0\0\0\0";
        assert_eq!(bytes[11..51], *first);
        let trailer = &bytes[bytes.len() - TRAILER..];
        assert_eq!(trailer[..16], *b"FIDX\x01\0\0\0\x70\0\0\0\0\0\0\0");
        assert_eq!(index_at(trailer, GroupId(3), 4), Some(112));
        assert_eq!(index_at(trailer, GroupId(2), 4), None);
        let sealed = Sealed { index_at: 112, last_seq: 7, slots: slots.to_vec() };
        assert_eq!(decode_index(&bytes, 112), Some(sealed));
        for bit in 0..bytes.len() * 8 {
            let mut hurt = bytes.clone();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_index(&hurt, 112), None, "bit {bit}");
        }
    }

    #[test]
    fn the_content_hash_does_not_depend_on_where_records_lie() {
        let hash = |slots: &[Slot]| content_hash(slots.iter());
        assert_eq!(hash(&[slot(4, 32, b"a")]), hash(&[slot(4, 99, b"a")]));
        assert_ne!(hash(&[slot(4, 32, b"a")]), hash(&[slot(5, 32, b"a")]));
    }
}
