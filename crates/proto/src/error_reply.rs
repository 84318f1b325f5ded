//! The `-ERR` lines of the protocol.

use std::fmt;

/// What a server tells a client that did, or met, something wrong. [`Display`](fmt::Display) is the exact text between
/// the quotes of `-ERR '...'`: client libraries compare it, lower-cased, to decide whether to reconnect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorReply {
    /// No or wrong credentials, or another operation where `CONNECT` was due.
    AuthorizationViolation,
    /// No valid `CONNECT` came in time.
    AuthenticationTimeout,
    /// The server has all the clients it may have.
    MaximumConnections,
    /// The account has all the clients it may have.
    MaximumAccountConnections,
    /// The connection, or its account, has all the subscriptions it may have. The connection stays.
    MaximumSubscriptions,
    /// A message larger than `max_payload` was announced.
    MaximumPayload,
    /// A line longer than `max_control_line`.
    MaximumControlLine,
    /// Bytes that are no operation.
    UnknownOperation,
    /// Pings were not answered.
    StaleConnection,
    /// `CONNECT` asks for a protocol that is neither 0 nor 1.
    InvalidClientProtocol,
    /// `CONNECT` asks for no-responders messages but cannot receive headers.
    NoRespondersRequiresHeaders,
    /// TLS is required and the client speaks plain text.
    TlsRequired,
    /// A subscription to what is no subject. The connection stays.
    InvalidSubject,
    /// A publish to what is no literal subject, by a pedantic client. The connection stays.
    InvalidPublishSubject,
    /// The client may not publish to this subject. The connection stays.
    PublishPermission(String),
    /// The client may not publish with this reply subject. The connection stays.
    ReplyPermission(String),
    /// The client may not subscribe to this subject (in this queue group). The connection stays.
    SubscribePermission {
        /// The refused subject.
        subject: String,
        /// The queue group, if one was asked for.
        queue: Option<String>,
    },
}

impl ErrorReply {
    /// Does the server close the connection after this reply?
    pub fn closes(&self) -> bool {
        !matches!(
            self,
            Self::MaximumSubscriptions
                | Self::InvalidSubject
                | Self::InvalidPublishSubject
                | Self::PublishPermission(_)
                | Self::ReplyPermission(_)
                | Self::SubscribePermission { .. }
        )
    }
}

impl fmt::Display for ErrorReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::AuthorizationViolation => "Authorization Violation",
            Self::AuthenticationTimeout => "Authentication Timeout",
            Self::MaximumConnections => "maximum connections exceeded",
            Self::MaximumAccountConnections => "maximum account active connections exceeded",
            Self::MaximumSubscriptions => "maximum subscriptions exceeded",
            Self::MaximumPayload => "Maximum Payload Violation",
            Self::MaximumControlLine => "maximum control line exceeded",
            Self::UnknownOperation => "Unknown Protocol Operation",
            Self::StaleConnection => "Stale Connection",
            Self::InvalidClientProtocol => "invalid client protocol",
            Self::NoRespondersRequiresHeaders => "no responders requires headers support",
            Self::TlsRequired => "Secure Connection - TLS Required",
            Self::InvalidSubject => "Invalid Subject",
            Self::InvalidPublishSubject => "Invalid Publish Subject",
            Self::PublishPermission(subject) => {
                return write!(f, "Permissions Violation for Publish to \"{subject}\"");
            }
            Self::ReplyPermission(reply) => {
                return write!(f, "Permissions Violation for Publish with Reply of \"{reply}\"");
            }
            Self::SubscribePermission { subject, queue: None } => {
                return write!(f, "Permissions Violation for Subscription to \"{subject}\"");
            }
            Self::SubscribePermission { subject, queue: Some(queue) } => {
                return write!(
                    f,
                    "Permissions Violation for Subscription to \"{subject}\" using queue \"{queue}\""
                );
            }
        };
        f.write_str(text)
    }
}
