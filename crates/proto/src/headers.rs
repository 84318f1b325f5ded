//! Message header blocks: `NATS/1.0[ status[ description]]`, `Key: value` lines, and an empty line, all ended by CRLF.
//!
//! Keys are compared byte by byte, case included, as the reference server does. Reading is lenient, as there: a line
//! without a colon is passed over. Writing is strict: a block built here is always well formed.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

const VERSION: &[u8] = b"NATS/1.0";
const CRLF: &[u8] = b"\r\n";

/// Why bytes are no header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The first line is not `NATS/1.0`, alone or followed by a status.
    #[error("the header block does not begin with a NATS/1.0 line")]
    Version,
}

/// A header block, read where it lies.
#[derive(Debug, Clone, Copy)]
pub struct HeaderBlock<'a> {
    /// What follows `NATS/1.0` on the first line.
    status_line: &'a [u8],
    /// Everything behind the first line.
    fields: &'a [u8],
}

impl<'a> HeaderBlock<'a> {
    /// Looks at `block`.
    ///
    /// # Errors
    /// It does not begin with a version line.
    pub fn parse(block: &'a [u8]) -> Result<Self, HeaderError> {
        let (first, fields) = split_line(block);
        match first.strip_prefix(VERSION) {
            Some(status_line) if matches!(status_line.first(), None | Some(b' ' | b'\t')) => {
                Ok(Self { status_line: status_line.trim_ascii(), fields })
            }
            _ => Err(HeaderError::Version),
        }
    }

    /// The status on the version line, for example 503 in `NATS/1.0 503`.
    pub fn status(&self) -> Option<u16> {
        let word = self.status_line.split(|byte| *byte == b' ').next()?;
        std::str::from_utf8(word).ok()?.parse().ok()
    }

    /// The text behind the status, for example `Idle Heartbeat`; empty if there is none.
    pub fn description(&self) -> &'a [u8] {
        let end_of_status = self.status_line.iter().position(|byte| *byte == b' ');
        end_of_status.map_or(&[], |end| self.status_line[end..].trim_ascii_start())
    }

    /// Keys and values in their order. Blanks around a value are not part of it.
    pub fn iter(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut remaining = self.fields;
        std::iter::from_fn(move || {
            while !remaining.is_empty() {
                let (line, rest) = split_line(remaining);
                remaining = rest;
                if let Some(colon) = memchr::memchr(b':', line).filter(|colon| *colon > 0) {
                    return Some((&line[..colon], line[colon + 1..].trim_ascii()));
                }
            }
            None
        })
    }

    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&'a [u8]> {
        self.get_all(key).next()
    }

    /// The first value of `key` as text; `None` also if it is not UTF-8.
    pub fn get_str(&self, key: &str) -> Option<&'a str> {
        std::str::from_utf8(self.get(key)?).ok()
    }

    /// All values of `key`.
    pub fn get_all(&self, key: &str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }
}

/// Takes the status off the version line of `block`, if one is there, so that a publisher cannot make a stored message
/// look like a control message of the server. Copies only then.
pub fn strip_status(block: &Bytes) -> Bytes {
    match HeaderBlock::parse(block) {
        Ok(parsed) if !parsed.status_line.is_empty() => {
            let mut stripped = BytesMut::with_capacity(block.len());
            stripped.put_slice(VERSION);
            stripped.put_slice(CRLF);
            stripped.put_slice(parsed.fields);
            stripped.freeze()
        }
        _ => block.clone(),
    }
}

/// The header block of the message that says nobody listens to `subject`.
pub fn no_responders(subject: &str) -> Bytes {
    HeaderBuilder::with_status(503, "").append("Nats-Subject", subject).build()
}

/// Writes a header block.
///
/// Line ends inside keys, values and descriptions become blanks, colons inside keys become `_`: nobody can smuggle a
/// header in by way of another's value.
#[derive(Debug, Clone)]
pub struct HeaderBuilder {
    block: BytesMut,
}

impl Default for HeaderBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl HeaderBuilder {
    /// A block without a status.
    pub fn new() -> Self {
        let mut block = BytesMut::with_capacity(128);
        block.put_slice(VERSION);
        block.put_slice(CRLF);
        Self { block }
    }

    /// A block with a status; `description` may be empty.
    pub fn with_status(status: u16, description: &str) -> Self {
        let mut block = BytesMut::with_capacity(128);
        block.put_slice(VERSION);
        block.put_u8(b' ');
        block.put_slice(status.to_string().as_bytes());
        if !description.is_empty() {
            block.put_u8(b' ');
            put_without_line_ends(&mut block, description.as_bytes(), |byte| byte);
        }
        block.put_slice(CRLF);
        Self { block }
    }

