//! The operations of a client.

use bytes::Bytes;

use super::ProtocolError;
use super::line::Span;

/// One thing a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientOp {
    /// Who the client is: the JSON of a [`Connect`](crate::Connect), not yet read.
    Connect(Bytes),
    /// A message.
    Publish(Publish),
    /// A new subscription. These are kept for long, so they own their text instead of holding on to the read buffer.
    Subscribe {
        /// The subject or pattern; valid UTF-8, not yet checked against the grammar.
        subject: String,
        /// The queue group.
        queue: Option<String>,
        /// The client's name for the subscription.
        sid: Box<[u8]>,
    },
    /// The end of a subscription.
    Unsubscribe {
        /// The client's name for the subscription.
        sid: Box<[u8]>,
        /// End it once this many messages were delivered since it began; `None` ends it now.
        max: Option<u64>,
    },
    /// A question whether we are there, to be answered after everything that was asked before.
    Ping,
    /// The answer to our own.
    Pong,
    /// Accepted and without meaning, as with the reference server.
    Info,
    /// Accepted and without meaning, as with the reference server.
    Ok,
}

/// A message as it was read: slices of the read buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    line: Bytes,
    subject: Span,
    reply: Option<Span>,
    /// The header block, its closing empty line included, if it came by `HPUB`.
    pub headers: Option<Bytes>,
    /// The payload without headers.
    pub payload: Bytes,
}

impl Publish {
    /// A message whose spans lie within `line`.
    pub(super) fn new(
        line: Bytes,
        subject: Span,
        reply: Option<Span>,
        headers: Option<Bytes>,
        payload: Bytes,
    ) -> Result<Self, ProtocolError> {
        let is_text = |span: Span| std::str::from_utf8(span.of(&line)).is_ok();
        if !is_text(subject) || reply.is_some_and(|reply| !is_text(reply)) {
            return Err(ProtocolError::PublishSubjectNotText);
        }
        Ok(Self { line, subject, reply, headers, payload })
    }

    /// The subject; not checked against the grammar.
    pub fn subject(&self) -> &str {
        self.text(self.subject)
    }

    /// The reply subject; not checked against the grammar.
    pub fn reply(&self) -> Option<&str> {
        self.reply.map(|reply| self.text(reply))
    }

    /// Headers and payload, in bytes.
    pub fn size(&self) -> usize {
        self.headers.as_ref().map_or(0, Bytes::len) + self.payload.len()
    }

    fn text(&self, span: Span) -> &str {
        // Known to be UTF-8 since `new`; to look again costs a few nanoseconds, to avoid it would cost `unsafe`.
        std::str::from_utf8(span.of(&self.line)).unwrap_or_default()
    }
}
