//! The frame of every committed command and base: a version byte, a kind byte, a body.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

/// The version that this build writes, and the newest that it reads.
pub(crate) const VERSION: u8 = 1;
/// The bytes before the body.
pub(crate) const PREFIX: usize = 2;

/// A committed command, or a base, that cannot be decoded. The leader encoded it and a quorum holds
/// it, so this is damage, or a server older than the command: the group must stop, not skip.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamagedCommand {
    /// There are fewer bytes than the field needs.
    #[error("{field} needs {needed} bytes, {left} are left")]
    Truncated {
        /// The field that does not fit.
        field: &'static str,
        /// The bytes it needs.
        needed: usize,
        /// The bytes there are.
        left: usize,
    },
    /// A field that is text is not UTF-8.
    #[error("{field} is not UTF-8")]
    NotText {
        /// The field.
        field: &'static str,
    },
    /// A newer server wrote it.
    #[error("version {0} is unknown, this server reads up to {VERSION}; update it")]
    UnknownVersion(u8),
    /// The kind is not one of this log's.
    #[error("kind {0} is unknown in this log")]
    UnknownKind(u8),
    /// There are bytes behind the end.
    #[error("{0} bytes follow the end of the command")]
    TrailingBytes(usize),
    /// It decodes, and says what nobody writes.
    #[error("it contradicts itself: {0}")]
    Contradiction(&'static str),
    /// The body is not what its kind says.
    #[error("the body of kind {kind} does not decode: {reason}")]
    Body {
        /// The command's kind.
        kind: u8,
        /// What the decoder found.
        reason: String,
    },
}

/// The kind and the body of `bytes`.
pub(crate) fn split(bytes: &[u8]) -> Result<(u8, &[u8]), DamagedCommand> {
    let [version, kind, body @ ..] = bytes else {
        return Err(DamagedCommand::Truncated { field: "prefix", needed: 2, left: bytes.len() });
    };
    if *version == 0 || *version > VERSION {
        return Err(DamagedCommand::UnknownVersion(*version));
    }
    Ok((*kind, body))
}

/// `value` behind a prefix, as MessagePack with field names.
pub(crate) fn encode<T: Serialize>(kind: u8, value: &T) -> Bytes {
    let mut bytes = vec![VERSION, kind];
    // Writing to memory cannot fail, and no type of this crate has a field that cannot be written.
    // Were that ever wrong, the short body would be refused by `decode_body` on every replica alike.
    if rmp_serde::encode::write_named(&mut bytes, value).is_err() {
        bytes.truncate(PREFIX);
    }
    Bytes::from(bytes)
}

/// The value that [`encode`] wrote, with nothing behind it.
pub(crate) fn decode_body<T: DeserializeOwned>(
    kind: u8,
    mut body: &[u8],
) -> Result<T, DamagedCommand> {
    let value = rmp_serde::from_read(&mut body)
        .map_err(|error| DamagedCommand::Body { kind, reason: error.to_string() })?;
    if body.is_empty() { Ok(value) } else { Err(DamagedCommand::TrailingBytes(body.len())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_bytes_decode() {
        let encoded = encode(7, &(1u64, "text".to_owned()));
        let (kind, body) = split(&encoded).unwrap();
        assert_eq!(kind, 7);
        assert_eq!(decode_body::<(u64, String)>(kind, body).unwrap(), (1, "text".to_owned()));

        let longer = [body, b"x"].concat();
        let error = decode_body::<(u64, String)>(kind, &longer).unwrap_err();
        assert_eq!(error, DamagedCommand::TrailingBytes(1));
        assert!(decode_body::<(u64, String)>(kind, &body[..body.len() - 1]).is_err());
        assert_eq!(split(&[9, 1]).unwrap_err(), DamagedCommand::UnknownVersion(9));
        assert!(matches!(split(&[1]), Err(DamagedCommand::Truncated { left: 1, .. })));
    }
}
