//! What the hosts of two servers say to each other, bundled: everything that one turn of a shard has for one peer
//! leaves as one frame.
//!
//! A bundle is a run of items, each `[kind u8][group u64 LE][length u32 LE][body]`. Raft messages keep their own
//! encoding (entry data as slices, uncopied); the other bodies are MessagePack. The version byte stands once, at
//! the bundle's head.

use bytes::{BufMut, Bytes, BytesMut};
use flotilla_disk::SegmentSummary;
use flotilla_raft::{Base, DecodeError, GroupId, Message, ReplicaId};
use serde::{Deserialize, Serialize};

/// The version that a bundle begins with.
pub const BUNDLE_VERSION: u8 = 1;

const ITEM_HEADER: usize = 1 + 8 + 4;

/// One thing said about one group.
#[derive(Clone, Debug, PartialEq)]
pub enum Say {
    /// A Raft message.
    Raft(Message),
    /// The replica that a message was for does not live here.
    Unknown(Unknown),
    /// The leader lets the group sleep: nothing will be heard of it until something happens.
    Sleep(Sleep),
    /// Something happens: the group's time goes on.
    Wake,
    /// The leader's digest of the sleeping groups that both servers share (group [`GroupId`] 0).
    Digest(Digest),
    /// The digests differ: wake what we share (group [`GroupId`] 0).
    WakeShared,
    /// A state for a member that the log cannot bring up to date any more.
    Offer(Box<Offer>),
    /// A piece of an offered state is asked for.
    Fetch(Fetch),
    /// A piece of an offered state.
    Piece(Piece),
    /// The offered state is in place, or cannot be taken.
    Taken(Taken),
}

/// See [`Say::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unknown {
    /// The replica that is not here.
    pub replica: ReplicaId,
}

/// See [`Say::Sleep`]. Holds only for who is at exactly this point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    /// Who leads.
    pub leader: ReplicaId,
    /// In which term.
    pub term: u64,
    /// The last index, committed and held by all.
    pub commit: u64,
}

/// See [`Say::Digest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many groups.
    pub groups: u64,
    /// The sum of a hash of (group, term, commit) over them.
    pub hash: u64,
}

/// See [`Say::Offer`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Who offers.
    pub from: ReplicaId,
    /// To whom.
    pub to: ReplicaId,
    /// The leader's term.
    pub term: u64,
    /// The state, but for what segments hold.
    pub base: Base,
    /// What segments hold at that index.
    pub files: Vec<SegmentSummary>,
}

/// See [`Say::Fetch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Who asks.
    pub from: ReplicaId,
    /// The index of the offer.
    pub index: u64,
    /// Which segment.
    pub first_seq: u64,
    /// From which byte on.
    pub offset: u64,
}

/// See [`Say::Piece`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is a piece of.
    pub at: PieceAt,
    /// The bytes; empty when the segment is not there any more.
    pub data: Bytes,
}

/// Where a [`Piece`] belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceAt {
    /// For whom it is.
    pub to: ReplicaId,
    /// The index of the offer.
    pub index: u64,
    /// Which segment.
    pub first_seq: u64,
    /// From which byte on.
    pub offset: u64,
}

/// See [`Say::Taken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Who took it, or not.
    pub from: ReplicaId,
    /// The index of the offer.
    pub index: u64,
    /// Whether it is in place.
    pub taken: bool,
}

/// Why a frame is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The version is not one of ours.
    #[error("a bundle has version {0:?}, this server reads version {BUNDLE_VERSION}")]
    Version(Option<u8>),
    /// An item is cut short.
    #[error("a bundle ends in the middle of an item, {0} bytes behind its head")]
    Short(usize),
    /// An item's kind is unknown.
    #[error("an item of group {group} has the unknown kind {kind}")]
    Kind {
        /// The group.
        group: GroupId,
        /// The kind's number.
        kind: u8,
    },
    /// A Raft message cannot be read.
    #[error("in group {group}: {source}")]
    Message {
        /// The group.
        group: GroupId,
        /// Why.
        source: DecodeError,
    },
    /// Another body cannot be read.
    #[error("in group {group}: {source}")]
    Body {
        /// The group.
        group: GroupId,
        /// Why.
        source: rmp_serde::decode::Error,
    },
}

