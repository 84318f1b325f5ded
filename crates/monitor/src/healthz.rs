//! `/healthz`: whether a server, or one asset on it, is well. Probes look at the status code; people read the rest.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::query::{BadQuery, Query};
use crate::source::Source;

/// What `/healthz` was asked for, by a query or by the JSON body of a request to the system account. Each `_only`
/// stops the examination earlier; the first one that is set counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct HealthCheck {
    /// Only whether the server takes connections.
    pub js_server_only: bool,
    /// Only whether JetStream is on, if it is configured.
    #[serde(alias = "js-enabled")]
    pub js_enabled_only: bool,
    /// Only whether the meta group is current here.
    pub js_meta_only: bool,
    /// Only this account.
    pub account: Option<String>,
    /// Only this stream of it.
    pub stream: Option<String>,
    /// Only this consumer of that.
    pub consumer: Option<String>,
    /// Tell all faults, instead of the first one.
    pub details: bool,
}

impl HealthCheck {
    pub(crate) fn read(query: &Query) -> Result<Self, BadQuery> {
        let text = |name| query.text(name).map(str::to_owned);
        Ok(Self {
            js_server_only: query.boolean("js-server-only")?,
            // The name that it had first is still in use.
            js_enabled_only: query.boolean("js-enabled-only")? || query.boolean("js-enabled")?,
            js_meta_only: query.boolean("js-meta-only")?,
            account: text("account"),
            stream: text("stream"),
            consumer: text("consumer"),
            details: query.boolean("details")?,
        })
    }

    /// A stream is known by its account, a consumer by its stream.
    pub(crate) fn validate(&self) -> Result<(), Vec<HealthFault>> {
        let missing = |what, of| {
            let error = format!("{what:?} must not be empty when checking {of} health");
            Err(vec![HealthFault::new(FaultKind::BadRequest, error)])
        };
        match self {
            Self { account: None, stream: Some(_), .. } => missing("account", "stream"),
            Self { stream: None, consumer: Some(_), .. } => missing("stream", "consumer"),
            _ => Ok(()),
        }
    }
}

/// What a fault concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FaultKind {
    /// The server does not take connections.
    Connection,
    /// The question makes no sense.
    BadRequest,
    /// JetStream as a whole, or the meta group.
    #[serde(rename = "JETSTREAM")]
    JetStream,
    /// An account.
    Account,
    /// A stream.
    Stream,
    /// A consumer.
    Consumer,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthFault {
    /// What it concerns.
    #[serde(rename = "type")]
    pub kind: FaultKind,
    /// Whether what was asked for by name is not there at all, rather than not well.
    #[serde(skip)]
    pub not_found: bool,
    /// The account concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The stream concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The consumer concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// What is wrong.
    pub error: String,
}

impl HealthFault {
    /// A fault that concerns no particular asset.
    pub fn new(kind: FaultKind, error: impl Into<String>) -> Self {
        let error = error.into();
        Self { kind, not_found: false, account: None, stream: None, consumer: None, error }
    }

    fn code(&self) -> StatusCode {
        match self.kind {
            FaultKind::BadRequest => StatusCode::BAD_REQUEST,
            FaultKind::Connection => StatusCode::INTERNAL_SERVER_ERROR,
            _ if self.not_found => StatusCode::NOT_FOUND,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn status(&self) -> &'static str {
        match self.kind {
            FaultKind::BadRequest | FaultKind::Connection => "error",
            _ => "unavailable",
        }
    }
}

/// The answer's body. With details it lists all faults, without it tells the first.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    status: &'static str,
    /// HTTP says it in the status line instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<HealthFault>,
}

impl Health {
    /// Asks `source` for what `check` wants to know; the status code of HTTP is written in the body. It may block.
    pub fn examine(source: &dyn Source, check: &HealthCheck) -> Self {
        let found = check.validate().and_then(|()| source.healthz(check));
        let (code, health) = answer(found, check.details);
        Self { status_code: Some(code.as_u16()), ..health }
    }

    fn new(status: &'static str) -> Self {
        Self { status, status_code: None, error: None, errors: Vec::new() }
    }
}

/// The status code and the body for what a source found.
pub(crate) fn answer(found: Result<(), Vec<HealthFault>>, details: bool) -> (StatusCode, Health) {
    let faults = found.err().unwrap_or_default();
    let Some(first) = faults.first() else {
        return (StatusCode::OK, Health::new("ok"));
    };
    let code = first.code();
    let health = if details {
        Health { errors: faults, ..Health::new("error") }
    } else {
        Health { error: Some(first.error.clone()), ..Health::new(first.status()) }
    };
    (code, health)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(found: Result<(), Vec<HealthFault>>, details: bool) -> (u16, String) {
        let (code, health) = answer(found, details);
        (code.as_u16(), serde_json::to_string(&health).unwrap())
    }

    fn stream_fault() -> HealthFault {
        let stream = Some("ORDERS".to_owned());
        HealthFault { stream, ..HealthFault::new(FaultKind::Stream, "has no quorum") }
    }

    #[test]
    fn the_first_fault_decides_and_details_tell_all() {
        assert_eq!(written(Ok(()), true), (200, r#"{"status":"ok"}"#.into()));
        let faults = vec![stream_fault(), HealthFault::new(FaultKind::JetStream, "late")];
        let brief = r#"{"status":"unavailable","error":"has no quorum"}"#;
        assert_eq!(written(Err(faults.clone()), false), (503, brief.into()));
        let full = concat!(
            r#"{"status":"error","errors":[{"type":"STREAM","stream":"ORDERS","error":"has no quorum"},"#,
            r#"{"type":"JETSTREAM","error":"late"}]}"#
        );
        assert_eq!(written(Err(faults), true), (503, full.into()));
    }

    #[test]
    fn a_body_says_what_a_query_says() {
        let body = r#"{"js-enabled":true,"account":"A","details":true,"cluster":"C1"}"#;
        let asked: HealthCheck = serde_json::from_str(body).unwrap();
        let query = [("js-enabled-only", "1"), ("account", "A"), ("details", "1")];
        assert_eq!(asked, HealthCheck::read(&Query::of(&query)).unwrap());
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_not_well() {
        let missing = HealthFault { not_found: true, ..stream_fault() };
        assert_eq!(written(Err(vec![missing]), false).0, 404);
        let closed = HealthFault::new(FaultKind::Connection, "not listening");
        let body = r#"{"status":"error","error":"not listening"}"#;
        assert_eq!(written(Err(vec![closed]), false), (500, body.into()));
    }

    #[test]
    fn a_stream_needs_its_account_and_a_consumer_its_stream() {
        let check = |pairs| HealthCheck::read(&Query::of(pairs)).unwrap().validate();
        assert!(check(&[("account", "A"), ("stream", "S"), ("consumer", "C")]).is_ok());
        let fault = check(&[("stream", "S")]).unwrap_err().remove(0);
        assert_eq!(fault.error, r#""account" must not be empty when checking stream health"#);
        assert!(check(&[("account", "A"), ("consumer", "C")]).is_err());
    }
}
