//! What replicas of one group say to each other, and its encoding.
//!
//! The encoding is `[version u8][header length u32 LE][header: MessagePack][entry data …]`. Entry data never
//! passes through serde: it is appended as the slices that the log holds, and taken apart into slices of the
//! received frame. Lengths are checked against what is there before anything is allocated.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::types::{Entry, EntryKind, Membership, ReplicaId};

/// The version that [`Message::encode`] writes and [`Message::decode`] takes.
pub const MESSAGE_VERSION: u8 = 1;

/// One message from a replica to another of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it.
    pub from: ReplicaId,
    /// To whom.
    pub to: ReplicaId,
    /// The sender's term (for a pre-vote: the term it would campaign in).
    pub term: u64,
    /// What it says.
    pub body: Body,
}

/// What a message says. The words are those of the Raft paper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// AppendEntries: these entries follow the one at (`prev_index`, `prev_term`).
    Append {
        /// Index of the entry before the first one here.
        prev_index: u64,
        /// Term of that entry.
        prev_term: u64,
        /// The leader's commit index.
        commit: u64,
        /// The entries, contiguous.
        entries: Vec<Entry>,
    },
    /// The log of the sender holds the leader's entries up to `index`, on stable storage.
    Appended {
        /// The last index that matches the leader's log.
        index: u64,
        /// The sender's commit index.
        commit: u64,
    },
    /// The entries did not fit the sender's log.
    Refused {
        /// The `prev_index` of the append that is refused.
        index: u64,
        /// The sender's commit index.
        commit: u64,
        /// Where the leader should try next.
        hint_index: u64,
        /// The term that the sender has there.
        hint_term: u64,
    },
    /// RequestVote, or its rehearsal.
    Vote {
        /// Whether it is the rehearsal (Raft dissertation, 9.6), which changes no one's term.
        pre: bool,
        /// The candidate's last index.
        last_index: u64,
        /// The term of its last entry.
        last_term: u64,
        /// The candidate's commit index.
        commit: u64,
        /// The term of the entry there.
        commit_term: u64,
        /// Whether the leader asked for it, so that its lease does not stand in the way.
        transfer: bool,
    },
    /// The answer to a vote request.
    VoteReply {
        /// Whether it answers the rehearsal.
        pre: bool,
        /// Whether the vote is given.
        granted: bool,
        /// On refusal: the voter's commit index.
        commit: u64,
        /// The term of the entry there.
        commit_term: u64,
    },
    /// The leader lives; everything up to `commit`, which the receiver has, is committed.
    Heartbeat {
        /// At most what the leader knows the receiver to hold.
        commit: u64,
        /// The read that this heartbeat confirms leadership for.
        read: Option<u64>,
    },
    /// The answer to a heartbeat.
    HeartbeatReply {
        /// The sender's commit index.
        commit: u64,
        /// The read of the heartbeat.
        read: Option<u64>,
    },
    /// The receiver needs a state instead of entries. What the state is travels on another lane; this is
    /// where it stands.
    Snapshot {
        /// The index that the state contains.
        index: u64,
        /// The term of the entry there.
        term: u64,
        /// The configuration at that index.
        membership: Membership,
    },
    /// Campaign now: leadership is being handed to you (Raft dissertation, 3.10).
    TimeoutNow,
}

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// There are fewer bytes than announced.
    #[error("a raft message ends after {have} bytes, {need} are needed")]
    Short {
        /// Bytes there.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// There are more bytes than announced.
    #[error("a raft message has {0} bytes behind its last entry")]
    Trailing(usize),
    /// The version is not one of ours.
    #[error("a raft message has version {0}, this server reads version {MESSAGE_VERSION}")]
    Version(u8),
    /// The header is not what it should be.
    #[error("the header of a raft message cannot be read: {0}")]
    Header(#[from] rmp_serde::decode::Error),
    /// An entry has a kind that this version does not know.
    #[error("entry {index} has the unknown kind {kind}")]
    Kind {
        /// The entry's index.
        index: u64,
        /// The kind's number.
        kind: u8,
    },
}

#[derive(Serialize, Deserialize)]
struct Header(ReplicaId, ReplicaId, u64, Says);

#[derive(Serialize, Deserialize)]
enum Says {
    Append(u64, u64, u64, Vec<EntryHeader>),
    Appended(u64, u64),
    Refused(u64, u64, u64, u64),
    Vote(bool, u64, u64, u64, u64, bool),
    VoteReply(bool, bool, u64, u64),
    Heartbeat(u64, Option<u64>),
    HeartbeatReply(u64, Option<u64>),
    Snapshot(u64, u64, Membership),
    TimeoutNow,
}

/// Term, index, kind, length of data.
#[derive(Serialize, Deserialize)]
struct EntryHeader(u64, u64, u8, u32);

impl Message {
    /// Bytes that [`encode`](Self::encode) hands on by reference: the size of all entries' data.
    #[must_use]
    pub fn data_len(&self) -> usize {
        match &self.body {
            Body::Append { entries, .. } => entries.iter().map(|e| e.data.len()).sum(),
            _ => 0,
        }
    }

    /// Writes the message as parts: one buffer with version and header, then the data of each entry as it
    /// is, uncopied.
    pub fn encode(&self, parts: &mut Vec<Bytes>) {
        let header = Header(self.from, self.to, self.term, Says::from(&self.body));
        let mut buffer = BytesMut::with_capacity(64);
        buffer.put_u8(MESSAGE_VERSION);
        buffer.put_u32_le(0);
        let mut writer = buffer.writer();
        // Writing into memory cannot fail, and none of these types refuses to be serialised.
        let written = rmp_serde::encode::write(&mut writer, &header);
        debug_assert!(written.is_ok());
        let mut buffer = writer.into_inner();
        let len = u32::try_from(buffer.len() - 5).unwrap_or(u32::MAX);
        buffer[1..5].copy_from_slice(&len.to_le_bytes());
        parts.push(buffer.freeze());
        if let Body::Append { entries, .. } = &self.body {
            parts.extend(entries.iter().filter(|e| !e.data.is_empty()).map(|e| e.data.clone()));
        }
    }

    /// Reads a message back; the entries' data are slices of `frame`.
    ///
    /// # Errors
    /// When the bytes are not a message of this version, whole and without a rest.
    pub fn decode(frame: &Bytes) -> Result<Self, DecodeError> {
        let short = |need| DecodeError::Short { have: frame.len(), need };
        let version = *frame.first().ok_or(short(5))?;
        if version != MESSAGE_VERSION {
            return Err(DecodeError::Version(version));
        }
        let len = frame.get(1..5).ok_or(short(5))?;
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let header = frame.get(5..5 + len).ok_or(short(5 + len))?;
        let Header(from, to, term, says) = rmp_serde::from_slice(header)?;
        let body = says.into_body(frame, 5 + len)?;
        Ok(Self { from, to, term, body })
    }
}

impl From<&Body> for Says {
    fn from(body: &Body) -> Self {
        match *body {
            Body::Append { prev_index, prev_term, commit, ref entries } => {
                let entries = entries.iter().map(EntryHeader::from).collect();
                Self::Append(prev_index, prev_term, commit, entries)
            }
            Body::Appended { index, commit } => Self::Appended(index, commit),
            Body::Refused { index, commit, hint_index, hint_term } => {
                Self::Refused(index, commit, hint_index, hint_term)
            }
            Body::Vote { pre, last_index, last_term, commit, commit_term, transfer } => {
                Self::Vote(pre, last_index, last_term, commit, commit_term, transfer)
            }
            Body::VoteReply { pre, granted, commit, commit_term } => {
                Self::VoteReply(pre, granted, commit, commit_term)
            }
            Body::Heartbeat { commit, read } => Self::Heartbeat(commit, read),
            Body::HeartbeatReply { commit, read } => Self::HeartbeatReply(commit, read),
            Body::Snapshot { index, term, ref membership } => {
                Self::Snapshot(index, term, membership.clone())
            }
            Body::TimeoutNow => Self::TimeoutNow,
        }
    }
}

impl From<&Entry> for EntryHeader {
    fn from(e: &Entry) -> Self {
        // An entry is bounded far below 4 GiB when it is proposed (`Options::max_entry_size`).
        Self(e.term, e.index, e.kind as u8, u32::try_from(e.data.len()).unwrap_or(u32::MAX))
    }
}

impl Says {
    /// `at` is where the entries' data begin in `frame`.
    fn into_body(self, frame: &Bytes, mut at: usize) -> Result<Body, DecodeError> {
        let body = match self {
            Self::Append(prev_index, prev_term, commit, headers) => {
                let mut entries = Vec::with_capacity(headers.len());
                for EntryHeader(term, index, kind, len) in headers {
                    let end = at + len as usize;
                    if end > frame.len() {
                        return Err(DecodeError::Short { have: frame.len(), need: end });
                    }
                    let kind = EntryKind::from_u8(kind).ok_or(DecodeError::Kind { index, kind })?;
                    entries.push(Entry { term, index, kind, data: frame.slice(at..end) });
                    at = end;
                }
                Body::Append { prev_index, prev_term, commit, entries }
            }
            Self::Appended(index, commit) => Body::Appended { index, commit },
            Self::Refused(index, commit, hint_index, hint_term) => {
                Body::Refused { index, commit, hint_index, hint_term }
            }
            Self::Vote(pre, last_index, last_term, commit, commit_term, transfer) => {
                Body::Vote { pre, last_index, last_term, commit, commit_term, transfer }
            }
            Self::VoteReply(pre, granted, commit, commit_term) => {
                Body::VoteReply { pre, granted, commit, commit_term }
            }
            Self::Heartbeat(commit, read) => Body::Heartbeat { commit, read },
            Self::HeartbeatReply(commit, read) => Body::HeartbeatReply { commit, read },
            Self::Snapshot(index, term, membership) => Body::Snapshot { index, term, membership },
            Self::TimeoutNow => Body::TimeoutNow,
        };
        if at == frame.len() { Ok(body) } else { Err(DecodeError::Trailing(frame.len() - at)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(message: &Message) -> Bytes {
        let mut parts = Vec::new();
        message.encode(&mut parts);
        parts.concat().into()
    }

    fn bodies() -> impl Strategy<Value = Body> {
        let entries = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9), 0..5);
        prop_oneof![
            (any::<[u64; 3]>(), entries).prop_map(|([prev_index, prev_term, commit], data)| {
                let entry = |(i, d): (usize, Vec<u8>)| Entry {
                    term: prev_term,
                    index: i as u64,
                    kind: if i % 2 == 0 { EntryKind::Command } else { EntryKind::Change },
                    data: d.into(),
                };
                let entries = data.into_iter().enumerate().map(entry).collect();
                Body::Append { prev_index, prev_term, commit, entries }
            }),
            any::<[u64; 2]>().prop_map(|[index, commit]| Body::Appended { index, commit }),
            any::<[u64; 4]>().prop_map(|[index, commit, hint_index, hint_term]| Body::Refused {
                index,
                commit,
                hint_index,
                hint_term
            }),
            (any::<[u64; 4]>(), any::<[bool; 2]>()).prop_map(|(n, [pre, transfer])| Body::Vote {
                pre,
                last_index: n[0],
                last_term: n[1],
                commit: n[2],
                commit_term: n[3],
                transfer
            }),
            (any::<u64>(), any::<Option<u64>>())
                .prop_map(|(commit, read)| Body::Heartbeat { commit, read }),
            Just(Body::TimeoutNow),
        ]
    }

    proptest! {
        #[test]
        fn a_message_survives_the_wire(from: u64, to: u64, term: u64, body in bodies()) {
            let message = Message { from: ReplicaId(from), to: ReplicaId(to), term, body };
            prop_assert_eq!(Message::decode(&whole(&message)).unwrap(), message);
        }

        #[test]
        fn a_cut_or_padded_message_is_refused(body in bodies(), cut in 0..64usize) {
            let message = Message { from: ReplicaId(1), to: ReplicaId(2), term: 3, body };
            let frame = whole(&message);
            let cut = frame.slice(..cut.min(frame.len() - 1));
            prop_assert!(Message::decode(&cut).is_err());
            let mut padded = frame.to_vec();
            padded.push(0);
            prop_assert!(Message::decode(&padded.into()).is_err());
        }

        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&bytes.into());
        }
    }
}
