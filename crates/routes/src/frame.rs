//! Frames on a stream: a 32-bit little-endian length, then that many bytes.

use bytes::{Buf, Bytes, BytesMut};
use thiserror::Error;

/// Length of a frame's header.
pub(crate) const HEADER: usize = 4;

/// Room that is made for one read. It bounds the bytes of one [`Event::Frames`](crate::Event),
/// except for a frame that is itself longer.
const READ: usize = 64 * 1024;

/// With less room than this between frames, new room is made.
const LEAST_READ: usize = 4 * 1024;

/// A frame announced a length above the limit.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("frame of {length} bytes is above the limit of {limit}")]
pub(crate) struct FrameTooLarge {
    length: usize,
    limit: usize,
}

/// Cuts a stream of bytes into frames without copying them once they have been read.
///
/// Frames are slices of the read buffer: whoever keeps a small frame for long keeps up to 64 KiB
/// alive with it, and should copy it.
#[derive(Debug)]
pub(crate) struct Deframer {
    /// Bytes read and not yet handed out; begins at a header.
    buffer: BytesMut,
    limit: usize,
}

impl Deframer {
    /// Refuses frames of more than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Changes the limit for frames whose header has not been looked at.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether nothing of a further frame has been read.
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Where the next bytes of the stream belong, with room for at least one.
    ///
    /// Room grows with what has arrived, at most twofold, so that a header alone cannot claim
    /// memory.
    pub(crate) fn space(&mut self) -> &mut BytesMut {
        let room = self.buffer.capacity() - self.buffer.len();
        let wanted = match self.announced() {
            Some(length) => {
                let missing = (HEADER + length).saturating_sub(self.buffer.len());
                missing.clamp(1, self.buffer.len().max(READ))
            }
            None => LEAST_READ,
        };
        if room < wanted {
            self.buffer.reserve(wanted.max(READ));
        }
        &mut self.buffer
    }

    /// The next complete frame, `None` if more bytes are needed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, FrameTooLarge> {
        let Some(length) = self.announced() else { return Ok(None) };
        if length > self.limit {
            return Err(FrameTooLarge { length, limit: self.limit });
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// The length in the header at the front of the buffer.
    fn announced(&self) -> Option<usize> {
        let header = self.buffer.first_chunk::<HEADER>()?;
        usize::try_from(u32::from_le_bytes(*header)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use proptest::prelude::*;

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes.put_u32_le(u32::try_from(frame.len()).unwrap());
            bytes.put_slice(frame);
        }
        bytes
    }

    #[test]
    fn a_header_alone_claims_no_memory() {
        let mut deframer = Deframer::new(64 << 20);
        deframer.space().put_u32_le(64 << 20);
        assert_eq!(deframer.next(), Ok(None));
        assert!(deframer.space().capacity() <= 2 * READ);
    }

    #[test]
    fn a_length_above_the_limit_is_refused_before_its_bytes_arrive() {
        let mut deframer = Deframer::new(10);
        deframer.space().put_u32_le(11);
        assert_eq!(deframer.next(), Err(FrameTooLarge { length: 11, limit: 10 }));
    }

    proptest! {
        /// However a stream is torn into reads, the same frames come out.
        #[test]
        fn frames_survive_any_fragmentation(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20),
            step in 1usize..200,
        ) {
            let mut deframer = Deframer::new(300);
            let mut seen = Vec::new();
            for piece in stream(&frames).chunks(step) {
                deframer.space().put_slice(piece);
                while let Some(frame) = deframer.next().unwrap() {
                    seen.push(frame.to_vec());
                }
            }
            prop_assert_eq!(seen, frames);
        }

        /// A frame larger than a read is put together within twice its size.
        #[test]
        fn room_follows_what_arrived(length in READ..20 * READ) {
            let mut deframer = Deframer::new(length);
            let mut rest = &stream(&[vec![7; length]])[..];
            while !rest.is_empty() {
                let space = deframer.space();
                let room = space.capacity() - space.len();
                prop_assert!(room >= 1 && space.capacity() <= 2 * (length + 2 * READ));
                let (piece, later) = rest.split_at(room.min(rest.len()));
                space.put_slice(piece);
                rest = later;
            }
            prop_assert_eq!(deframer.next().unwrap().map(|frame| frame.len()), Some(length));
        }
    }
}
