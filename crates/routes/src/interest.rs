//! Frames of the messages lane: who is interested in what, and the messages themselves.
//!
//! A server tells each peer which subjects its own clients listen to ([`Interest`]), and a peer
//! sends it the messages that match ([`RoutedMessage`]). Both go on [`Lane::Messages`], whose order
//! makes a client's request find the interest in its reply.
//!
//! Interest is stated, not counted: each update says how things stand, so that stating it twice
//! changes nothing. On [`Event::PeerUp`] a server states all of its interest once: the first
//! frame replaces what the receiver knew, the others add to it.
//!
//! Integers are little-endian. Every length is checked against the bytes at hand; nothing is set
//! aside for a number that a peer names.
//!
//! [`Lane::Messages`]: crate::Lane::Messages
//! [`Event::PeerUp`]: crate::Event::PeerUp

mod message;
mod statement;

use bytes::Bytes;
use thiserror::Error;

pub use message::RoutedMessage;
pub use statement::{Interest, Statement};

/// Longest account, subject, reply or queue name, in bytes, and most queue groups of a message.
pub const LONGEST: usize = u16::MAX as usize;

/// First byte of a frame.
mod kind {
    pub(super) const MESSAGE: u8 = 1;
    pub(super) const UPDATE: u8 = 2;
    pub(super) const REPLACE: u8 = 3;
}

/// A frame of the messages lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message for subscribers of the receiver.
    Message(RoutedMessage),
    /// Interest of the sender.
    Statement(Statement),
}

impl Frame {
    /// Reads a frame. Its parts are slices of `bytes`.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut input = Input(bytes);
        match input.u8()? {
            kind::MESSAGE => RoutedMessage::read(input).map(Self::Message),
            kind::UPDATE => Statement::read(input, false).map(Self::Statement),
            kind::REPLACE => Statement::read(input, true).map(Self::Statement),
            other => Err(DecodeError::Kind(other)),
        }
    }
}

/// A frame cannot be read: its sender is broken, and the link should be cut.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first byte names no kind of frame.
    #[error("messages frame of unknown kind {0}")]
    Kind(u8),
    /// A field reaches beyond the end.
    #[error("messages frame ends within a field")]
    Short,
    /// The flags hold an unknown bit.
    #[error("messages frame with unknown flags {0:#04x}")]
    Flags(u8),
}

/// A frame cannot be written.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// A name is longer than [`LONGEST`], or there are more queue groups.
    #[error("{field} has {length}, the most is {LONGEST}")]
    TooLong {
        /// The field.
        field: &'static str,
        /// Its length, or number.
        length: usize,
    },
    /// Headers of 4 GiB or more.
    #[error("headers of {0} bytes are above 4 GiB")]
    Headers(usize),
}

/// A 16-bit length, checked.
fn length(field: &'static str, length: usize) -> Result<u16, EncodeError> {
    u16::try_from(length).map_err(|_| EncodeError::TooLong { field, length })
}

/// The bytes of a frame that have not been read.
struct Input(Bytes);

impl Input {
    fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.0.len() {
            return Err(DecodeError::Short);
        }
        Ok(self.0.split_to(length))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let array = *self.0.first_chunk::<N>().ok_or(DecodeError::Short)?;
        bytes::Buf::advance(&mut self.0, N);
        Ok(array)
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Bytes behind their 16-bit length.
    fn name(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}
