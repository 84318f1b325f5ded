//! One message on disk (docs/storage-format.md §3, record).

use bytes::Bytes;
use flotilla_raft::GroupId;

use crate::fields::Fields;

pub(super) const RECORD_HEADER: usize = 32;
const ERASED: u16 = 1;

/// A stored message. The byte fields are slices: of the entry that brought it, or of a block read from disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its place in the stream.
    pub seq: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub time: i64,
    /// The subject that it was published on; at most 65,535 bytes.
    pub subject: Bytes,
    /// The header block, or nothing.
    pub headers: Bytes,
    /// The payload.
    pub payload: Bytes,
}

/// What an index needs to know of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecordMeta {
    /// Its place in the stream.
    pub seq: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub time: i64,
    /// Its subject.
    pub subject: Bytes,
    /// The length of its headers in bytes.
    pub headers_len: u32,
    /// The length of its payload in bytes.
    pub payload_len: u32,
}

impl SegmentRecord {
    /// Its length on disk in bytes; what a segment's size is counted in.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        let parts = self.subject.len() + self.headers.len() + self.payload.len();
        (RECORD_HEADER + parts) as u64
    }

    /// The header that stands before subject, headers and payload; `None` if they are too long for it.
    pub(super) fn header(&self, group: GroupId) -> Option<[u8; RECORD_HEADER]> {
        self.header_with(group, 0)
    }

    /// The same record with zeros for headers and payload, marked as erased, in whole.
    pub(super) fn erased(&self, group: GroupId) -> Option<Vec<u8>> {
        let zeros = |bytes: &Bytes| Bytes::from(vec![0; bytes.len()]);
        let (headers, payload) = (zeros(&self.headers), zeros(&self.payload));
        let blank = Self { headers, payload, subject: self.subject.clone(), ..*self };
        let header = blank.header_with(group, ERASED)?;
        Some([&header[..], &blank.subject, &blank.headers, &blank.payload].concat())
    }

    fn header_with(&self, group: GroupId, flags: u16) -> Option<[u8; RECORD_HEADER]> {
        let mut bytes = Vec::with_capacity(RECORD_HEADER);
        bytes.extend_from_slice(&u32::try_from(self.stored_len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.seq.to_le_bytes());
        bytes.extend_from_slice(&self.time.to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.subject.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(self.headers.len()).ok()?.to_le_bytes());
        let mut header: [u8; RECORD_HEADER] = bytes.try_into().ok()?;
        let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        for part in [&header[..], &self.subject, &self.headers, &self.payload] {
            crc.update(part);
        }
        let crc = u32::try_from(crc.finalize()).ok()? ^ binding(group);
        header.get_mut(4..8)?.copy_from_slice(&crc.to_le_bytes());
        Some(header)
    }
}

/// What binds a checksum to the stream's group.
fn binding(group: GroupId) -> u32 {
    u32::try_from(group.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).unwrap_or(0)
}

/// A record within a block, its checksum verified.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) record: SegmentRecord,
    pub(super) checksum: u32,
    pub(super) erased: bool,
}

/// The record that `block` begins with; `None` if there is no whole and good one.
pub(super) fn parse(block: &Bytes, group: GroupId) -> Option<Parsed> {
    let mut fields = Fields(block);
    let length = usize::try_from(fields.u32()?).ok()?;
    let checksum = fields.u32()?;
    let seq = fields.u64()?;
    let time = fields.u64()?.cast_signed();
    let subject_len = usize::from(fields.u16()?);
    let flags = fields.u16()?;
    let headers_len = usize::try_from(fields.u32()?).ok()?;
    let whole = block.get(..length)?;
    let subject_end = RECORD_HEADER.checked_add(subject_len)?;
    let headers_end = subject_end.checked_add(headers_len)?;
    if headers_end > length || checksum_of(whole, group) != checksum {
        return None;
    }
    let record = SegmentRecord {
        seq,
        time,
        subject: block.slice(RECORD_HEADER..subject_end),
        headers: block.slice(subject_end..headers_end),
        payload: block.slice(headers_end..length),
    };
    Some(Parsed { record, checksum, erased: flags & ERASED != 0 })
}

/// The length that the record at the front of `block` claims, if it can be one.
pub(super) fn claimed_len(block: &[u8]) -> Option<usize> {
    let length = usize::try_from(Fields(block).u32()?).ok()?;
    (RECORD_HEADER..=block.len()).contains(&length).then_some(length)
}

fn checksum_of(record: &[u8], group: GroupId) -> u32 {
    let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    crc.update(record.get(..4).unwrap_or_default());
    crc.update(&[0; 4]);
    crc.update(record.get(8..).unwrap_or_default());
    u32::try_from(crc.finalize()).unwrap_or(0) ^ binding(group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::crc32c;

    fn record() -> SegmentRecord {
        SegmentRecord {
            seq: 7,
            time: -2,
            subject: Bytes::from_static(b"a.b"),
            headers: Bytes::from_static(b"NATS/1.0\r\n\r\n"),
            payload: Bytes::from_static(b"hello"),
        }
    }

    fn stored(record: &SegmentRecord, group: GroupId) -> Bytes {
        let header = record.header(group).unwrap();
        [&header[..], &record.subject, &record.headers, &record.payload].concat().into()
    }

    #[test]
    fn a_record_has_the_documented_bytes() {
        let mut expected =
            b"\x34\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF".to_vec();
        expected.extend_from_slice(b"\x03\0\0\0\x0c\0\0\0a.bNATS/1.0\r\n\r\nhello");
        let checksum = crc32c(&expected) ^ 0x9E37_79B9;
        expected[4..8].copy_from_slice(&checksum.to_le_bytes());
        // Group 1: the upper half of the constant itself.
        assert_eq!(stored(&record(), GroupId(1)), expected);
    }

    #[test]
    fn only_the_very_record_of_the_very_group_is_read() {
        let bytes = stored(&record(), GroupId(5));
        assert_eq!(parse(&bytes, GroupId(5)).unwrap().record, record());
        assert!(parse(&bytes, GroupId(6)).is_none());
        for bit in 0..bytes.len() * 8 {
            let mut hurt = bytes.to_vec();
            hurt[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&hurt.into(), GroupId(5)).is_none(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(parse(&bytes.slice(..len), GroupId(5)).is_none(), "cut to {len}");
        }
    }

    #[test]
    fn an_erased_record_keeps_its_place_and_nothing_else() {
        let erased = Bytes::from(record().erased(GroupId(5)).unwrap());
        assert_eq!(erased.len() as u64, record().stored_len());
        let parsed = parse(&erased, GroupId(5)).unwrap();
        assert!(parsed.erased);
        assert_eq!((parsed.record.seq, &parsed.record.subject[..]), (7, &b"a.b"[..]));
        assert!(parsed.record.payload.iter().chain(&parsed.record.headers).all(|&b| b == 0));
    }
}