    /// A block with the fields of `from` whose key passes `keep`; its status is left behind.
    pub fn copy_of(from: &HeaderBlock<'_>, mut keep: impl FnMut(&[u8]) -> bool) -> Self {
        let mut copy = Self::new();
        for (key, value) in from.iter().filter(|(key, _)| keep(key)) {
            copy.put(key, value);
        }
        copy
    }

    /// Adds a field at the end.
    #[must_use]
    pub fn append(mut self, key: &str, value: &str) -> Self {
        self.put(key.as_bytes(), value.as_bytes());
        self
    }

    /// The finished block, its closing empty line included.
    pub fn build(mut self) -> Bytes {
        self.block.put_slice(CRLF);
        self.block.freeze()
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        put_without_line_ends(&mut self.block, key, |byte| if byte == b':' { b'_' } else { byte });
        self.block.put_slice(b": ");
        put_without_line_ends(&mut self.block, value, |byte| byte);
        self.block.put_slice(CRLF);
    }
}

fn put_without_line_ends(out: &mut BytesMut, text: &[u8], also: impl Fn(u8) -> u8) {
    out.extend(text.iter().map(|byte| match byte {
        b'\r' | b'\n' => b' ',
        byte => also(*byte),
    }));
}

/// The first line without its end, and what follows it. A lone LF ends a line too, as for the reference server's
/// clients.
fn split_line(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', text) {
        Some(end) => {
            let line = &text[..end];
            (line.strip_suffix(b"\r").unwrap_or(line), &text[end + 1..])
        }
        None => (text.strip_suffix(b"\r").unwrap_or(text), &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_read_in_place_with_case_and_order() {
        let raw = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 7\r\nA:b\r\nbroken\r\nA:  c \r\n\r\n";
        let block = HeaderBlock::parse(raw).unwrap();
        assert_eq!(block.status(), Some(100));
        assert_eq!(block.description(), b"Idle Heartbeat");
        assert_eq!(block.get_str("Nats-Last-Consumer"), Some("7"));
        assert_eq!(block.get("nats-last-consumer"), None);
        assert_eq!(block.get_all("A").collect::<Vec<_>>(), [b"b", b"c"]);
        assert_eq!(block.iter().count(), 3);
        assert_eq!(HeaderBlock::parse(b"NATS/1.0\r\n\r\n").unwrap().status(), None);
        for raw in [&b""[..], b"NATS/2.0\r\n\r\n", b"NATS/1.01\r\n\r\n"] {
            assert_eq!(HeaderBlock::parse(raw).err(), Some(HeaderError::Version));
        }
    }

    #[test]
    fn a_publishers_status_is_taken_off() {
        let control = Bytes::from_static(b"NATS/1.0 409 Leadership Change\r\nA: b\r\n\r\n");
        assert_eq!(strip_status(&control), &b"NATS/1.0\r\nA: b\r\n\r\n"[..]);
        let plain = Bytes::from_static(b"NATS/1.0\r\nA: b\r\n\r\n");
        assert_eq!(strip_status(&plain).as_ptr(), plain.as_ptr(), "nothing to do, nothing copied");
    }

    #[test]
    fn no_responders_is_what_the_reference_server_sends() {
        let block = no_responders("a..b");
        assert_eq!(block, &b"NATS/1.0 503\r\nNats-Subject: a..b\r\n\r\n"[..]);
        assert_eq!(block.len(), 36);
    }

    #[test]
    fn nothing_is_smuggled_through_a_value() {
        let block = HeaderBuilder::with_status(400, "a\r\nb")
            .append("Key:\n", "x\r\nEvil: 1\r\n\r\n")
            .build();
        let parsed = HeaderBlock::parse(&block).unwrap();
        assert_eq!(parsed.iter().count(), 1);
        assert_eq!(parsed.get("Evil"), None);
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(fields in prop::collection::vec(("[A-Za-z-]{1,9}", "[!-~]{0,12}"), 0..6)) {
            let builder = fields.iter().fold(HeaderBuilder::new(), |b, (k, v)| b.append(k, v));
            let block = builder.build();
            prop_assert!(block.ends_with(b"\r\n\r\n"));
            let parsed = HeaderBlock::parse(&block).unwrap();
            let read: Vec<_> = parsed.iter().collect();
            let expected: Vec<_> =
                fields.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())).collect();
            prop_assert_eq!(&read, &expected);
            prop_assert_eq!(HeaderBuilder::copy_of(&parsed, |_| true).build(), block);
        }

        #[test]
        fn no_bytes_panic(raw in prop::collection::vec(any::<u8>(), 0..80)) {
            let raw = [VERSION, &raw].concat();
            if let Ok(block) = HeaderBlock::parse(&raw) {
                let _ = (block.status(), block.description(), block.iter().count());
            }
            strip_status(&Bytes::from(raw));
        }
    }
}
