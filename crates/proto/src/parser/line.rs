//! One line: its keyword and its arguments.

use bytes::Bytes;

use super::{Announced, ClientOp, ProtocolError};

/// The most arguments any operation has; one more is kept to see that there are too many.
const MAX_ARGUMENTS: usize = 4;
/// Sizes have at most this many digits, like the reference server's.
const MAX_SIZE_DIGITS: usize = 9;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Pub,
    Hpub,
    Sub,
    Unsub,
    Connect,
    Ping,
    Pong,
    Info,
    Ok,
    Err,
}

/// Keywords, whether they must be followed by a blank, and what they mean; the frequent ones first.
const VERBS: [(&[u8], bool, Verb); 10] = [
    (b"PUB", true, Verb::Pub),
    (b"HPUB", true, Verb::Hpub),
    (b"SUB", true, Verb::Sub),
    (b"UNSUB", true, Verb::Unsub),
    (b"PING", false, Verb::Ping),
    (b"PONG", false, Verb::Pong),
    (b"CONNECT", true, Verb::Connect),
    (b"INFO", true, Verb::Info),
    (b"+OK", false, Verb::Ok),
    (b"-ERR", true, Verb::Err),
];

/// The verb that `line`, complete or not, begins with, and where its arguments start. `None`: too short to say.
pub(super) fn recognise(line: &[u8]) -> Result<Option<(Verb, usize)>, ProtocolError> {
    for (keyword, needs_blank, verb) in VERBS {
        let common = keyword.len().min(line.len());
        if !line[..common].eq_ignore_ascii_case(&keyword[..common]) {
            continue;
        }
        return match line.get(keyword.len()) {
            None if line.len() < keyword.len() || needs_blank => Ok(None),
            None => Ok(Some((verb, keyword.len()))),
            Some(b' ' | b'\t') if needs_blank => Ok(Some((verb, keyword.len() + 1))),
            // The reference server reads on to the line's end, whatever stands there.
            Some(_) if !needs_blank => Ok(Some((verb, keyword.len()))),
            Some(_) => Err(ProtocolError::UnknownOperation),
        };
    }
    Err(ProtocolError::UnknownOperation)
}

/// A place within a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: usize,
    end: usize,
}

impl Span {
    pub(super) fn of(self, line: &[u8]) -> &[u8] {
        line.get(self.start..self.end).unwrap_or_default()
    }
}

/// What stands between the blanks of a line.
#[derive(Debug)]
pub(super) struct Arguments {
    spans: [Span; MAX_ARGUMENTS],
    /// How many there are, also if they are too many to be kept.
    count: usize,
}

impl Arguments {
    pub(super) fn split(line: &[u8], range: std::ops::Range<usize>) -> Self {
        let mut arguments = Self { spans: [Span::default(); MAX_ARGUMENTS], count: 0 };
        let mut start = None;
        let within = line.get(range.clone()).unwrap_or_default();
        for (at, byte) in (range.start..).zip(within) {
            let is_blank = matches!(byte, b' ' | b'\t');
            match start {
                None if !is_blank => start = Some(at),
                Some(begin) if is_blank => {
                    arguments.push(Span { start: begin, end: at });
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(begin) = start {
            arguments.push(Span { start: begin, end: range.end });
        }
        arguments
    }

    fn push(&mut self, span: Span) {
        if let Some(place) = self.spans.get_mut(self.count) {
            *place = span;
        }
        self.count += 1;
    }

    /// `PUB <subject> [reply] <size>`
    pub(super) fn publish(self, line: Bytes) -> Result<Announced, ProtocolError> {
        let verb = "PUB";
        let (subject, reply, total) = match (self.count, self.spans) {
            (2, [subject, total, ..]) => (subject, None, total),
            (3, [subject, reply, total, _]) => (subject, Some(reply), total),
            (given, _) => return Err(ProtocolError::Arguments { verb, given, expected: "2 or 3" }),
        };
        let total_size = parse_size(total.of(&line)).ok_or(ProtocolError::Size { verb })?;
        Ok(Announced { line, subject, reply, header_size: None, total_size })
    }

    /// `HPUB <subject> [reply] <header size> <total size>`
    pub(super) fn publish_with_headers(self, line: Bytes) -> Result<Announced, ProtocolError> {
        let verb = "HPUB";
        let (subject, reply, headers, total) = match (self.count, self.spans) {
            (3, [subject, headers, total, _]) => (subject, None, headers, total),
            (4, [subject, reply, headers, total]) => (subject, Some(reply), headers, total),
            (given, _) => return Err(ProtocolError::Arguments { verb, given, expected: "3 or 4" }),
        };
        let headers = parse_size(headers.of(&line)).ok_or(ProtocolError::Size { verb })?;
        let total_size = parse_size(total.of(&line)).ok_or(ProtocolError::Size { verb })?;
        if headers > total_size {
            return Err(ProtocolError::HeaderSize { headers, total: total_size });
        }
        Ok(Announced { line, subject, reply, header_size: Some(headers), total_size })
    }

    /// `SUB <subject> [queue] <sid>`
    pub(super) fn subscribe(&self, line: &[u8]) -> Result<ClientOp, ProtocolError> {
        let (subject, queue, sid) = match (self.count, self.spans) {
            (2, [subject, sid, ..]) => (subject, None, sid),
            (3, [subject, queue, sid, _]) => (subject, Some(queue), sid),
            (given, _) => {
                return Err(ProtocolError::Arguments { verb: "SUB", given, expected: "2 or 3" });
            }
        };
        let text = |span: Span| match std::str::from_utf8(span.of(line)) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(ProtocolError::SubscriptionNotText),
        };
        let queue = queue.map(text).transpose()?;
        Ok(ClientOp::Subscribe { subject: text(subject)?, queue, sid: sid.of(line).into() })
    }

    /// `UNSUB <sid> [max]`. A max that is no number, or 0, means "now", as with the reference server.
    pub(super) fn unsubscribe(&self, line: &[u8]) -> Result<ClientOp, ProtocolError> {
        let (sid, max) = match (self.count, self.spans) {
            (1, [sid, ..]) => (sid, None),
            (2, [sid, max, ..]) => (sid, parse_size(max.of(line))),
            (given, _) => {
                return Err(ProtocolError::Arguments { verb: "UNSUB", given, expected: "1 or 2" });
            }
        };
        let max = max.filter(|max| *max > 0).map(|max| max as u64);
        Ok(ClientOp::Unsubscribe { sid: sid.of(line).into(), max })
    }
}

fn parse_size(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > MAX_SIZE_DIGITS {
        return None;
    }
    digits.iter().try_fold(0_usize, |size, digit| match digit {
        b'0'..=b'9' => Some(size * 10 + usize::from(digit - b'0')),
        _ => None,
    })
}
