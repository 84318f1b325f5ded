//! The answer to a publish. The server writes it by hand: it is the most frequent JSON there is.

use serde::Deserialize;

use crate::decimal;
use crate::error::ApiError;

/// A stored message, or one that was stored before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PubAck<'a> {
    /// The stream that holds it.
    pub stream: &'a str,
    /// The stream's domain.
    pub domain: Option<&'a str>,
    /// Its sequence.
    pub sequence: u64,
    /// Whether a message with the same `Nats-Msg-Id` was there already; the sequence is that one's.
    pub duplicate: bool,
}

impl PubAck<'_> {
    /// Appends the JSON of the acknowledgement.
    pub fn write(&self, out: &mut Vec<u8>) {
        write_text(out, b"{\"stream\":", self.stream);
        if let Some(domain) = self.domain {
            write_text(out, b",\"domain\":", domain);
        }
        out.extend_from_slice(b",\"seq\":");
        decimal::push(out, self.sequence);
        if self.duplicate {
            // The space is the reference's own.
            out.extend_from_slice(b",\"duplicate\": true");
        }
        out.push(b'}');
    }

    /// Appends the JSON that says why nothing was stored in `stream`.
    pub fn write_refusal(out: &mut Vec<u8>, stream: &str, error: &ApiError) {
        out.extend_from_slice(b"{\"error\":{\"code\":");
        decimal::push(out, error.code.into());
        out.extend_from_slice(b",\"err_code\":");
        decimal::push(out, error.err_code.into());
        write_text(out, b",\"description\":", &error.description);
        write_text(out, b"},\"stream\":", stream);
        out.extend_from_slice(b",\"seq\":0}");
    }
}

/// Appends `key` and then `text` as a JSON string.
fn write_text(out: &mut Vec<u8>, key: &[u8], text: &str) {
    out.extend_from_slice(key);
    out.push(b'"');
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(plain) {
        out.extend_from_slice(text.as_bytes());
    } else {
        for character in text.chars() {
            write_character(out, character);
        }
    }
    out.push(b'"');
}

fn write_character(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\0'..' ' => out.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes()),
        _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// An acknowledgement as a client reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PubAckReply {
    /// Why nothing was stored; then only the stream is of use.
    pub error: Option<ApiError>,
    /// The stream.
    pub stream: String,
    /// The sequence of the message.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// The stream's domain.
    pub domain: Option<String>,
    /// Whether it was stored before.
    pub duplicate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use proptest::prelude::*;

    fn written(ack: &PubAck<'_>) -> String {
        let mut out = Vec::new();
        ack.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_bytes_are_those_of_the_reference() {
        let ack = PubAck { stream: "ORDERS", domain: None, sequence: 5, duplicate: false };
        assert_eq!(written(&ack), r#"{"stream":"ORDERS","seq":5}"#);
        let ack = PubAck { duplicate: true, ..ack };
        assert_eq!(written(&ack), r#"{"stream":"ORDERS","seq":5,"duplicate": true}"#);
        let ack = PubAck { domain: Some("hub"), ..ack };
        assert_eq!(
            written(&ack),
            r#"{"stream":"ORDERS","domain":"hub","seq":5,"duplicate": true}"#
        );

        let mut out = Vec::new();
        let error = ErrorKind::StreamWrongLastSequence.because(5);
        PubAck::write_refusal(&mut out, "ORDERS", &error);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            concat!(
                r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 5"},"#,
                r#""stream":"ORDERS","seq":0}"#
            )
        );
    }

    proptest! {
        #[test]
        fn clients_read_what_was_written(stream: String, sequence: u64, duplicate: bool, domain: Option<String>) {
            let ack = PubAck { stream: &stream, domain: domain.as_deref(), sequence, duplicate };
            let reply: PubAckReply = serde_json::from_str(&written(&ack)).unwrap();
            let expected = PubAckReply { error: None, stream: stream.clone(), sequence, domain, duplicate };
            prop_assert_eq!(reply, expected);

            let mut out = Vec::new();
            let error = ErrorKind::StreamStoreFailed.because(&stream);
            PubAck::write_refusal(&mut out, &stream, &error);
            let reply: PubAckReply = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(reply.error, Some(error));
            prop_assert_eq!(reply.stream, stream);
        }
    }
}
