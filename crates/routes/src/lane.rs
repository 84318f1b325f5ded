//! Lanes: independent, ordered flows of frames within one link.

use std::fmt;

use thiserror::Error;

/// One ordered flow of frames to a peer. Each lane is a QUIC stream of its own in each direction,
/// so that a lost datagram or a slow reader holds up one lane only.
///
/// When the network is the limit, lanes are served strictly in this order: `Control`, `Raft`,
/// `Messages`, `Bulk`. Catch-up therefore never delays appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Small, rare and urgent frames of the server.
    Control,
    /// Core NATS messages, and the interest that they are routed by.
    Messages,
    /// Raft bundles of one shard of the sender.
    Raft(u8),
    /// One transfer of catch-up data. The number is the sender's choice and must not be used twice
    /// on one link; [`Handle::finish`](crate::Handle::finish) ends it.
    Bulk(u64),
}

impl Lane {
    /// The scheduling priority of the lane's QUIC stream; higher goes first.
    pub(crate) fn priority(self) -> i32 {
        match self {
            Self::Control => 3,
            Self::Raft(_) => 2,
            Self::Messages => 1,
            Self::Bulk(_) => 0,
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("control"),
            Self::Messages => f.write_str("messages"),
            Self::Raft(shard) => write!(f, "raft/{shard}"),
            Self::Bulk(transfer) => write!(f, "bulk/{transfer}"),
        }
    }
}

/// What a QUIC stream carries, as named by its first nine bytes: a code, then a 64-bit argument
/// (little-endian).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// This crate's own frames: Hello, gossip, changes of identity.
    Link,
    /// Frames of the server.
    Lane(Lane),
}

/// Length of a stream's first bytes.
pub(crate) const PROLOGUE: usize = 9;

/// A stream began with bytes that name no lane of this protocol version.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("stream names no known lane (code {code}, argument {argument})")]
pub(crate) struct UnknownLane {
    code: u8,
    argument: u64,
}

impl Purpose {
    pub(crate) fn encode(self) -> [u8; PROLOGUE] {
        let (code, argument) = match self {
            Self::Link => (0, 0),
            Self::Lane(Lane::Control) => (1, 0),
            Self::Lane(Lane::Messages) => (2, 0),
            Self::Lane(Lane::Raft(shard)) => (3, u64::from(shard)),
            Self::Lane(Lane::Bulk(transfer)) => (4, transfer),
        };
        let mut bytes = [code; PROLOGUE];
        bytes[1..].copy_from_slice(&u64::to_le_bytes(argument));
        bytes
    }

    pub(crate) fn decode(bytes: [u8; PROLOGUE]) -> Result<Self, UnknownLane> {
        let [code, rest @ ..] = bytes;
        let argument = u64::from_le_bytes(rest);
        let lane = match (code, argument) {
            (0, 0) => return Ok(Self::Link),
            (1, 0) => Lane::Control,
            (2, 0) => Lane::Messages,
            (3, shard) => match u8::try_from(shard) {
                Ok(shard) => Lane::Raft(shard),
                Err(_) => return Err(UnknownLane { code, argument }),
            },
            (4, transfer) => Lane::Bulk(transfer),
            _ => return Err(UnknownLane { code, argument }),
        };
        Ok(Self::Lane(lane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_purpose_survives_its_encoding() {
        let lanes = [Lane::Control, Lane::Messages, Lane::Raft(255), Lane::Bulk(u64::MAX)];
        for purpose in lanes.map(Purpose::Lane).into_iter().chain([Purpose::Link]) {
            assert_eq!(Purpose::decode(purpose.encode()), Ok(purpose));
        }
    }

    #[test]
    fn control_goes_first_and_bulk_last() {
        let order = [Lane::Control, Lane::Raft(3), Lane::Messages, Lane::Bulk(1)];
        assert!(order.is_sorted_by(|a, b| a.priority() > b.priority()));
    }

    proptest! {
        /// There is one spelling for each purpose: what decodes encodes to the same bytes.
        #[test]
        fn decoding_is_strict(bytes: [u8; PROLOGUE]) {
            if let Ok(purpose) = Purpose::decode(bytes) {
                prop_assert_eq!(purpose.encode(), bytes);
            }
        }
    }
}
