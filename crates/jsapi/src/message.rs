//! Reading and deleting single messages of a stream by request.

use data_encoding::BASE64;
use flotilla_stream::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{ApiError, ErrorKind};
use crate::omission::is_default;
use crate::time::Time;

/// Which message is wanted: the body of `STREAM.MSG.GET` and of `DIRECT.GET`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GetRequest {
    /// This sequence, or with `next_by_subj` the first to look at.
    #[serde(skip_serializing_if = "is_default")]
    pub seq: u64,
    /// The last message of this subject or pattern.
    #[serde(skip_serializing_if = "is_default")]
    pub last_by_subj: String,
    /// The first message of this subject or pattern.
    #[serde(skip_serializing_if = "is_default")]
    pub next_by_subj: String,
    /// Several messages; direct gets of later versions only.
    #[serde(skip_serializing_if = "is_default")]
    pub batch: i64,
    /// As many bytes; direct gets of later versions only.
    #[serde(skip_serializing_if = "is_default")]
    pub max_bytes: i64,
    /// The first message stored at or after this time.
    #[serde(skip_serializing_if = "is_default")]
    pub start_time: Option<Time>,
    /// The last messages of several subjects; direct gets of later versions only.
    #[serde(skip_serializing_if = "is_default")]
    pub multi_last: Vec<String>,
    /// Where several messages end; direct gets of later versions only.
    #[serde(skip_serializing_if = "is_default")]
    pub up_to_seq: u64,
    /// Where several messages end; direct gets of later versions only.
    #[serde(skip_serializing_if = "is_default")]
    pub up_to_time: Option<Time>,
    /// Whether the message's headers are left out.
    #[serde(skip_serializing_if = "is_default")]
    pub no_hdr: bool,
}

/// Which one message is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The message with this sequence.
    Sequence(u64),
    /// The last message of a subject or pattern.
    Last(String),
    /// The first message of a subject or pattern at or behind a sequence.
    Next {
        /// Subject or pattern.
        subject: String,
        /// The first sequence to look at; 0 is the stream's first.
        from: u64,
    },
    /// The first message stored at or after a time.
    Since {
        /// The time.
        time: Timestamp,
        /// Subject or pattern; `None` is all.
        subject: Option<String>,
    },
}

impl GetRequest {
    /// Which one message is asked for.
    ///
    /// # Errors
    /// 10003 when it is none, several, or contradictory.
    pub fn selector(self) -> Result<Selector, ApiError> {
        let several = self.batch > 0
            || self.max_bytes > 0
            || !self.multi_last.is_empty()
            || self.up_to_seq > 0
            || self.up_to_time.is_some();
        if several {
            return Err(ErrorKind::BadRequest.error());
        }
        let subject = |subject: String| (!subject.is_empty()).then_some(subject);
        let (last, next) = (subject(self.last_by_subj), subject(self.next_by_subj));
        match (self.seq, last, next, self.start_time) {
            (0, Some(subject), None, None) => Ok(Selector::Last(subject)),
            (from, None, Some(subject), None) => Ok(Selector::Next { subject, from }),
            (0, None, subject, Some(Time(time))) => {
                Ok(Selector::Since { time: time.unwrap_or(Timestamp(i64::MIN)), subject })
            }
            (seq, None, None, None) if seq > 0 => Ok(Selector::Sequence(seq)),
            _ => Err(ErrorKind::BadRequest.error()),
        }
    }

    /// Whether nothing says which message.
    pub(crate) fn selects_nothing(&self) -> bool {
        self.seq == 0
            && self.last_by_subj.is_empty()
            && self.next_by_subj.is_empty()
            && self.multi_last.is_empty()
            && self.start_time.is_none()
    }
}

/// The body of `STREAM.MSG.DELETE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeleteRequest {
    /// The message's sequence.
    pub seq: u64,
    /// Whether its bytes may stay on disk.
    pub no_erase: bool,
}

/// The payload of the reply to `STREAM.MSG.GET`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageFound {
    /// The message.
    pub message: StoredMessage,
}

/// A message as a stream keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    /// Its subject.
    pub subject: String,
    /// Its sequence.
    pub seq: u64,
    /// Its header block, as published; empty when there is none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub hdrs: Base64,
    /// Its payload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data: Base64,
    /// When it was stored.
    pub time: Time,
}

/// Bytes that travel as base64 text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&BASE64.encode_display(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request;

    fn selector(body: &str) -> Result<Selector, ApiError> {
        request::decode_required::<GetRequest>(body.as_bytes())?.selector()
    }

    #[test]
    fn one_message_is_selected() {
        let table = [
            (r#"{"seq":7}"#, Selector::Sequence(7)),
            (r#"{"seq":7,"no_hdr":true}"#, Selector::Sequence(7)),
            (r#"{"last_by_subj":"a.>"}"#, Selector::Last("a.>".to_owned())),
            (r#"{"next_by_subj":"a"}"#, Selector::Next { subject: "a".to_owned(), from: 0 }),
            (
                r#"{"next_by_subj":"a","seq":5}"#,
                Selector::Next { subject: "a".to_owned(), from: 5 },
            ),
            (
                r#"{"start_time":"1970-01-01T00:00:01Z"}"#,
                Selector::Since { time: Timestamp(1_000_000_000), subject: None },
            ),
            (
                r#"{"start_time":"0001-01-01T00:00:00Z","next_by_subj":"a"}"#,
                Selector::Since { time: Timestamp(i64::MIN), subject: Some("a".to_owned()) },
            ),
        ];
        for (body, expected) in table {
            assert_eq!(selector(body), Ok(expected), "{body}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for body in [
            "",
            "{}",
            r#"{"seq":0}"#,
            r#"{"no_hdr":true}"#,
            r#"{"seq":1,"last_by_subj":"a"}"#,
            r#"{"last_by_subj":"a","next_by_subj":"a"}"#,
            r#"{"seq":1,"start_time":"1970-01-01T00:00:01Z"}"#,
            r#"{"last_by_subj":"a","start_time":"1970-01-01T00:00:01Z"}"#,
            r#"{"seq":1,"batch":2}"#,
            r#"{"multi_last":["a"]}"#,
        ] {
            assert_eq!(selector(body), Err(ErrorKind::BadRequest.error()), "{body}");
        }
        assert_eq!(selector(r#"{"sequence":1}"#).unwrap_err().err_code, 10025);
    }

    #[test]
    fn bytes_survive_as_text() {
        let bytes = Base64(vec![0, 1, 254, 255]);
        let json = serde_json::to_string(&bytes).unwrap();
        assert_eq!(json, r#""AAH+/w==""#);
        assert_eq!(serde_json::from_str::<Base64>(&json).unwrap(), bytes);
        assert!(serde_json::from_str::<Base64>(r#""A""#).is_err());
    }
}
