//! From a request to its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use flotilla_monitor::{Health, HealthCheck, JszOptions, Source as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::answer::{Answer, Content, Fault, ServerId, ServerInfo};
use super::filter::Filter;
use super::kind::Kind;
use super::statsz::Statsz;
use crate::server::monitoring::{Source, now};

/// Status codes, as in HTTP.
const BAD_REQUEST: u16 = 400;
const TOO_LARGE: u16 = 413;

/// What all answers come from.
pub(super) struct Desk {
    own: ServerInfo,
    source: Arc<Source>,
    http: Option<SocketAddr>,
    answers: AtomicU64,
}

impl Desk {
    pub(super) fn new(own: ServerInfo, source: Arc<Source>, http: Option<SocketAddr>) -> Self {
        Self { own, source, http, answers: AtomicU64::new(0) }
    }

    /// The answer; `None` when others are meant.
    pub(super) fn answer(&self, kind: Kind, body: &Result<Bytes, usize>) -> Option<Vec<u8>> {
        if kind == Kind::Idz {
            // As in the reference, whatever stands in the body.
            let ServerInfo { name, host, id, .. } = &self.own;
            return written(&ServerId { name, host, id });
        }
        let body = match checked(body, &self.own) {
            Ok(body) => body?,
            Err(fault) => return self.refuse(fault),
        };
        match kind {
            Kind::Idz => None,
            Kind::Statsz => {
                let statsz = Statsz::new(self.source.varz(), self.source.routes());
                self.write(Content::Statsz(statsz))
            }
            Kind::Varz => {
                let mut varz = self.source.varz();
                if let Some(http) = self.http {
                    varz.http_host = http.ip().to_string();
                    varz.http_port = http.port();
                }
                self.write(Content::Data(varz))
            }
            Kind::Jsz => match read::<JszOptions>(body) {
                // Who asked for the leader only is answered by the leader only.
                Ok(options) => self.write(Content::Data(self.source.jsz(&options).ok()?)),
                Err(fault) => self.refuse(fault),
            },
            Kind::Healthz => match read::<HealthCheck>(body) {
                Ok(check) => {
                    let health = Health::examine(self.source.as_ref(), &check);
                    self.write(Content::Data(health))
                }
                Err(fault) => self.refuse(fault),
            },
        }
    }

    fn refuse(&self, fault: Fault) -> Option<Vec<u8>> {
        self.write(Content::<()>::Error(fault))
    }

    fn write<T: Serialize>(&self, content: Content<T>) -> Option<Vec<u8>> {
        let seq = self.answers.fetch_add(1, Ordering::Relaxed) + 1;
        let server = ServerInfo { seq, time: now(), ..self.own.clone() };
        written(&Answer { server: &server, content })
    }
}

/// The body, when this server is meant.
fn checked<'a>(
    body: &'a Result<Bytes, usize>,
    own: &ServerInfo,
) -> Result<Option<&'a [u8]>, Fault> {
    let body = body.as_ref().map_err(|length| {
        let description =
            format!("the request has {length} bytes, of which {} are read at most", super::BODY);
        Fault { code: TOO_LARGE, description }
    })?;
    Ok(read::<Filter>(body)?.admits(own).then_some(body))
}

/// Reads a body; one that is empty wishes nothing.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Fault { code: BAD_REQUEST, description: error.to_string() })
}

fn written(answer: &impl Serialize) -> Option<Vec<u8>> {
    let written = serde_json::to_vec(answer);
    written.map_err(|error| log::error!("An answer cannot be written: {error}")).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn own() -> ServerInfo {
        let (name, host, id) = ("n1".to_owned(), "10.0.0.1".to_owned(), "NABC".to_owned());
        ServerInfo {
            name,
            host,
            id,
            cluster: "C1".into(),
            ver: "2.10".into(),
            ..ServerInfo::default()
        }
    }

    fn shape<T: Serialize>(content: Content<T>) -> Value {
        serde_json::to_value(Answer { server: &own(), content }).unwrap()
    }

    #[test]
    fn an_answer_says_who_answers_and_one_thing() {
        let data = shape(Content::Data(json!({"streams": 1})));
        assert_eq!(data["server"]["name"], "n1");
        assert_eq!(data["server"]["cluster"], "C1");
        assert!(data["server"].get("domain").is_none() && data["server"].get("tags").is_none());
        assert_eq!(data["data"], json!({"streams": 1}));
        let statsz = shape(Content::Statsz(json!({"cores": 2})));
        assert_eq!(statsz["statsz"]["cores"], 2);
        assert!(statsz.get("data").is_none());
        let fault = Fault { code: BAD_REQUEST, description: "why".into() };
        let error = shape(Content::<()>::Error(fault));
        assert_eq!(error["error"], json!({"code": 400, "description": "why"}));
    }

    #[test]
    fn only_servers_that_are_meant_read_on() {
        let check = |body: &'static str| {
            let body = Ok(Bytes::from_static(body.as_bytes()));
            checked(&body, &own()).map(|body| body.is_some()).map_err(|fault| fault.code)
        };
        assert_eq!(check(""), Ok(true));
        assert_eq!(check(r#"{"cluster":"C1"}"#), Ok(true));
        assert_eq!(check(r#"{"cluster":"C2"}"#), Ok(false));
        assert_eq!(check("{x"), Err(BAD_REQUEST));
        assert_eq!(checked(&Err(1 << 20), &own()).unwrap_err().code, TOO_LARGE);
    }
}
