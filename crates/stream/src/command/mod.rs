//! The entries of a stream's log: `[version u8][kind u8][body]`.

mod admin;
mod publish;

use bytes::Bytes;

pub use admin::{StreamChange, StreamCommand};
pub use publish::{MAX_HEADERS_LEN, MAX_SUBJECT_LEN, PublishBatchBuilder, PushError};
pub(crate) use publish::{PublishBatch, RawMessage};

use crate::codec::{self, DamagedCommand};

/// A batch of messages, flat.
const KIND_PUBLISH: u8 = 1;
/// One [`StreamCommand`], as MessagePack.
const KIND_CHANGE: u8 = 2;

/// Whether an entry of a stream's log stores messages, so that it takes room. It looks at the entry's kind alone.
#[must_use]
pub fn is_publish(entry: &[u8]) -> bool {
    entry.get(1) == Some(&KIND_PUBLISH)
}

/// A decoded entry; wholly checked, so that applying it cannot stop half way.
pub(crate) enum Entry<'a> {
    Publish(PublishBatch<'a>),
    Change(StreamCommand),
}

impl<'a> Entry<'a> {
    pub(crate) fn decode(bytes: &'a Bytes) -> Result<Self, DamagedCommand> {
        let (kind, body) = codec::split(bytes)?;
        match kind {
            KIND_PUBLISH => PublishBatch::decode(body).map(Self::Publish),
            KIND_CHANGE => codec::decode_body(kind, body).map(Self::Change),
            unknown => Err(DamagedCommand::UnknownKind(unknown)),
        }
    }
}
