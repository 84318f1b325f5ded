//! A batch of messages as one log entry. It never passes through serde: bodies are copied into it
//! once, on the leader, and are slices of it from then on.
//!
//! ```text
//! version u8 = 1 | kind u8 = 1 | time i64 | count u32 |
//!     count * ( subject length u16 | headers length u16 | payload length u32 |
//!               subject | headers | payload )
//! ```
//! Numbers are little-endian. The batch's limits in bytes and messages are its proposer's.

use bytes::Bytes;

use super::KIND_PUBLISH;
use crate::{
    Timestamp,
    codec::{self, DamagedCommand},
};

/// The longest subject a batch can carry; a NATS protocol line ends well before.
pub const MAX_SUBJECT_LEN: usize = u16::MAX as usize;
/// The longest header block a batch can carry; NATS refuses a longer one with error 10097.
pub const MAX_HEADERS_LEN: usize = u16::MAX as usize;

const TIME_AT: usize = codec::PREFIX;
const COUNT_AT: usize = TIME_AT + 8;
const MESSAGES_AT: usize = COUNT_AT + 4;
const LENGTHS: usize = 8;

/// A message that no batch can carry. It is the client's mistake; the batch is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The subject is longer than [`MAX_SUBJECT_LEN`].
    #[error("a subject of {0} bytes is longer than {MAX_SUBJECT_LEN}")]
    Subject(usize),
    /// The header block is longer than [`MAX_HEADERS_LEN`].
    #[error("a header block of {0} bytes is longer than {MAX_HEADERS_LEN}")]
    Headers(usize),
    /// The payload's length does not fit 32 bits.
    #[error("a payload of {0} bytes is longer than 4 GiB")]
    Payload(usize),
}

/// Gathers messages into the bytes of one publish entry. The leader's host uses it; it copies each
/// message once.
#[derive(Debug)]
pub struct PublishBatchBuilder {
    bytes: Vec<u8>,
    count: u32,
}

impl Default for PublishBatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl PublishBatchBuilder {
    /// A batch of no messages.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// A batch of no messages, with room for `bytes` of them.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(MESSAGES_AT.saturating_add(bytes));
        buffer.extend_from_slice(&[codec::VERSION, KIND_PUBLISH]);
        buffer.resize(MESSAGES_AT, 0);
        Self { bytes: buffer, count: 0 }
    }

    /// The bytes that a message adds to a batch.
    #[must_use]
    pub fn encoded_len(subject: &str, headers: &[u8], payload: &[u8]) -> usize {
        LENGTHS + subject.len() + headers.len() + payload.len()
    }

    /// Adds a message; its outcome will have the place it was pushed at.
    ///
    /// # Errors
    /// When a part is longer than an entry can say; nothing is added then.
    pub fn push(&mut self, subject: &str, headers: &[u8], payload: &[u8]) -> Result<(), PushError> {
        let subject_len =
            u16::try_from(subject.len()).map_err(|_| PushError::Subject(subject.len()))?;
        let headers_len =
            u16::try_from(headers.len()).map_err(|_| PushError::Headers(headers.len()))?;
        let payload_len =
            u32::try_from(payload.len()).map_err(|_| PushError::Payload(payload.len()))?;
        self.bytes.extend_from_slice(&subject_len.to_le_bytes());
        self.bytes.extend_from_slice(&headers_len.to_le_bytes());
        self.bytes.extend_from_slice(&payload_len.to_le_bytes());
        self.bytes.extend_from_slice(subject.as_bytes());
        self.bytes.extend_from_slice(headers);
        self.bytes.extend_from_slice(payload);
        self.count += 1;
        Ok(())
    }

    /// How many messages there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes of the entry so far.
    #[must_use]
    pub fn encoded_size(&self) -> usize {
        self.bytes.len()
    }

    /// The entry to propose, stamped with the leader's `time`.
    #[must_use]
    pub fn finish(mut self, time: Timestamp) -> Bytes {
        self.bytes[TIME_AT..COUNT_AT].copy_from_slice(&time.0.to_le_bytes());
        self.bytes[COUNT_AT..MESSAGES_AT].copy_from_slice(&self.count.to_le_bytes());
        Bytes::from(self.bytes)
    }
}

/// One message of a batch, as slices of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawMessage<'a> {
    pub(crate) subject: &'a str,
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
    /// All three, as they follow each other in the entry.
    pub(crate) body: &'a [u8],
}

/// A decoded batch: every length in it was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishBatch<'a> {
    pub(crate) time: Timestamp,
    count: u32,
    messages: &'a [u8],
}

