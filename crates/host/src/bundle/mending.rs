//! What a damaged replica asks its peers for, and what they give.

use bytes::Bytes;
use flotilla_disk::SegmentSummary;
use flotilla_raft::{Base, Entry, EntryKind, ReplicaId};
use serde::{Deserialize, Serialize};

use crate::mend::{At, Part};

/// See [`Say::Lack`](super::Say::Lack).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lack {
    /// Whose.
    pub replica: ReplicaId,
    /// What.
    pub part: Part,
}

/// See [`Say::State`](super::Say::State).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// For whom.
    pub to: ReplicaId,
    /// The asset's incarnation, as its replicas were created with it.
    pub incarnation: u64,
    /// What the replicas are of, as they were created.
    pub asset: Bytes,
    /// The state, but for what segments hold.
    pub base: Base,
    /// What segments hold at that index.
    pub files: Vec<SegmentSummary>,
}

/// See [`Say::Entries`](super::Say::Entries).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entries {
    /// For whom.
    pub to: ReplicaId,
    /// What the log that they come from has, too.
    pub proof: At,
    /// The entries, contiguous.
    pub entries: Vec<Entry>,
}

/// See [`Say::Segment`](super::Say::Segment).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// For whom.
    pub to: ReplicaId,
    /// Which segment, and what it holds.
    pub summary: SegmentSummary,
}

/// See [`Say::Compare`](super::Say::Compare).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compare {
    /// Who is to compare.
    pub to: ReplicaId,
    /// Through which index of the log.
    pub index: u64,
    /// The first message that is compared.
    pub first_seq: u64,
    /// The last one.
    pub last_seq: u64,
    /// The content hash over those of them that are live.
    pub hash: u64,
}

/// For whom, the proof, and of each entry term, index, kind and length of data.
#[derive(Serialize, Deserialize)]
struct Head(ReplicaId, At, Vec<(u64, u64, u8, u32)>);

impl Entries {
    /// The head, and behind it the entries' data as they are, uncopied.
    pub(super) fn encode(&self) -> Vec<Bytes> {
        let length = |data: &Bytes| u32::try_from(data.len()).unwrap_or(u32::MAX);
        let line = |e: &Entry| (e.term, e.index, e.kind as u8, length(&e.data));
        let head = Head(self.to, self.proof, self.entries.iter().map(line).collect());
        // Plain data into memory: it cannot fail.
        let head = rmp_serde::to_vec(&head).unwrap_or_default();
        let data = self.entries.iter().map(|e| e.data.clone());
        std::iter::once(head.into()).chain(data).collect()
    }

    /// Reads them back; their data are slices of `body`.
    pub(super) fn decode(body: &Bytes) -> Result<Self, rmp_serde::decode::Error> {
        let mut reader = std::io::Cursor::new(body.as_ref());
        let Head(to, proof, lines) =
            Head::deserialize(&mut rmp_serde::Deserializer::new(&mut reader))?;
        let mut at = usize::try_from(reader.position()).unwrap_or(body.len());
        let short = || {
            let what = "it ends before its entries, or has one of an unknown kind";
            <rmp_serde::decode::Error as serde::de::Error>::custom(what)
        };
        let mut entries = Vec::with_capacity(lines.len());
        for (term, index, kind, length) in lines {
            let end = at.saturating_add(length as usize);
            let kind = EntryKind::from_u8(kind).filter(|_| end <= body.len()).ok_or_else(short)?;
            entries.push(Entry { term, index, kind, data: body.slice(at..end) });
            at = end;
        }
        Ok(Self { to, proof, entries })
    }
}