/// A bundle being filled: parts to be sent one behind the other as one frame.
#[derive(Debug, Default)]
pub struct Bundle {
    parts: Vec<Bytes>,
    bytes: usize,
}

impl Bundle {
    /// Bytes so far.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes
    }

    /// The frame, as parts.
    #[must_use]
    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }

    /// Adds an item.
    pub fn push(&mut self, group: GroupId, say: &Say) {
        if self.parts.is_empty() {
            self.part(Bytes::from_static(&[BUNDLE_VERSION]));
        }
        let header_at = self.parts.len();
        self.parts.push(Bytes::new());
        let before = self.bytes;
        let kind = match say {
            Say::Raft(message) => {
                let from = self.parts.len();
                message.encode(&mut self.parts);
                self.bytes += self.parts[from..].iter().map(Bytes::len).sum::<usize>();
                0
            }
            Say::Unknown(body) => self.body(1, body),
            Say::Sleep(body) => self.body(2, body),
            Say::Wake => 3,
            Say::Digest(body) => self.body(4, body),
            Say::WakeShared => 5,
            Say::Offer(body) => self.body(6, body),
            Say::Fetch(body) => self.body(7, body),
            Say::Piece(piece) => {
                let kind = self.body(8, &piece.at);
                self.part(piece.data.clone());
                kind
            }
            Say::Taken(body) => self.body(9, body),
        };
        let mut header = BytesMut::with_capacity(ITEM_HEADER);
        header.put_u8(kind);
        header.put_u64_le(group.0);
        header.put_u32_le(u32::try_from(self.bytes - before).unwrap_or(u32::MAX));
        self.bytes += ITEM_HEADER;
        self.parts[header_at] = header.freeze();
    }

    fn part(&mut self, part: Bytes) {
        self.bytes += part.len();
        if !part.is_empty() {
            self.parts.push(part);
        }
    }

    fn body(&mut self, kind: u8, body: &impl Serialize) -> u8 {
        // These types are plain data; writing them into memory cannot fail.
        let bytes = rmp_serde::to_vec(body).unwrap_or_default();
        self.part(bytes.into());
        kind
    }
}

/// Takes a frame apart; the items' data are slices of it.
///
/// # Errors
/// At the first item that cannot be read. What came before it was delivered: the caller drops the link.
pub fn unbundle(frame: &Bytes, mut each: impl FnMut(GroupId, Say)) -> Result<(), BundleError> {
    match frame.first() {
        Some(&BUNDLE_VERSION) => {}
        other => return Err(BundleError::Version(other.copied())),
    }
    let mut at = 1;
    while at < frame.len() {
        let header = frame.get(at..at + ITEM_HEADER).ok_or(BundleError::Short(at))?;
        let (kind, group, len) = item_header(header);
        let start = at + ITEM_HEADER;
        let end = start + len;
        if end > frame.len() {
            return Err(BundleError::Short(at));
        }
        each(group, say(kind, group, &frame.slice(start..end))?);
        at = end;
    }
    Ok(())
}

fn item_header(header: &[u8]) -> (u8, GroupId, usize) {
    let mut group = [0; 8];
    let mut len = [0; 4];
    group.copy_from_slice(&header[1..9]);
    len.copy_from_slice(&header[9..ITEM_HEADER]);
    (header[0], GroupId(u64::from_le_bytes(group)), u32::from_le_bytes(len) as usize)
}

