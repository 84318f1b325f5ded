//! Bundles as bytes.

#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};
use flotilla_raft::{DecodeError, GroupId, Message, Slot};
use serde::{Deserialize, Serialize};

use super::{Entries, Piece, PieceAt, Say};
use crate::share::{Share, shard_of};

/// The version that a bundle begins with.
pub const BUNDLE_VERSION: u8 = 4;

const ITEM_HEADER: usize = 1 + 8 + 4;

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
            Say::Digests(body) => self.body(4, body),
            Say::WakeShared(body) => self.body(5, body),
            Say::Offer(body) => self.body(6, body),
            Say::Fetch(body) => self.body(7, body),
            Say::Piece(piece) => {
                let kind = self.body(8, &piece.at);
                self.part(piece.data.clone());
                kind
            }
            Say::Taken(body) => self.body(9, body),
            Say::Lack(body) => self.body(10, body),
            Say::State(body) => self.body(11, body),
            Say::Entries(body) => {
                body.encode().into_iter().for_each(|part| self.part(part));
                12
            }
            Say::Segment(body) => self.body(13, body),
            Say::Compare(body) => self.body(14, body),
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

/// Takes a frame apart, as far as it concerns the groups of `share`; the items' data are slices of it.
///
/// # Errors
/// At the first item that cannot be read. What came before it was delivered, the rest is not.
pub fn unbundle(
    frame: &Bytes,
    share: Share,
    mut each: impl FnMut(GroupId, Say),
) -> Result<(), BundleError> {
    for item in items(frame)? {
        let Item { kind, group, start, end } = item?;
        if is_for_all(group) || share.holds(group) {
            each(group, say(kind, group, &frame.slice(start..end))?);
        }
    }
    Ok(())
}

/// Tells, once each, which of a server's `shards` a frame is for. One that cannot be read goes at least to the first
/// shard, which reports it.
pub fn addressed(frame: &[u8], shards: usize, mut each: impl FnMut(usize)) {
    if shards <= 1 {
        return each(0);
    }
    let mut told = [false; Slot::COUNT];
    let mut tell = |shard: usize| {
        if !std::mem::replace(&mut told[shard], true) {
            each(shard);
        }
    };
    let groups = items(frame).map(|items| items.map_while(Result::ok).map(|item| item.group));
    for group in groups.into_iter().flatten() {
        if is_for_all(group) {
            (0..shards.min(Slot::COUNT)).for_each(&mut tell);
        } else {
            tell(shard_of(group, shards));
        }
    }
    if told.iter().all(|told| !told) {
        each(0);
    }
}

fn is_for_all(group: GroupId) -> bool {
    group == GroupId(0)
}

/// Where an item stands in its frame.
struct Item {
    kind: u8,
    group: GroupId,
    start: usize,
    end: usize,
}

/// The items of a frame, up to the first that is cut short.
fn items(frame: &[u8]) -> Result<impl Iterator<Item = Result<Item, BundleError>>, BundleError> {
    match frame.first() {
        Some(&BUNDLE_VERSION) => {}
        other => return Err(BundleError::Version(other.copied())),
    }
    let mut at = 1;
    Ok(std::iter::from_fn(move || {
        if at >= frame.len() {
            return None;
        }
        let short = BundleError::Short(at);
        let Some(header) = frame.get(at..at + ITEM_HEADER) else {
            at = frame.len();
            return Some(Err(short));
        };
        let (kind, group, len) = item_header(header);
        let start = at + ITEM_HEADER;
        let end = start + len;
        if end > frame.len() {
            at = frame.len();
            return Some(Err(short));
        }
        at = end;
        Some(Ok(Item { kind, group, start, end }))
    }))
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
        4 => Say::Digests(read(group, body)?),
        5 => Say::WakeShared(read(group, body)?),
        6 => Say::Offer(Box::new(read(group, body)?)),
        7 => Say::Fetch(read(group, body)?),
        8 => piece(group, body)?,
        9 => Say::Taken(read(group, body)?),
        10 => Say::Lack(read(group, body)?),
        11 => Say::State(Box::new(read(group, body)?)),
        12 => Say::Entries(
            Entries::decode(body).map_err(|source| BundleError::Body { group, source })?,
        ),
        13 => Say::Segment(read(group, body)?),
        14 => Say::Compare(read(group, body)?),
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
