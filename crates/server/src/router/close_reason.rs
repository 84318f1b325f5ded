//! Why a client connection ended.

use std::fmt;

use flotilla_proto::{ErrorReply, ProtocolError};

/// Why a client connection ended. [`Display`](fmt::Display) is the text of the reference server's monitoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client went.
    ClientClosed,
    /// No valid `CONNECT` came in time.
    AuthenticationTimeout,
    /// Wrong credentials, or none.
    AuthenticationViolation,
    /// The client read too slowly: more waited for it than `max_pending`.
    SlowConsumerPendingBytes,
    /// The client read nothing for as long as `write_deadline`.
    SlowConsumerWriteDeadline,
    /// Writing failed.
    WriteError,
    /// Reading failed.
    ReadError,
    /// The client sent bytes that are no operation.
    ParseError,
    /// The client left pings unanswered.
    StaleConnection,
    /// The client broke a rule of the protocol.
    ProtocolViolation,
    /// The client asked for an unknown protocol.
    BadClientProtocolVersion,
    /// The server had all the clients it may have.
    MaxConnectionsExceeded,
    /// A message larger than `max_payload`.
    MaxPayloadExceeded,
    /// A line longer than `max_control_line`.
    MaxControlLineExceeded,
    /// The client asked for no-responders messages without headers.
    NoRespondersRequiresHeaders,
    /// The server stops, or is in lame duck mode.
    ServerShutdown,
    /// An operator closed the connection.
    Kicked,
}

impl CloseReason {
    /// Is what still waits for the client worth sending?
    pub(crate) fn discards_output(self) -> bool {
        matches!(
            self,
            Self::ClientClosed
                | Self::SlowConsumerPendingBytes
                | Self::SlowConsumerWriteDeadline
                | Self::WriteError
                | Self::ReadError
        )
    }

    /// The reason that goes with a violation on the level of bytes.
    pub(crate) fn of_violation(error: &ProtocolError) -> Self {
        match error {
            ProtocolError::UnknownOperation | ProtocolError::ClientComplains => Self::ParseError,
            ProtocolError::ControlLineTooLong { .. } => Self::MaxControlLineExceeded,
            ProtocolError::PayloadTooLarge { .. } => Self::MaxPayloadExceeded,
            _ => Self::ProtocolViolation,
        }
    }

    /// The reason that goes with a closing reply.
    pub(crate) fn of_reply(reply: &ErrorReply) -> Self {
        match reply {
            ErrorReply::AuthorizationViolation => Self::AuthenticationViolation,
            ErrorReply::AuthenticationTimeout => Self::AuthenticationTimeout,
            ErrorReply::MaximumConnections => Self::MaxConnectionsExceeded,
            ErrorReply::MaximumPayload => Self::MaxPayloadExceeded,
            ErrorReply::MaximumControlLine => Self::MaxControlLineExceeded,
            ErrorReply::UnknownOperation => Self::ParseError,
            ErrorReply::StaleConnection => Self::StaleConnection,
            ErrorReply::InvalidClientProtocol => Self::BadClientProtocolVersion,
            ErrorReply::NoRespondersRequiresHeaders => Self::NoRespondersRequiresHeaders,
            _ => Self::ProtocolViolation,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientClosed => "Client Closed",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::AuthenticationViolation => "Authentication Failure",
            Self::SlowConsumerPendingBytes => "Slow Consumer (Pending Bytes)",
            Self::SlowConsumerWriteDeadline => "Slow Consumer (Write Deadline)",
            Self::WriteError => "Write Error",
            Self::ReadError => "Read Error",
            Self::ParseError => "Parse Error",
            Self::StaleConnection => "Stale Connection",
            Self::ProtocolViolation => "Protocol Violation",
            Self::BadClientProtocolVersion => "Bad Client Protocol Version",
            Self::MaxConnectionsExceeded => "Maximum Connections Exceeded",
            Self::MaxPayloadExceeded => "Maximum Message Payload Exceeded",
            Self::MaxControlLineExceeded => "Maximum Control Line Exceeded",
            Self::NoRespondersRequiresHeaders => "No Responders Requires Headers",
            Self::ServerShutdown => "Server Shutdown",
            Self::Kicked => "Kicked",
        })
    }
}
