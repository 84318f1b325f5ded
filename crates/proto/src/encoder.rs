//! What a server writes to a client.
//!
//! Everything is appended to a buffer of the caller's; nothing is formatted through [`std::fmt`] on the path of a
//! message, and its sizes are turned into digits once for all its receivers.

use bytes::BufMut;

use crate::{ErrorReply, Info};

const CRLF: &[u8] = b"\r\n";

/// One message on its way to any number of subscriptions.
#[derive(Debug, Clone)]
pub struct Delivery<'a> {
    subject: &'a str,
    reply: Option<&'a str>,
    headers: &'a [u8],
    payload: &'a [u8],
    header_size: Decimal,
    payload_size: Decimal,
    total_size: Decimal,
}

impl<'a> Delivery<'a> {
    /// A message of `payload` to `subject`. `headers` is a whole header block, its closing empty line included.
    pub fn new(
        subject: &'a str,
        reply: Option<&'a str>,
        headers: Option<&'a [u8]>,
        payload: &'a [u8],
    ) -> Self {
        let headers = headers.unwrap_or_default();
        Self {
            subject,
            reply,
            headers,
            payload,
            header_size: Decimal::new(headers.len()),
            payload_size: Decimal::new(payload.len()),
            total_size: Decimal::new(headers.len() + payload.len()),
        }
    }

    /// The bytes of headers and payload: what counts as the message's size in statistics.
    pub fn size(&self) -> usize {
        self.headers.len() + self.payload.len()
    }

    /// Appends `MSG`, or `HMSG` if the message has headers and `with_headers` says the client understands them;
    /// other clients get the payload alone.
    pub fn put(&self, out: &mut impl BufMut, sid: &[u8], with_headers: bool) {
        let with_headers = with_headers && !self.headers.is_empty();
        out.put_slice(if with_headers { b"HMSG " } else { b"MSG " });
        out.put_slice(self.subject.as_bytes());
        out.put_u8(b' ');
        out.put_slice(sid);
        out.put_u8(b' ');
        if let Some(reply) = self.reply {
            out.put_slice(reply.as_bytes());
            out.put_u8(b' ');
        }
        if with_headers {
            out.put_slice(self.header_size.digits());
            out.put_u8(b' ');
            out.put_slice(self.total_size.digits());
            out.put_slice(CRLF);
            out.put_slice(self.headers);
        } else {
            out.put_slice(self.payload_size.digits());
            out.put_slice(CRLF);
        }
        out.put_slice(self.payload);
        out.put_slice(CRLF);
    }

    /// An upper bound of what [`put`](Self::put) appends, for reserving once.
    pub fn encoded_size(&self, sid: &[u8]) -> usize {
        const VERB_BLANKS_AND_DIGITS: usize = 5 + 4 + 2 * Decimal::MAX_DIGITS + 2 * CRLF.len();
        let reply = self.reply.map_or(0, str::len);
        self.subject.len() + sid.len() + reply + self.size() + VERB_BLANKS_AND_DIGITS
    }
}

/// Appends `PING`.
pub fn put_ping(out: &mut impl BufMut) {
    out.put_slice(b"PING\r\n");
}

/// Appends `PONG`.
pub fn put_pong(out: &mut impl BufMut) {
    out.put_slice(b"PONG\r\n");
}

/// Appends `+OK`.
pub fn put_ok(out: &mut impl BufMut) {
    out.put_slice(b"+OK\r\n");
}

/// Appends `-ERR '<text>'`.
pub fn put_error(out: &mut impl BufMut, error: &ErrorReply) {
    out.put_slice(b"-ERR '");
    out.put_slice(error.to_string().as_bytes());
    out.put_slice(b"'\r\n");
}

/// Appends `INFO <json>`.
///
/// # Errors
/// None that the type can cause; serialising to memory does not fail.
pub fn put_info(out: &mut impl BufMut, info: &Info) -> Result<(), serde_json::Error> {
    let json = serde_json::to_vec(info)?;
    out.put_slice(b"INFO ");
    out.put_slice(&json);
    // The blank before the line's end is part of what old clients have seen for ever.
    out.put_slice(b" \r\n");
    Ok(())
}

/// A number as text, without an allocation.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    text: [u8; Self::MAX_DIGITS],
    start: usize,
}

impl Decimal {
    /// The digits of `u64::MAX`.
    const MAX_DIGITS: usize = 20;

    fn new(mut number: usize) -> Self {
        let mut text = [b'0'; Self::MAX_DIGITS];
        let mut start = Self::MAX_DIGITS;
        loop {
            start -= 1;
            text[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Self { text, start };
            }
        }
    }

    fn digits(&self) -> &[u8] {
        &self.text[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(delivery: &Delivery<'_>, with_headers: bool) -> String {
        let mut out = Vec::new();
        delivery.put(&mut out, b"7", with_headers);
        assert!(out.len() <= delivery.encoded_size(b"7"));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn messages_look_like_the_reference_servers() {
        let plain = Delivery::new("a.b", None, None, b"hello");
        assert_eq!(put(&plain, true), "MSG a.b 7 5\r\nhello\r\n");
        let request = Delivery::new("a.b", Some("_INBOX.1"), None, b"");
        assert_eq!(put(&request, false), "MSG a.b 7 _INBOX.1 0\r\n\r\n");
        let headers = Delivery::new("a", Some("r"), Some(b"NATS/1.0\r\nA: b\r\n\r\n"), b"xyz");
        assert_eq!(put(&headers, true), "HMSG a 7 r 18 21\r\nNATS/1.0\r\nA: b\r\n\r\nxyz\r\n");
        assert_eq!(put(&headers, false), "MSG a 7 r 3\r\nxyz\r\n");
        assert_eq!(headers.size(), 21);
    }

    #[test]
    fn numbers_have_all_their_digits() {
        for number in [0, 1, 9, 10, 99, 100, 4096, 1_048_576, usize::MAX] {
            assert_eq!(Decimal::new(number).digits(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn the_small_lines_are_exact() {
        let mut out = Vec::new();
        put_ping(&mut out);
        put_pong(&mut out);
        put_ok(&mut out);
        put_error(&mut out, &ErrorReply::PublishPermission("a.b".into()));
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "PING\r\nPONG\r\n+OK\r\n-ERR 'Permissions Violation for Publish to \"a.b\"'\r\n"
        );
        let mut out = Vec::new();
        put_info(&mut out, &Info::default()).unwrap();
        assert!(out.starts_with(b"INFO {") && out.ends_with(b"} \r\n"));
    }
}
