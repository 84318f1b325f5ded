//! Pull requests: how many messages a client takes, and how long it waits for them.

use flotilla_stream::ConsumerConfig;
use serde::Deserialize;

use crate::status::Status;

/// One pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// The most messages wanted; at least 1.
    pub batch: u32,
    /// The most bytes wanted.
    pub max_bytes: Option<u64>,
    /// How long it may wait, in nanoseconds; `None` waits until it is met. 0 is over at once.
    pub expires: Option<u64>,
    /// Whether it takes what there is and does not wait for more. With `expires` it does wait, but
    /// only for the first message.
    pub no_wait: bool,
    /// How often the client wants a sign of life, in nanoseconds.
    pub heartbeat: Option<u64>,
}

impl Default for PullRequest {
    fn default() -> Self {
        Self { batch: 1, max_bytes: None, expires: None, no_wait: false, heartbeat: None }
    }
}

/// The JSON form. Unknown fields are passed over, as the reference does here; so is the priority
/// group, which means nothing on a consumer without groups.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    batch: Option<i64>,
    max_bytes: Option<i64>,
    expires: Option<i64>,
    no_wait: Option<bool>,
    idle_heartbeat: Option<i64>,
    min_pending: Option<i64>,
    min_ack_pending: Option<i64>,
    id: Option<String>,
    priority: Option<i64>,
}

impl PullRequest {
    /// Reads the body: nothing for one message, a number of messages, or JSON. Any other text is
    /// taken as nothing.
    ///
    /// # Errors
    /// A 400 status, for the client, when the JSON is malformed, asks for priorities (which no
    /// consumer here has), or for heartbeats too far apart to be one within the wait.
    pub fn parse(body: &[u8]) -> Result<Self, Status> {
        let body = body.trim_ascii();
        if body.first() == Some(&b'{') {
            return Self::parse_json(body);
        }
        let number = std::str::from_utf8(body).ok().and_then(|text| text.parse::<i64>().ok());
        Ok(Self { batch: number.map_or(1, batch), ..Self::default() })
    }

    fn parse_json(body: &[u8]) -> Result<Self, Status> {
        let body: Body =
            serde_json::from_slice(body).map_err(|error| Status::BadRequest(error.to_string()))?;
        body.check_priority()?;
        let heartbeat = body.idle_heartbeat.and_then(positive);
        let expires = body
            .expires
            .filter(|expires| *expires != 0)
            .map(|expires| u64::try_from(expires).unwrap_or(0)); // In the past: over at once.
        if let Some(heartbeat) = heartbeat
            && heartbeat.saturating_mul(2) > expires.unwrap_or(0)
        {
            return Err(Status::BadRequest("heartbeat value too large".to_owned()));
        }
        Ok(Self {
            batch: body.batch.map_or(1, batch),
            max_bytes: body.max_bytes.and_then(positive),
            expires,
            no_wait: body.no_wait.unwrap_or(false),
            heartbeat,
        })
    }

    /// Checks the request against what the consumer allows.
    ///
    /// # Errors
    /// A 409 status, for the client.
    pub fn check(&self, consumer: &ConsumerConfig) -> Result<(), Status> {
        if let Some(limit) = consumer.max_request_batch.filter(|limit| self.batch > *limit) {
            return Err(Status::BatchExceeded(limit));
        }
        let exceeds = |asked: Option<u64>, limit: Option<u64>| {
            limit.filter(|limit| asked.is_some_and(|asked| asked > *limit))
        };
        if let Some(limit) = exceeds(self.expires, consumer.max_request_expires) {
            return Err(Status::ExpiresExceeded(limit));
        }
        if let Some(limit) = exceeds(self.max_bytes, consumer.max_request_max_bytes) {
            return Err(Status::MaxBytesExceeded(limit));
        }
        Ok(())
    }
}

impl Body {
    fn check_priority(&self) -> Result<(), Status> {
        let refuse = |text: &str| Err(Status::BadRequest(text.to_owned()));
        let set = |number: Option<i64>| number.is_some_and(|number| number != 0);
        if set(self.min_pending) || set(self.min_ack_pending) {
            return refuse("Not a Overflow Priority consumer");
        }
        if self.id.as_ref().is_some_and(|id| !id.is_empty()) {
            return refuse("Not a Pinned Client Priority consumer");
        }
        if self.priority.is_some_and(|priority| !(0..=9).contains(&priority)) {
            return refuse("Priority must be between 0 and 9");
        }
        Ok(())
    }
}

