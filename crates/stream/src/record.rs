//! What a stream keeps of one message.

use bytes::Bytes;

use crate::{StorageKind, Timestamp};

/// A stored message, as it goes to the segment writer and to readers of the stream's tail. Its body is a slice of
/// the committed command: holding one holds the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place in the stream; never used for another message.
    pub seq: u64,
    /// The applied time of the command that stored it.
    pub time: Timestamp,
    /// Subject, headers and payload, one behind the other.
    pub body: Bytes,
    /// How much of the body is the subject it was published on, UTF-8.
    pub subject_len: u16,
    /// How much of it then is the header block from `NATS/1.0` to the empty line; 0 without one.
    pub headers_len: u16,
}

/// What the index needs to know of a record that a segment holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    /// The record's sequence.
    pub seq: u64,
    /// The record's time.
    pub time: Timestamp,
    /// The record's subject, UTF-8.
    pub subject: Bytes,
    /// The record's size as [`message_size`] gives it.
    pub size: u32,
}

/// The bytes that a message of these lengths counts for against `max_bytes` and in a stream's state.
///
/// This is NATS's arithmetic, because clients see the sum: with file storage 30 bytes of framing,
/// and 4 more when there are headers; with memory storage 16.
#[must_use]
pub fn message_size(storage: StorageKind, subject: usize, headers: usize, payload: usize) -> u64 {
    let framing = match storage {
        StorageKind::File if headers == 0 => 30,
        StorageKind::File => 34,
        StorageKind::Memory => 16,
    };
    framing + subject as u64 + headers as u64 + payload as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_counted_as_nats_counts_them() {
        assert_eq!(message_size(StorageKind::File, 3, 0, 5), 38);
        assert_eq!(message_size(StorageKind::File, 3, 12, 5), 54);
        assert_eq!(message_size(StorageKind::Memory, 3, 12, 5), 36);
    }
}