impl<'a> PublishBatch<'a> {
    /// Checks the body of a publish entry to its last byte.
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, DamagedCommand> {
        let mut rest = body;
        let time = i64::from_le_bytes(take_array(&mut rest, "time")?);
        let count = u32::from_le_bytes(take_array(&mut rest, "count")?);
        let messages = rest;
        for _ in 0..count {
            take_message(&mut rest)?;
        }
        if !rest.is_empty() {
            return Err(DamagedCommand::TrailingBytes(rest.len()));
        }
        Ok(Self { time: Timestamp(time), count, messages })
    }

    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// The messages, in the order they were pushed.
    pub(crate) fn messages(&self) -> impl Iterator<Item = RawMessage<'a>> + use<'a> {
        let mut rest = self.messages;
        // `decode` has walked these very bytes, so no step of this walk fails.
        std::iter::from_fn(move || take_message(&mut rest).ok())
    }
}

fn take_message<'a>(rest: &mut &'a [u8]) -> Result<RawMessage<'a>, DamagedCommand> {
    let subject = u16::from_le_bytes(take_array(rest, "subject length")?);
    let headers = u16::from_le_bytes(take_array(rest, "headers length")?);
    let payload = u32::from_le_bytes(take_array(rest, "payload length")?);
    let from = *rest;
    let subject = take(rest, usize::from(subject), "subject")?;
    Ok(RawMessage {
        subject: std::str::from_utf8(subject)
            .map_err(|_| DamagedCommand::NotText { field: "subject" })?,
        headers: take(rest, usize::from(headers), "headers")?,
        payload: take(rest, payload as usize, "payload")?,
        body: &from[..from.len() - rest.len()],
    })
}

fn take<'a>(
    rest: &mut &'a [u8],
    needed: usize,
    field: &'static str,
) -> Result<&'a [u8], DamagedCommand> {
    let (taken, left) = rest.split_at_checked(needed).ok_or(DamagedCommand::Truncated {
        field,
        needed,
        left: rest.len(),
    })?;
    *rest = left;
    Ok(taken)
}

fn take_array<const N: usize>(
    rest: &mut &[u8],
    field: &'static str,
) -> Result<[u8; N], DamagedCommand> {
    let (taken, left) = rest.split_first_chunk::<N>().ok_or(DamagedCommand::Truncated {
        field,
        needed: N,
        left: rest.len(),
    })?;
    *rest = left;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Parts = (String, Vec<u8>, Vec<u8>);

    fn part() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..20)
    }

    fn built(messages: &[Parts], time: i64) -> Bytes {
        let mut batch = PublishBatchBuilder::new();
        for (subject, headers, payload) in messages {
            let before = batch.encoded_size();
            batch.push(subject, headers, payload).unwrap();
            let added = PublishBatchBuilder::encoded_len(subject, headers, payload);
            assert_eq!(batch.encoded_size(), before + added);
        }
        let size = batch.encoded_size();
        let bytes = batch.finish(Timestamp(time));
        assert_eq!(bytes.len(), size);
        bytes
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_decoded(
            messages in proptest::collection::vec((".{0,6}", part(), part()), 0..8),
            time in any::<i64>(),
        ) {
            let bytes = built(&messages, time);
            let batch = PublishBatch::decode(&bytes[codec::PREFIX..]).unwrap();
            prop_assert_eq!(batch.time, Timestamp(time));
            prop_assert_eq!(batch.len(), messages.len());
            let decoded: Vec<Parts> = batch
                .messages()
                .map(|m| (m.subject.to_owned(), m.headers.to_vec(), m.payload.to_vec()))
                .collect();
            prop_assert_eq!(decoded, messages);
        }

        #[test]
        fn no_shortened_batch_decodes(
            messages in proptest::collection::vec((".{0,6}", part(), part()), 1..4),
            cut in any::<proptest::sample::Index>(),
        ) {
            let bytes = built(&messages, 1);
            let body = &bytes[codec::PREFIX..];
            prop_assert!(PublishBatch::decode(&body[..cut.index(body.len())]).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = PublishBatch::decode(&bytes);
            let _ = super::super::Entry::decode(&Bytes::from([vec![1, 2], bytes].concat()));
        }
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_without_allocating() {
        let mut bytes = built(&[], 1).to_vec();
        bytes[COUNT_AT..MESSAGES_AT].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = PublishBatch::decode(&bytes[codec::PREFIX..]).unwrap_err();
        assert_eq!(
            error,
            DamagedCommand::Truncated { field: "subject length", needed: 2, left: 0 }
        );
    }

    #[test]
    fn what_is_too_long_leaves_the_batch_as_it_was() {
        let mut batch = PublishBatchBuilder::new();
        let long = "x".repeat(MAX_HEADERS_LEN + 1);
        assert_eq!(batch.push(&long, b"", b""), Err(PushError::Subject(long.len())));
        assert_eq!(batch.push("a", long.as_bytes(), b""), Err(PushError::Headers(long.len())));
        assert!(batch.is_empty());
        assert_eq!(batch.encoded_size(), MESSAGES_AT);
    }
}
