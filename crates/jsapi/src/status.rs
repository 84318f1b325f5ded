//! Statuses: replies without a body, whose version line says what happened.

use crate::duration::GoDuration;
use crate::{decimal, header};

/// What a pull request or a direct get is told instead of a message.
///
/// Clients branch on the number, and within 409 on the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// 100: nothing to deliver, but the consumer lives.
    IdleHeartbeat {
        /// The sequence of the last delivery.
        last_consumer: u64,
        /// The stream sequence of that delivery.
        last_stream: u64,
    },
    /// 400: the pull request makes no sense.
    BadRequest(String),
    /// 404: nothing pending, and the client would not wait.
    NoMessages,
    /// 404: the direct get found nothing.
    MessageNotFound,
    /// 408: the pull request expired with this left of it.
    RequestTimeout(Remaining),
    /// 408: other pull requests are before it, and the client would not wait.
    RequestsPending,
    /// 408: the client that asked is gone.
    InterestExpired(Remaining),
    /// 408: the direct get asked for nothing.
    EmptyRequest,
    /// 408: the direct get's body is not JSON.
    MalformedRequest,
    /// 408: what the direct get asked for contradicts itself.
    ContradictoryRequest,
    /// 409: more messages than the consumer allows at once.
    BatchExceeded(u32),
    /// 409: a longer wait than the consumer allows, in nanoseconds.
    ExpiresExceeded(u64),
    /// 409: more bytes than the consumer allows at once.
    MaxBytesExceeded(u64),
    /// 409: too many pull requests wait already.
    MaxWaitingExceeded,
    /// 409: the next message does not fit into the bytes the client allows.
    MessageExceedsMaxBytes(Remaining),
    /// 409: all messages asked for were delivered, with bytes to spare.
    BatchCompleted(Remaining),
    /// 409: the consumer delivers by itself.
    PushBased,
    /// 409: the consumer is gone.
    ConsumerDeleted,
    /// 409: another server leads the consumer now.
    LeadershipChange,
    /// 409: this server stops.
    ServerShutdown,
    /// 412: the request needs a server of a higher level.
    RequiredApiLevel,
    /// 500: the server failed to read.
    Failed(String),
}

/// What was left of a pull request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Remaining {
    /// Messages not delivered.
    pub messages: u64,
    /// Bytes not used.
    pub bytes: u64,
}

impl Status {
    /// The number clients branch on.
    #[must_use]
    pub const fn number(&self) -> u16 {
        match self {
            Self::IdleHeartbeat { .. } => 100,
            Self::BadRequest(_) => 400,
            Self::NoMessages | Self::MessageNotFound => 404,
            Self::RequestTimeout(_)
            | Self::RequestsPending
            | Self::InterestExpired(_)
            | Self::EmptyRequest
            | Self::MalformedRequest
            | Self::ContradictoryRequest => 408,
            Self::BatchExceeded(_)
            | Self::ExpiresExceeded(_)
            | Self::MaxBytesExceeded(_)
            | Self::MaxWaitingExceeded
            | Self::MessageExceedsMaxBytes(_)
            | Self::BatchCompleted(_)
            | Self::PushBased
            | Self::ConsumerDeleted
            | Self::LeadershipChange
            | Self::ServerShutdown => 409,
            Self::RequiredApiLevel => 412,
            Self::Failed(_) => 500,
        }
    }

