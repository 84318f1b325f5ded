//! One message on disk (docs/storage-format.md §3, record).

use bytes::Bytes;
use flotilla_raft::GroupId;

use crate::fields::Fields;

pub(super) const RECORD_HEADER: usize = 32;
const ERASED: u16 = 1;

/// A stored message. Its body is a slice: of the entry that brought it, or of a block read from disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its place in the stream.
    pub seq: u64,
    /// When it was stored, in nanoseconds since 1970.
    pub time: i64,
    /// Subject, headers and payload, one behind the other.
    pub body: Bytes,
    /// How much of the body is the subject that it was published on.
    pub subject_len: u16,
    /// How much of it then is the header block; 0 without one.
    pub headers_len: u32,
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
        (RECORD_HEADER + self.body.len()) as u64
    }

    /// The subject within the body.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        self.body.get(..usize::from(self.subject_len)).unwrap_or_default()
    }

    /// Subject, headers and payload, each a slice of the body.
    #[must_use]
    pub fn into_parts(self) -> (Bytes, Bytes, Bytes) {
        let mut rest = self.body;
        let mut next = |len: usize| rest.split_to(len.min(rest.len()));
        let subject = next(usize::from(self.subject_len));
        let headers = next(usize::try_from(self.headers_len).unwrap_or(usize::MAX));
        (subject, headers, rest)
    }

    /// The header that stands before the body; `None` if the record is too long for it.
    pub(super) fn header(&self, group: GroupId) -> Option<[u8; RECORD_HEADER]> {
        self.header_with(group, 0)
    }

    /// The same record with zeros for headers and payload, marked as erased, in whole.
    pub(super) fn erased(&self, group: GroupId) -> Option<Vec<u8>> {
        let mut body = self.subject().to_vec();
        body.resize(self.body.len(), 0);
        let blank = Self { body: body.into(), ..*self };
        let header = blank.header_with(group, ERASED)?;
        Some([&header[..], &blank.body].concat())
    }

    fn header_with(&self, group: GroupId, flags: u16) -> Option<[u8; RECORD_HEADER]> {
        let mut header = [0; RECORD_HEADER];
        let mut rest = &mut header[..];
        let mut put = |field: &[u8]| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut_checked(field.len())?;
            now.copy_from_slice(field);
            rest = later;
            Some(())
        };
        put(&u32::try_from(self.stored_len()).ok()?.to_le_bytes())?;
        put(&[0; 4])?;
        put(&self.seq.to_le_bytes())?;
        put(&self.time.to_le_bytes())?;
        put(&self.subject_len.to_le_bytes())?;
        put(&flags.to_le_bytes())?;
        put(&self.headers_len.to_le_bytes())?;
        let mut crc = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        crc.update(&header);
        crc.update(&self.body);
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
    let subject_len = fields.u16()?;
    let flags = fields.u16()?;
    let headers_len = fields.u32()?;
    let whole = block.get(..length)?;
    let subject_end = RECORD_HEADER.checked_add(usize::from(subject_len))?;
    let headers_end = subject_end.checked_add(usize::try_from(headers_len).ok()?)?;
    if headers_end > length || checksum_of(whole, group) != checksum {
        return None;
    }
    let body = block.slice(RECORD_HEADER..length);
    let record = SegmentRecord { seq, time, body, subject_len, headers_len };
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
        let body = Bytes::from_static(b"a.bNATS/1.0\r\n\r\nhello");
        SegmentRecord { seq: 7, time: -2, body, subject_len: 3, headers_len: 12 }
    }

    fn stored(record: &SegmentRecord, group: GroupId) -> Bytes {
        let header = record.header(group).unwrap();
        [&header[..], &record.body].concat().into()
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
        assert_eq!((parsed.record.seq, parsed.record.subject()), (7, &b"a.b"[..]));
        assert!(parsed.record.body[3..].iter().all(|&b| b == 0));
    }
}
