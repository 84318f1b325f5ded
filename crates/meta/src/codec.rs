//! The frame of everything this crate writes: a version byte, then MessagePack with field names.

use serde::{Serialize, de::DeserializeOwned};

/// The version that this build writes, and the newest that it reads.
const VERSION: u8 = 1;

/// Bytes that this build cannot decode. For a committed command or a base that is damage, or a
/// server older than its log: the replica must stop, not skip. For a peer's message it is a reason
/// to drop it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DamagedCommand {
    /// Not even a version.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// A newer server wrote it.
    #[error("the {what} has version {version}, this server reads up to {VERSION}; update it")]
    UnknownVersion {
        /// What was decoded.
        what: &'static str,
        /// The version found.
        version: u8,
    },
    /// There are bytes behind the end.
    #[error("{bytes} bytes follow the end of the {what}")]
    TrailingBytes {
        /// What was decoded.
        what: &'static str,
        /// How many bytes follow.
        bytes: usize,
    },
    /// The body is not what it should be.
    #[error("the {what} does not decode: {reason}")]
    Body {
        /// What was decoded.
        what: &'static str,
        /// What the decoder found.
        reason: String,
    },
}

/// `value` behind a version byte.
pub(crate) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    // Writing to memory cannot fail, and no type of this crate has a field that cannot be written.
    // Were that ever wrong, the short body would be refused by `decode` on every replica alike.
    if rmp_serde::encode::write_named(&mut bytes, value).is_err() {
        bytes.truncate(1);
    }
    bytes
}

/// The value that [`encode`] wrote, with nothing behind it. The decoder takes no length on trust:
/// it allocates as elements arrive.
pub(crate) fn decode<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, DamagedCommand> {
    let [version, body @ ..] = bytes else {
        return Err(DamagedCommand::Empty(what));
    };
    if *version == 0 || *version > VERSION {
        return Err(DamagedCommand::UnknownVersion { what, version: *version });
    }
    let mut rest = body;
    let value = rmp_serde::from_read(&mut rest)
        .map_err(|error| DamagedCommand::Body { what, reason: error.to_string() })?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(DamagedCommand::TrailingBytes { what, bytes: rest.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_encoded_here_is_refused() {
        let bytes = encode(&vec![1_u64, 2, 3]);
        assert_eq!(decode::<Vec<u64>>("list", &bytes), Ok(vec![1, 2, 3]));
        assert_eq!(decode::<Vec<u64>>("list", &[]), Err(DamagedCommand::Empty("list")));
        let newer = [&[9], &bytes[1..]].concat();
        assert!(matches!(
            decode::<Vec<u64>>("list", &newer),
            Err(DamagedCommand::UnknownVersion { version: 9, .. })
        ));
        let longer = [&bytes[..], &[0, 0]].concat();
        assert!(matches!(
            decode::<Vec<u64>>("list", &longer),
            Err(DamagedCommand::TrailingBytes { bytes: 2, .. })
        ));
        for end in 1..bytes.len() {
            assert!(decode::<Vec<u64>>("list", &bytes[..end]).is_err());
        }
        // A list that claims four billion elements and has none.
        assert!(decode::<Vec<u64>>("list", &[1, 0xdd, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
