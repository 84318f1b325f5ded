//! What a client can do wrong on the level of bytes.

use thiserror::Error;

use crate::ErrorReply;

/// A violation of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// Bytes that begin no operation, or a payload that does not end where it should.
    #[error("unknown protocol operation, or a payload that is not followed by CRLF")]
    UnknownOperation,
    /// A line beyond the limit.
    #[error("a control line is longer than max_control_line ({limit} bytes)")]
    ControlLineTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A message beyond the limit.
    #[error("a message of {announced} bytes exceeds max_payload ({limit} bytes)")]
    PayloadTooLarge {
        /// What the client announced, in bytes.
        announced: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// Too few or too many arguments.
    #[error("{verb} has {given} arguments: it takes {expected}")]
    Arguments {
        /// The operation.
        verb: &'static str,
        /// How many arguments there were.
        given: usize,
        /// How many there may be.
        expected: &'static str,
    },
    /// A size that is not a number of one to nine digits.
    #[error("{verb} has a size that is not a number of one to nine digits")]
    Size {
        /// The operation.
        verb: &'static str,
    },
    /// `HPUB` with more headers than message.
    #[error("HPUB announces {headers} bytes of headers in a message of {total} bytes")]
    HeaderSize {
        /// The announced bytes of headers.
        headers: usize,
        /// The announced bytes of headers and payload.
        total: usize,
    },
    /// The client sent `-ERR`.
    #[error("the client sent -ERR")]
    ClientComplains,
    /// A subscription whose subject or queue group is not UTF-8.
    #[error("a subscription's subject or queue group is not UTF-8")]
    SubscriptionNotText,
    /// A message whose subject or reply subject is not UTF-8. The reference server delivers such messages; here
    /// subjects are text, and only that one message is refused.
    #[error("a message's subject or reply subject is not UTF-8")]
    PublishSubjectNotText,
}

impl ProtocolError {
    /// What to tell the client; `None` where the reference server closes without a word.
    pub fn reply(&self) -> Option<ErrorReply> {
        match self {
            Self::UnknownOperation => Some(ErrorReply::UnknownOperation),
            Self::ControlLineTooLong { .. } => Some(ErrorReply::MaximumControlLine),
            Self::PayloadTooLarge { .. } => Some(ErrorReply::MaximumPayload),
            Self::SubscriptionNotText => Some(ErrorReply::InvalidSubject),
            Self::PublishSubjectNotText => Some(ErrorReply::InvalidPublishSubject),
            Self::Arguments { .. }
            | Self::Size { .. }
            | Self::HeaderSize { .. }
            | Self::ClientComplains => None,
        }
    }

    /// Must the connection be closed?
    pub fn closes(&self) -> bool {
        self.reply().is_none_or(|reply| reply.closes())
    }
}
