//! Requests to the JetStream API, as JSON over `$JS.API.…`.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Request, RequestErrorKind};
use serde_json::Value;

use crate::connect::Connection;
use crate::output::duration;
use crate::reply::{Fields, Reply};

/// The most pages of a listing that are fetched: 256 entries each, more than a million assets.
const MOST_PAGES: usize = 4096;

/// Why the JetStream API did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The server's answer is an error; the words are the server's.
    #[error("{description} ({err_code})")]
    Rejected { code: u64, err_code: u64, description: String },
    #[error("no answer to {subject} within {}", duration::short(*.waited))]
    Silent { subject: String, waited: Duration },
    #[error(
        "nobody answers {subject}: JetStream is not enabled for this account, or has no leader at the moment"
    )]
    NoResponders { subject: String },
    #[error("denied: {0}")]
    Denied(String),
    #[error("the answer to {subject} makes no sense: {reason}")]
    Unreadable { subject: String, reason: String },
    #[error("cannot ask {subject}: {source}")]
    Client { subject: String, source: async_nats::RequestError },
}

impl Connection {
    /// Calls one JetStream API, named without its prefix (`STREAM.INFO.ORDERS`).
    ///
    /// # Errors
    /// The API rejected the request, or nobody answered in time.
    pub(crate) async fn call(&self, api: &str, body: &Value) -> Result<Reply, ApiError> {
        let subject = format!("{}.{api}", self.api_prefix);
        let payload = if body.is_null() { String::new() } else { body.to_string() };
        let message = self.request(&subject, Request::new().payload(payload.into())).await?;
        reply(&subject, message)
    }

    /// Calls a listing API until every page is there, and returns the first reply with all entries of
    /// `entries` in it.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub(crate) async fn call_all(
        &self,
        api: &str,
        mut body: Value,
        entries: &str,
    ) -> Result<Value, ApiError> {
        let mut first: Option<Value> = None;
        for _ in 0..MOST_PAGES {
            let page = self.call(api, &body).await?.body;
            let total = Fields(&page).number("total");
            let whole = first.get_or_insert_with(|| page.clone());
            let fetched = match (whole.get_mut(entries), page.get(entries)) {
                (Some(Value::Array(all)), Some(Value::Array(more)))
                    if body.get("offset").is_some() =>
                {
                    all.extend(more.iter().cloned());
                    if more.is_empty() { usize::MAX } else { all.len() }
                }
                (Some(Value::Array(all)), _) => all.len(),
                _ => usize::MAX,
            };
            if fetched as u64 >= total {
                break;
            }
            body["offset"] = fetched.into();
        }
        Ok(first.unwrap_or_default())
    }

    /// One request, one answer; a permission violation ends the wait at once.
    ///
    /// # Errors
    /// Nobody answered, or the request was denied or could not be sent.
    pub(crate) async fn request(
        &self,
        subject: &str,
        request: Request,
    ) -> Result<Message, ApiError> {
        let answer = tokio::select! {
            answer = self.client.send_request(subject.to_owned(), request) => answer,
            reason = self.denied() => return Err(ApiError::Denied(reason)),
        };
        answer.map_err(|source| match source.kind() {
            RequestErrorKind::TimedOut => {
                ApiError::Silent { subject: subject.to_owned(), waited: self.timeout }
            }
            RequestErrorKind::NoResponders => {
                ApiError::NoResponders { subject: subject.to_owned() }
            }
            _ => ApiError::Client { subject: subject.to_owned(), source },
        })
    }

    /// Publishes one message to a stream and returns its acknowledgement. Between two leaders nobody listens
    /// on the subject, so "no responders" is asked again until the timeout is over.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub(crate) async fn publish_acknowledged(
        &self,
        subject: &str,
        headers: &HeaderMap,
        payload: &bytes::Bytes,
    ) -> Result<Reply, ApiError> {
        const PAUSE: Duration = Duration::from_millis(250);
        let deadline = tokio::time::Instant::now() + self.timeout;
        let message = loop {
            let request = Request::new().payload(payload.clone()).headers(headers.clone());
            match self.request(subject, request).await {
                Err(ApiError::NoResponders { .. })
                    if tokio::time::Instant::now() + PAUSE < deadline =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                other => break other?,
            }
        };
        reply(subject, message)
    }
}

/// Reads an answer of the API: every one is a JSON object, with `error` in it if the server refused.
fn reply(subject: &str, message: Message) -> Result<Reply, ApiError> {
    let body: Value = serde_json::from_slice(&message.payload).map_err(|error| {
        ApiError::Unreadable { subject: subject.to_owned(), reason: error.to_string() }
    })?;
    match body.get("error").map(Fields) {
        None => Ok(Reply { raw: message.payload, body }),
        Some(error) => Err(ApiError::Rejected {
            code: error.number("code"),
            err_code: error.number("err_code"),
            description: error.text("description").to_owned(),
        }),
    }
}