    /// Appends the whole header block.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(header::VERSION);
        out.push(b' ');
        decimal::push(out, self.number().into());
        out.push(b' ');
        let text_start = out.len();
        self.write_text(out);
        // A text may quote a client; a line end in it would forge headers.
        for byte in &mut out[text_start..] {
            if byte.is_ascii_control() {
                *byte = b' ';
            }
        }
        out.extend_from_slice(header::LINE_END);
        self.write_lines(out);
        out.extend_from_slice(header::LINE_END);
    }

    fn write_text(&self, out: &mut Vec<u8>) {
        let text = match self {
            Self::IdleHeartbeat { .. } => "Idle Heartbeat",
            Self::NoMessages => "No Messages",
            Self::MessageNotFound => "Message Not Found",
            Self::RequestTimeout(_) => "Request Timeout",
            Self::RequestsPending => "Requests Pending",
            Self::InterestExpired(_) => "Interest Expired",
            Self::EmptyRequest => "Empty Request",
            Self::MalformedRequest => "Malformed Request",
            Self::ContradictoryRequest => "Bad Request",
            Self::MaxWaitingExceeded => "Exceeded MaxWaiting",
            Self::MessageExceedsMaxBytes(_) => "Message Size Exceeds MaxBytes",
            Self::BatchCompleted(_) => "Batch Completed",
            Self::PushBased => "Consumer is push based",
            Self::ConsumerDeleted => "Consumer Deleted",
            Self::LeadershipChange => "Leadership Change",
            Self::ServerShutdown => "Server Shutdown",
            Self::RequiredApiLevel => "Required Api Level",
            Self::BadRequest(cause) => &format!("Bad Request - {cause}"),
            Self::BatchExceeded(limit) => &format!("Exceeded MaxRequestBatch of {limit}"),
            Self::ExpiresExceeded(limit) => {
                &format!("Exceeded MaxRequestExpires of {}", GoDuration(*limit))
            }
            Self::MaxBytesExceeded(limit) => &format!("Exceeded MaxRequestMaxBytes of {limit}"),
            Self::Failed(cause) => cause,
        };
        out.extend_from_slice(text.as_bytes());
    }

    fn write_lines(&self, out: &mut Vec<u8>) {
        match self {
            Self::IdleHeartbeat { last_consumer, last_stream } => {
                write_line(out, b"Nats-Last-Consumer", *last_consumer);
                write_line(out, b"Nats-Last-Stream", *last_stream);
            }
            Self::RequestTimeout(remaining)
            | Self::InterestExpired(remaining)
            | Self::MessageExceedsMaxBytes(remaining)
            | Self::BatchCompleted(remaining) => {
                write_line(out, b"Nats-Pending-Messages", remaining.messages);
                write_line(out, b"Nats-Pending-Bytes", remaining.bytes);
            }
            _ => {}
        }
    }
}

fn write_line(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    decimal::push(out, value);
    out.extend_from_slice(header::LINE_END);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(status: &Status) -> String {
        let mut out = Vec::new();
        status.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_those_clients_know() {
        let left = Remaining { messages: 3, bytes: 0 };
        let with_left =
            |line: &str| format!("{line}\r\nNats-Pending-Messages: 3\r\nNats-Pending-Bytes: 0");
        let table = [
            (
                Status::IdleHeartbeat { last_consumer: 1, last_stream: 2 },
                "100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 2".to_owned(),
            ),
            (
                Status::BadRequest("heartbeat value too large".to_owned()),
                "400 Bad Request - heartbeat value too large".to_owned(),
            ),
            (Status::NoMessages, "404 No Messages".to_owned()),
            (Status::MessageNotFound, "404 Message Not Found".to_owned()),
            (Status::RequestTimeout(left), with_left("408 Request Timeout")),
            (Status::RequestsPending, "408 Requests Pending".to_owned()),
            (Status::InterestExpired(left), with_left("408 Interest Expired")),
            (Status::EmptyRequest, "408 Empty Request".to_owned()),
            (Status::MalformedRequest, "408 Malformed Request".to_owned()),
            (Status::ContradictoryRequest, "408 Bad Request".to_owned()),
            (Status::BatchExceeded(10), "409 Exceeded MaxRequestBatch of 10".to_owned()),
            (
                Status::ExpiresExceeded(5_000_000_000),
                "409 Exceeded MaxRequestExpires of 5s".to_owned(),
            ),
            (Status::MaxBytesExceeded(1000), "409 Exceeded MaxRequestMaxBytes of 1000".to_owned()),
            (Status::MaxWaitingExceeded, "409 Exceeded MaxWaiting".to_owned()),
            (Status::MessageExceedsMaxBytes(left), with_left("409 Message Size Exceeds MaxBytes")),
            (Status::BatchCompleted(left), with_left("409 Batch Completed")),
            (Status::PushBased, "409 Consumer is push based".to_owned()),
            (Status::ConsumerDeleted, "409 Consumer Deleted".to_owned()),
            (Status::LeadershipChange, "409 Leadership Change".to_owned()),
            (Status::ServerShutdown, "409 Server Shutdown".to_owned()),
            (Status::RequiredApiLevel, "412 Required Api Level".to_owned()),
            (Status::Failed("disk".to_owned()), "500 disk".to_owned()),
        ];
        for (status, expected) in table {
            assert_eq!(written(&status), format!("NATS/1.0 {expected}\r\n\r\n"));
        }
    }

    #[test]
    fn a_quoted_text_cannot_forge_headers() {
        let status = Status::BadRequest("x\r\nNats-Msg-Id: 1".to_owned());
        assert_eq!(written(&status), "NATS/1.0 400 Bad Request - x  Nats-Msg-Id: 1\r\n\r\n");
    }
}
