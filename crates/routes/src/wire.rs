//! This crate's own frames, on the link stream, and the codes that close a connection.
//!
//! A frame is the protocol version, one byte, then MessagePack with named fields: a newer server
//! may add fields that an older one passes over.

use bytes::Bytes;
use quinn::{Connection, VarInt};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::Refusal;
use crate::identity::Identity;

/// Version of the route protocol.
pub(crate) const VERSION: u8 = 1;

/// Longest Hello that is read, from a server of which nothing is known yet.
pub(crate) const HELLO_LIMIT: usize = 32 * 1024;

/// Longest frame on the link stream once linked.
pub(crate) const LINK_LIMIT: usize = 1024 * 1024;

/// Frames on the link stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LinkFrame {
    /// First frame in both directions.
    Hello(Box<Hello>),
    /// The deciding side has made this connection the link.
    Welcome,
    /// The sender changed what it says about itself.
    Identity(Box<Identity>),
    /// All servers that the sender is linked to.
    Gossip(Vec<Neighbour>),
    /// The sender ends the link, for this reason. Said before the connection is closed, since
    /// quinn 0.11 sends no close while the congestion window is full (quinn issue 2785).
    Goodbye(String),
}

/// How a server introduces itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub(crate) identity: Identity,
    /// Where others should dial it; without it, the address its datagrams come from.
    pub(crate) advertise: Option<(String, u16)>,
    /// Proof that it knows the cluster's credentials, see [`crate::crypto::proof`].
    pub(crate) proof: Option<[u8; 32]>,
}

/// A server that the sender of gossip is linked to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Neighbour {
    pub(crate) server_name: String,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// A frame on the link stream could not be read.
#[derive(Debug, Error)]
pub(crate) enum WireError {
    #[error("empty frame")]
    Empty,
    #[error("protocol version {0}")]
    Version(u8),
    #[error("malformed frame: {0}")]
    Malformed(#[from] rmp_serde::decode::Error),
}

impl From<WireError> for Refusal {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Version(theirs) => Self::Version { theirs, ours: VERSION },
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl LinkFrame {
    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = vec![VERSION];
        // Writing plain structs to memory has no way to fail; were there one, the peer would refuse
        // the cut frame.
        let _ = rmp_serde::encode::write_named(&mut bytes, self);
        Bytes::from(bytes)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (version, body) = bytes.split_first().ok_or(WireError::Empty)?;
        if *version != VERSION {
            return Err(WireError::Version(*version));
        }
        Ok(rmp_serde::from_slice(body)?)
    }
}

/// Application codes that a connection is closed with; the text beside them is for people, but for
/// [`ALREADY_LINKED`](code::ALREADY_LINKED), where it is the closing server's name.
pub(crate) mod code {
    pub(crate) const SHUTDOWN: u32 = 1;
    pub(crate) const REFUSED: u32 = 2;
    pub(crate) const ALREADY_LINKED: u32 = 3;
    pub(crate) const ONESELF: u32 = 4;
    pub(crate) const REPLACED: u32 = 5;
    /// After a goodbye, with its text.
    pub(crate) const ENDED: u32 = 6;
}

/// Closes a connection and tells the peer why.
pub(crate) fn refuse(connection: &Connection, own_name: &str, refusal: &Refusal) {
    let (code, text) = match refusal {
        Refusal::AlreadyLinked(_) => (code::ALREADY_LINKED, own_name.to_owned()),
        Refusal::Oneself => (code::ONESELF, refusal.to_string()),
        other => (code::REFUSED, other.to_string()),
    };
    connection.close(VarInt::from_u32(code), text.as_bytes());
}

/// Text from a peer, fit for a log: bounded, and without control characters.
pub(crate) fn printable(text: &[u8]) -> String {
    const LONGEST: usize = 256;
    String::from_utf8_lossy(text)
        .chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .take(LONGEST)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::tests::hello;
    use proptest::prelude::*;

    #[test]
    fn frames_survive_their_encoding() {
        let neighbour =
            Neighbour { server_name: "n2".into(), host: "127.0.0.1".into(), port: 6222 };
        for frame in [
            LinkFrame::Hello(Box::new(hello("n1"))),
            LinkFrame::Welcome,
            LinkFrame::Identity(Box::new(hello("n1").identity)),
            LinkFrame::Gossip(vec![neighbour]),
            LinkFrame::Goodbye("server shutdown".into()),
        ] {
            assert_eq!(LinkFrame::decode(&frame.encode()).unwrap(), frame);
        }
    }

    #[test]
    fn another_version_is_named() {
        let error = LinkFrame::decode(&[VERSION + 1, 0xc0]).unwrap_err();
        let refusal = Refusal::Version { theirs: VERSION + 1, ours: VERSION };
        assert_eq!(Refusal::from(error), refusal);
    }

    /// Fields of newer servers are passed over, but not to any depth.
    #[test]
    fn nesting_is_bounded() {
        let begin = [&[VERSION, 0x81, 0xa5][..], b"Hello", &[0x81, 0xa1], b"x"].concat();
        let bytes = [begin, vec![0x91; HELLO_LIMIT]].concat();
        assert!(matches!(LinkFrame::decode(&bytes), Err(WireError::Malformed(_))));
    }

    #[test]
    fn text_from_a_peer_cannot_forge_log_lines() {
        assert_eq!(printable(b"a\n[INF] b\x1b[2J"), "a\u{fffd}[INF] b\u{fffd}[2J");
        assert_eq!(printable(&[b'x'; 1000]).len(), 256);
    }

    proptest! {
        #[test]
        fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = LinkFrame::decode(&bytes);
            let _ = LinkFrame::decode(&[&[VERSION], &bytes[..]].concat());
        }

        /// One changed byte gives an error or another frame, never a panic.
        #[test]
        fn damage_is_survived(at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = LinkFrame::Hello(Box::new(hello("n1"))).encode().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = LinkFrame::decode(&bytes);
        }
    }
}
