//! Reading a request's JSON: strictly, because clients detect features by what is refused.

mod strict;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::strict::Strict;
use crate::error::{ApiError, ErrorKind};

/// Reads a request. An empty body is a request with nothing set; `null` is the same as leaving a
/// field out; a field the protocol does not know is refused, as the reference does by default.
///
/// The body is bounded by the connection's maximum payload, its depth by the JSON reader.
///
/// # Errors
/// 10025 `invalid JSON: …`.
pub fn decode<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    let value: Value = serde_json::from_slice(body).map_err(|error| invalid(&error))?;
    match without_nulls(value) {
        Value::Null => Ok(T::default()),
        value => T::deserialize(Strict(value)).map_err(|error| invalid(&error)),
    }
}

/// As [`decode`], for requests that mean nothing without a body.
///
/// # Errors
/// 10003 for a body that is empty or `{}`, and those of [`decode`].
pub fn decode_required<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    let value: Value = decode(body)?;
    match value {
        Value::Null => Err(ErrorKind::BadRequest.error()),
        Value::Object(fields) if fields.is_empty() => Err(ErrorKind::BadRequest.error()),
        value => T::deserialize(Strict(value)).map_err(|error| invalid(&error)),
    }
}

/// As [`decode`], for requests whose body may be anything as long as it is not an object: older
/// clients send what they like where no body was defined.
///
/// # Errors
/// Those of [`decode`], for a body that begins as an object or a list.
pub fn decode_optional<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, ApiError> {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => decode(body),
        _ => Ok(T::default()),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        value => value,
    }
}

fn invalid(error: &serde_json::Error) -> ApiError {
    ErrorKind::InvalidJson.because(error)
}

/// The request of paged replies without other parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PageRequest {
    /// How many to pass over; below 0 is 0.
    pub offset: i64,
}

/// An offset as replies count it.
pub(crate) fn page_start(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}

impl PageRequest {
    /// How many to pass over.
    #[must_use]
    pub fn start(&self) -> u64 {
        page_start(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> String {
        let error = decode::<PageRequest>(body.as_bytes()).unwrap_err();
        assert_eq!((error.code, error.err_code), (400, 10025), "{body}");
        error.description.into_owned()
    }

    #[test]
    fn nothing_and_null_are_the_default() {
        for body in ["", " \r\n", "{}", "null", r#"{"offset":null}"#] {
            assert_eq!(decode::<PageRequest>(body.as_bytes()).unwrap(), PageRequest { offset: 0 });
        }
        assert_eq!(decode::<PageRequest>(br#"{"offset":7}"#).unwrap().start(), 7);
        assert_eq!(decode::<PageRequest>(br#"{"offset":-7}"#).unwrap().start(), 0);
    }

    #[test]
    fn unknown_fields_are_named() {
        assert_eq!(refusal(r#"{"foo":7}"#), r#"invalid JSON: json: unknown field "foo""#);
    }

    #[test]
    fn fields_are_known_at_every_depth() {
        use crate::consumer::CreateRequest;
        use crate::stream::StreamConfig;

        let refused = |error: ApiError| error.description.into_owned();
        let body = br#"{"stream_name":"S","config":{"filter_subjekt":"a"}}"#;
        let error = decode::<CreateRequest>(body).unwrap_err();
        assert_eq!(refused(error), r#"invalid JSON: json: unknown field "filter_subjekt""#);
        let body = br#"{"name":"S","placement":{"region":"eu"}}"#;
        let error = decode::<StreamConfig>(body).unwrap_err();
        assert_eq!(refused(error), r#"invalid JSON: json: unknown field "region""#);
        // Keys of a map are not fields.
        let body = br#"{"name":"S","metadata":{"region":"eu"}}"#;
        assert_eq!(decode::<StreamConfig>(body).unwrap().metadata["region"], "eu");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert!(refusal("{").starts_with("invalid JSON: EOF while parsing"));
        assert!(refusal(r#"{"offset":"x"}"#).starts_with("invalid JSON: invalid type: string"));
        assert!(refusal("{} {}").contains("trailing characters"));
        assert!(refusal(&"[".repeat(1000)).contains("recursion limit"));
    }

    #[test]
    fn a_body_may_be_required_or_optional() {
        for body in ["", "{}", " {} ", r#"{"offset":null}"#] {
            let error = decode_required::<PageRequest>(body.as_bytes()).unwrap_err();
            assert_eq!(error, ErrorKind::BadRequest.error(), "{body:?}");
        }
        assert!(decode_required::<PageRequest>(br#"{"offset":0}"#).is_ok());
        assert!(decode_optional::<PageRequest>(b"whatever").is_ok());
        assert!(decode_optional::<PageRequest>(b" {x").is_err());
    }
}
