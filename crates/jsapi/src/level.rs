//! The level of the API: which requests this server is able to honour, and what it says about
//! itself in the metadata of streams and consumers.

use std::collections::BTreeMap;

use crate::error::{ApiError, ErrorKind};
use crate::header;

/// The level this server implements. Clients use features of a higher level only where a server
/// states it.
pub const API_LEVEL: u32 = 0;

/// The request header that asks for a level.
pub const REQUIRED_LEVEL_HEADER: &str = "Nats-Required-Api-Level";

/// Which level the features of an asset need. Nothing this server accepts needs more than the lowest.
const REQUIRED_LEVEL: &str = "_nats.req.level";
/// The level of the server that answers; only in replies.
const SERVER_LEVEL: &str = "_nats.level";
/// The version of the server that answers; only in replies.
const SERVER_VERSION: &str = "_nats.ver";

/// Refuses a request whose headers ask for more than this server implements.
///
/// # Errors
/// 10185 when the level asked for is higher than [`API_LEVEL`], or is not a number.
pub fn check_required_level(headers: &[u8]) -> Result<(), ApiError> {
    let Some(level) = header::value(headers, REQUIRED_LEVEL_HEADER) else { return Ok(()) };
    let level = std::str::from_utf8(level).ok().and_then(|level| level.parse::<i64>().ok());
    match level {
        Some(level) if level <= i64::from(API_LEVEL) => Ok(()),
        _ => Err(ErrorKind::RequiredApiLevel.error()),
    }
}

/// Adds what replies say about the asset and the server that answers.
pub(crate) fn stamp(metadata: &mut BTreeMap<String, String>, server_version: &str) {
    metadata.insert(REQUIRED_LEVEL.to_owned(), "0".to_owned());
    metadata.insert(SERVER_LEVEL.to_owned(), API_LEVEL.to_string());
    metadata.insert(SERVER_VERSION.to_owned(), server_version.to_owned());
}

/// Removes what replies said: clients send back a configuration they were told.
pub(crate) fn unstamped(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut metadata = metadata.clone();
    for key in [REQUIRED_LEVEL, SERVER_LEVEL, SERVER_VERSION] {
        metadata.remove(key);
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_level_we_have_is_accepted() {
        let block = |level: &str| {
            format!("NATS/1.0\r\n{REQUIRED_LEVEL_HEADER}: {level}\r\n\r\n").into_bytes()
        };
        assert_eq!(check_required_level(b""), Ok(()));
        assert_eq!(check_required_level(b"NATS/1.0\r\nA: b\r\n\r\n"), Ok(()));
        assert_eq!(check_required_level(&block("0")), Ok(()));
        assert_eq!(check_required_level(&block("")), Ok(()));
        for level in ["1", "3", "x", "99999999999999999999"] {
            let error = check_required_level(&block(level)).unwrap_err();
            assert_eq!((error.code, error.err_code), (412, 10185), "{level}");
        }
    }

    #[test]
    fn what_replies_say_is_not_kept() {
        let user = BTreeMap::from([("owner".to_owned(), "me".to_owned())]);
        let mut told = user.clone();
        stamp(&mut told, "2.10.29");
        assert_eq!(told.len(), 4);
        assert_eq!(unstamped(&told), user);
    }
}