fn say(kind: u8, group: GroupId, body: &Bytes) -> Result<Say, BundleError> {
    fn read<'a, T: Deserialize<'a>>(group: GroupId, body: &'a [u8]) -> Result<T, BundleError> {
        rmp_serde::from_slice(body).map_err(|source| BundleError::Body { group, source })
    }
    Ok(match kind {
        0 => Say::Raft(
            Message::decode(body).map_err(|source| BundleError::Message { group, source })?,
        ),
        1 => Say::Unknown(read(group, body)?),
        2 => Say::Sleep(read(group, body)?),
        3 => Say::Wake,
        4 => Say::Digest(read(group, body)?),
        5 => Say::WakeShared,
        6 => Say::Offer(Box::new(read(group, body)?)),
        7 => Say::Fetch(read(group, body)?),
        8 => piece(group, body)?,
        9 => Say::Taken(read(group, body)?),
        kind => return Err(BundleError::Kind { group, kind }),
    })
}

fn piece(group: GroupId, body: &Bytes) -> Result<Say, BundleError> {
    let mut reader = std::io::Cursor::new(body.as_ref());
    let at = PieceAt::deserialize(&mut rmp_serde::Deserializer::new(&mut reader))
        .map_err(|source| BundleError::Body { group, source })?;
    let start = usize::try_from(reader.position()).unwrap_or(body.len()).min(body.len());
    Ok(Say::Piece(Piece { at, data: body.slice(start..) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_raft::{Body, Entry, EntryKind};
    use proptest::prelude::*;

    fn items() -> Vec<(GroupId, Say)> {
        let entry = |index| Entry {
            term: 3,
            index,
            kind: EntryKind::Command,
            data: Bytes::from_static(b"payload"),
        };
        let append = Message {
            from: ReplicaId(1),
            to: ReplicaId(2),
            term: 3,
            body: Body::Append {
                prev_index: 6,
                prev_term: 3,
                commit: 5,
                entries: vec![entry(7), entry(8)],
            },
        };
        let at = PieceAt { to: ReplicaId(2), index: 5, first_seq: 1, offset: 300 };
        let file = SegmentSummary { first_seq: 1, last_seq: 9, bytes: 300, hash: 4, sealed: true };
        let offer = Offer {
            from: ReplicaId(1),
            to: ReplicaId(2),
            term: 3,
            base: Base {
                index: 5,
                term: 2,
                state: Bytes::from_static(b"state"),
                ..Base::default()
            },
            files: vec![file],
        };
        let sleep = Sleep { leader: ReplicaId(1), term: 3, commit: 8 };
        vec![
            (GroupId(4), Say::Raft(append)),
            (GroupId(5), Say::Wake),
            (GroupId(6), Say::Piece(Piece { at, data: Bytes::from_static(b"bytes") })),
            (GroupId(7), Say::Offer(Box::new(offer))),
            (GroupId(8), Say::Sleep(sleep)),
            (GroupId(0), Say::Digest(Digest { groups: 2, hash: 77 })),
            (GroupId(9), Say::Unknown(Unknown { replica: ReplicaId(2) })),
        ]
    }

    fn frame() -> (Bytes, usize) {
        let mut bundle = Bundle::default();
        for (group, say) in items() {
            bundle.push(group, &say);
        }
        let len = bundle.byte_len();
        (bundle.into_parts().concat().into(), len)
    }

    #[test]
    fn a_bundle_survives_the_wire() {
        let (frame, len) = frame();
        assert_eq!(frame.len(), len);
        let mut read = Vec::new();
        unbundle(&frame, |group, say| read.push((group, say))).unwrap();
        assert_eq!(read, items());
    }

    proptest! {
        #[test]
        fn a_damaged_bundle_is_an_error_and_never_a_panic(at: usize, byte: u8, cut: usize) {
            let (frame, _) = frame();
            let mut bytes = frame.to_vec();
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(1 + cut % len);
            let _ = unbundle(&bytes.into(), |_, _| ());
        }
    }
}
