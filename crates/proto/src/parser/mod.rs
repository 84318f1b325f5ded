//! The incremental parser of what a client sends.
//!
//! The caller appends what it read to one buffer and calls [`Parser::next`] until it wants more bytes. What is
//! complete is split off the buffer: lines and payloads of operations are slices of the bytes that were read. An
//! operation that is not complete stays in the buffer, and its size is checked against the limits before anybody
//! waits for it; the parser itself never allocates for it.

mod error;
mod line;
mod op;

#[cfg(test)]
mod tests;

pub use error::ProtocolError;
pub use op::{ClientOp, Publish};

use bytes::{Bytes, BytesMut};

use line::{Arguments, Span, Verb, recognise};

/// Ends every payload.
const CRLF: &[u8] = b"\r\n";

/// What a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest line behind its keyword, in bytes.
    pub max_control_line: usize,
    /// The largest message, headers and payload together, in bytes.
    pub max_payload: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_control_line: 4096, max_payload: 1024 * 1024 }
    }
}

/// Finds the operations in a client's bytes. One per connection.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Within a line, of which the first `scanned` buffered bytes hold no end.
    Line { scanned: usize },
    /// Behind the line of a message that passed its checks.
    Message(Announced),
}

/// A message whose line was read.
#[derive(Debug)]
struct Announced {
    line: Bytes,
    subject: Span,
    reply: Option<Span>,
    /// `None` for `PUB`, which has no headers.
    header_size: Option<usize>,
    total_size: usize,
}

impl Parser {
    /// A parser at the beginning of a connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, state: State::Line { scanned: 0 } }
    }

    /// Changes the limits for all lines that follow; they may depend on who the client turns out to be.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How many bytes are missing, beyond the `buffered` ones, until [`next`](Self::next) can answer something new;
    /// at least 1. It never exceeds what the limits allow, yet a careful caller reserves it in steps as bytes arrive.
    pub fn missing(&self, buffered: usize) -> usize {
        match &self.state {
            State::Line { .. } => 1,
            State::Message(announced) => {
                (announced.total_size + CRLF.len()).saturating_sub(buffered).max(1)
            }
        }
    }

    /// Takes the next operation off the front of `buffer`; `None` if it is not complete.
    ///
    /// # Errors
    /// What the client did wrong. If [`ProtocolError::closes`], the buffer must be thrown away with the
    /// connection; otherwise the offending operation is gone from it and parsing goes on.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<ClientOp>, ProtocolError> {
        loop {
            match &mut self.state {
                State::Line { scanned } => {
                    let Some(end) = find_line_end(buffer, *scanned) else {
                        *scanned = buffer.len();
                        self.check_unfinished_line(buffer)?;
                        return Ok(None);
                    };
                    *scanned = 0;
                    if let Some(op) = self.take_line(buffer, end)? {
                        return Ok(Some(op));
                    }
                }
                State::Message(announced) => {
                    if buffer.len() < announced.total_size + CRLF.len() {
                        return Ok(None);
                    }
                    return self.take_message(buffer).transpose();
                }
            }
        }
    }

    /// Refuses what can no longer become a valid line, however it goes on.
    fn check_unfinished_line(&self, line: &[u8]) -> Result<(), ProtocolError> {
        let arguments_start = recognise(line)?.map_or(0, |(_, start)| start);
        // A CR at the end may turn out to belong to the line's end.
        let so_far = line.strip_suffix(b"\r").unwrap_or(line);
        self.check_arguments_size(so_far.len().saturating_sub(arguments_start))
    }

    fn check_arguments_size(&self, size: usize) -> Result<(), ProtocolError> {
        let limit = self.limits.max_control_line;
        if size > limit {
            return Err(ProtocolError::ControlLineTooLong { limit });
        }
        Ok(())
    }

    /// Takes the line that ends at the LF at `end`. `None`: it announced a message, which is parsed next.
    fn take_line(
        &mut self,
        buffer: &mut BytesMut,
        end: usize,
    ) -> Result<Option<ClientOp>, ProtocolError> {
        let line = &buffer[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // With its LF every line is either recognised or wrong.
        let (verb, start) = recognise(&buffer[..=end])?.ok_or(ProtocolError::UnknownOperation)?;
        let size = line.len();
        self.check_arguments_size(size.saturating_sub(start))?;
        let line = buffer.split_to(end + 1).freeze();
        let arguments = Arguments::split(&line, start.min(size)..size);
        match verb {
            Verb::Pub => {
                let announced = arguments.publish(line)?;
                self.announce(announced).map(|()| None)
            }
            Verb::Hpub => {
                let announced = arguments.publish_with_headers(line)?;
                self.announce(announced).map(|()| None)
            }
            Verb::Sub => arguments.subscribe(&line).map(Some),
            Verb::Unsub => arguments.unsubscribe(&line).map(Some),
            Verb::Connect => Ok(Some(ClientOp::Connect(line.slice(start.min(size)..size)))),
            Verb::Ping => Ok(Some(ClientOp::Ping)),
            Verb::Pong => Ok(Some(ClientOp::Pong)),
            Verb::Info => Ok(Some(ClientOp::Info)),
            Verb::Ok => Ok(Some(ClientOp::Ok)),
            Verb::Err => Err(ProtocolError::ClientComplains),
        }
    }

    fn announce(&mut self, announced: Announced) -> Result<(), ProtocolError> {
        let limit = self.limits.max_payload;
        if announced.total_size > limit {
            let announced = announced.total_size;
            return Err(ProtocolError::PayloadTooLarge { announced, limit });
        }
        self.state = State::Message(announced);
        Ok(())
    }

    /// Takes the announced message; its bytes are all there.
    fn take_message(&mut self, buffer: &mut BytesMut) -> Option<Result<ClientOp, ProtocolError>> {
        let state = std::mem::replace(&mut self.state, State::Line { scanned: 0 });
        let State::Message(announced) = state else { return None };
        let Announced { line, subject, reply, header_size, total_size } = announced;
        if !buffer[total_size..].starts_with(CRLF) {
            return Some(Err(ProtocolError::UnknownOperation));
        }
        let mut payload = buffer.split_to(total_size + CRLF.len()).freeze();
        payload.truncate(total_size);
        let headers = header_size.map(|size| payload.split_to(size));
        Some(Publish::new(line, subject, reply, headers, payload).map(ClientOp::Publish))
    }
}

fn find_line_end(buffer: &[u8], scanned: usize) -> Option<usize> {
    let unseen = buffer.get(scanned..)?;
    memchr::memchr(b'\n', unseen).map(|end| scanned + end)
}
