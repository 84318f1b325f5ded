//! Errors as the JetStream API spells them.
//!
//! An [`ErrorKind`] is a line of the table; an [`ApiError`] is what travels: the kind's numbers and
//! its text with the arguments filled in.

mod table;

use std::borrow::Cow;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

pub use table::ErrorKind;

/// An error as it travels in the `error` field of a reply.
///
/// The numbers may be ones this build does not know: a newer server may have answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{description} ({err_code})")]
pub struct ApiError {
    /// The HTTP-like class; clients treat 404 and 503 specially.
    pub code: u16,
    /// The number of the error, unique in the protocol.
    #[serde(default)]
    pub err_code: u16,
    /// The text for people, with all arguments filled in.
    #[serde(default)]
    pub description: Cow<'static, str>,
}

impl ApiError {
    /// The kind of this error; `None` for a number this build does not know.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        ErrorKind::from_number(self.err_code)
    }
}

impl ErrorKind {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// The error without arguments. A text that has arguments keeps their names in braces.
    #[must_use]
    pub const fn error(self) -> ApiError {
        ApiError {
            code: self.class(),
            err_code: self.number(),
            description: Cow::Borrowed(self.template()),
        }
    }

    /// The error with its one argument. Every argument of the text becomes `cause`; a text without
    /// arguments stays as it is.
    #[must_use]
    pub fn because(self, cause: impl Display) -> ApiError {
        self.filled(|_| Some(cause.to_string()))
    }

    /// The error with several arguments, named as in the table. An argument that is not given keeps
    /// its name in braces.
    #[must_use]
    pub fn with(self, arguments: &[(&str, &dyn Display)]) -> ApiError {
        self.filled(|name| {
            let argument = arguments.iter().find(|(given, _)| *given == name);
            argument.map(|(_, value)| value.to_string())
        })
    }

    fn filled(self, argument: impl Fn(&str) -> Option<String>) -> ApiError {
        let mut text = String::new();
        let mut rest = self.template();
        // An argument's own braces are not looked at again: it may come from a client.
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            text.push_str(before);
            match argument(name) {
                Some(value) => text.push_str(&value),
                None => text.extend(["{", name, "}"]),
            }
            rest = after;
        }
        text.push_str(rest);
        ApiError { description: Cow::Owned(text), ..self.error() }
    }
}

impl From<ErrorKind> for ApiError {
    fn from(kind: ErrorKind) -> Self {
        kind.error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole_and_ordered() {
        let numbers: Vec<u16> = ErrorKind::ALL.iter().map(|kind| kind.number()).collect();
        let expected: Vec<u16> = (10002..=10227).collect();
        assert_eq!(numbers, expected);
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_number(kind.number()), Some(*kind));
            assert!((400..600).contains(&kind.class()), "{kind:?} has class {}", kind.class());
            assert!(!kind.template().is_empty(), "{kind:?} has no text");
            assert_eq!(kind.error().kind(), Some(*kind));
        }
        assert_eq!(ErrorKind::from_number(10001), None);
        assert_eq!(ErrorKind::from_number(10228), None);
    }

    /// Clients match these texts and numbers (the table of wire texts of the reference).
    #[test]
    fn texts_that_clients_match_are_exact() {
        let table = [
            (ErrorKind::ConsumerNotFound, 404, 10014, "consumer not found"),
            (ErrorKind::NoMessageFound, 404, 10037, "no message found"),
            (ErrorKind::NotEnabledForAccount, 503, 10039, "JetStream not enabled for account"),
            (
                ErrorKind::StreamNameExist,
                400,
                10058,
                "stream name already in use with a different configuration",
            ),
            (ErrorKind::StreamNotFound, 404, 10059, "stream not found"),
            (ErrorKind::StreamWrongLastSequenceConstant, 400, 10164, "wrong last sequence"),
            (ErrorKind::StreamNotMatch, 400, 10060, "expected stream does not match"),
            (
                ErrorKind::StreamSubjectOverlap,
                400,
                10065,
                "subjects overlap with an existing stream",
            ),
            (ErrorKind::ClusterNotAvail, 503, 10008, "JetStream system temporarily unavailable"),
            (ErrorKind::NotEnabled, 503, 10076, "JetStream not enabled"),
            (ErrorKind::ConsumerAlreadyExists, 400, 10148, "consumer already exists"),
            (ErrorKind::ConsumerDoesNotExist, 400, 10149, "consumer does not exist"),
            (ErrorKind::ConsumerNameExist, 400, 10013, "consumer name already in use"),
            (ErrorKind::StreamOffline, 500, 10118, "stream is offline"),
            (ErrorKind::InsufficientResources, 503, 10023, "insufficient resources"),
            (ErrorKind::ClusterPeerNotMember, 400, 10040, "peer not a member"),
            (
                ErrorKind::ClusterServerNotMember,
                400,
                10044,
                "server is not a member of the cluster",
            ),
            (ErrorKind::PeerRemap, 503, 10075, "peer remap failed"),
            (ErrorKind::BadRequest, 400, 10003, "bad request"),
        ];
        for (kind, code, err_code, description) in table {
            let error = kind.error();
            assert_eq!((error.code, error.err_code), (code, err_code), "{kind:?}");
            assert_eq!(error.description, description, "{kind:?}");
        }
    }

    #[test]
    fn arguments_are_filled_once() {
        let error = ErrorKind::StreamWrongLastSequence.because(7);
        assert_eq!(error.description, "wrong last sequence: 7");
        let error = ErrorKind::StreamWrongLastMsgId.because("{id}");
        assert_eq!(error.description, "wrong last msg ID: {id}");
        let error = ErrorKind::StreamStoreFailed.because("maximum messages exceeded");
        assert_eq!(error.description, "maximum messages exceeded");
        let error = ErrorKind::StreamExternalApiOverlap
            .with(&[("subject", &"$JS.API"), ("prefix", &"{subject}")]);
        assert_eq!(
            error.description,
            "stream external api prefix {subject} must not overlap with $JS.API"
        );
        assert_eq!(ErrorKind::StreamNotFound.because("ignored").description, "stream not found");
        assert_eq!(
            ErrorKind::SequenceNotFound.with(&[]).description,
            "sequence {seq} not found",
            "an argument that is not given stays visible"
        );
    }

    #[test]
    fn the_wire_form_is_that_of_the_reference() {
        let error = ErrorKind::StreamNotFound.error();
        let json = r#"{"code":404,"err_code":10059,"description":"stream not found"}"#;
        assert_eq!(serde_json::to_string(&error).unwrap(), json);
        assert_eq!(serde_json::from_str::<ApiError>(json).unwrap(), error);
        assert_eq!(error.to_string(), "stream not found (10059)");
    }
}