/// A request for no message or fewer is one for a single message.
fn batch(number: i64) -> u32 {
    u32::try_from(number.max(1)).unwrap_or(u32::MAX)
}

fn positive(number: i64) -> Option<u64> {
    u64::try_from(number).ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_stream::{AckPolicy, DeliverPolicy};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn request(batch: u32) -> PullRequest {
        PullRequest { batch, ..PullRequest::default() }
    }

    #[test]
    fn a_number_or_nothing_is_a_request() {
        let table: [(&[u8], u32); 8] = [
            (b"", 1),
            (b" ", 1),
            (b"25", 25),
            (b" 25 ", 25),
            (b"0", 1),
            (b"-3", 1),
            (b"some", 1),
            (b"99999999999", u32::MAX),
        ];
        for (body, batch) in table {
            assert_eq!(PullRequest::parse(body), Ok(request(batch)), "{}", body.escape_ascii());
        }
    }

    #[test]
    fn json_requests_say_more() {
        let body = br#"{"batch":10,"max_bytes":1000,"expires":5000000000,"no_wait":true,
            "idle_heartbeat":1000000000,"group":"g","something_new":1}"#;
        let expected = PullRequest {
            batch: 10,
            max_bytes: Some(1000),
            expires: Some(5_000_000_000),
            no_wait: true,
            heartbeat: Some(1_000_000_000),
        };
        assert_eq!(PullRequest::parse(body), Ok(expected));
        assert_eq!(PullRequest::parse(b"{}"), Ok(request(1)));
        assert_eq!(PullRequest::parse(br#"{"batch":null,"expires":0}"#), Ok(request(1)));
        let over = PullRequest { expires: Some(0), ..request(1) };
        assert_eq!(PullRequest::parse(br#"{"expires":-1}"#), Ok(over));
    }

    #[test]
    fn requests_that_make_no_sense_are_refused() {
        let table = [
            (r#"{"expires":1000000,"idle_heartbeat":1000000}"#, "heartbeat value too large"),
            (r#"{"idle_heartbeat":1}"#, "heartbeat value too large"),
            (r#"{"min_pending":1}"#, "Not a Overflow Priority consumer"),
            (r#"{"id":"pin"}"#, "Not a Pinned Client Priority consumer"),
            (r#"{"priority":10}"#, "Priority must be between 0 and 9"),
        ];
        for (body, cause) in table {
            let expected = Err(Status::BadRequest(cause.to_owned()));
            assert_eq!(PullRequest::parse(body.as_bytes()), expected, "{body}");
        }
        let malformed = PullRequest::parse(br#"{"batch":x}"#);
        assert!(matches!(malformed, Err(Status::BadRequest(_))), "{malformed:?}");
    }

    #[test]
    fn the_consumer_limits_requests() {
        let consumer = ConsumerConfig {
            name: "C".to_owned(),
            durable: true,
            description: None,
            deliver: DeliverPolicy::All,
            ack: AckPolicy::Explicit,
            ack_wait: 30_000_000_000,
            max_deliver: None,
            backoff: Vec::new(),
            filters: Vec::new(),
            filter_list: false,
            replay_original: false,
            sample_percent: None,
            max_waiting: 512,
            max_ack_pending: Some(1000),
            headers_only: false,
            max_request_batch: Some(10),
            max_request_expires: Some(5_000_000_000),
            max_request_max_bytes: Some(1000),
            inactive_threshold: None,
            replicas: 0,
            memory_storage: false,
            metadata: BTreeMap::new(),
        };
        let allowed =
            PullRequest { max_bytes: Some(1000), expires: Some(5_000_000_000), ..request(10) };
        assert_eq!(allowed.check(&consumer), Ok(()));
        assert_eq!(request(11).check(&consumer), Err(Status::BatchExceeded(10)));
        let slow = PullRequest { expires: Some(5_000_000_001), ..allowed };
        assert_eq!(slow.check(&consumer), Err(Status::ExpiresExceeded(5_000_000_000)));
        let large = PullRequest { max_bytes: Some(1001), ..allowed };
        assert_eq!(large.check(&consumer), Err(Status::MaxBytesExceeded(1000)));
    }

    proptest! {
        #[test]
        fn no_body_panics(body: Vec<u8>, json in r#"\{"(batch|expires|idle_heartbeat)":-?[0-9]{1,20}\}"#) {
            let _ = PullRequest::parse(&body);
            let _ = PullRequest::parse(json.as_bytes());
        }
    }
}
