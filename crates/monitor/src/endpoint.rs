//! The endpoints: from a request to what the source says, written down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{self, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::healthz::{self, HealthCheck};
use crate::index;
use crate::jsz::JszOptions;
use crate::metrics;
use crate::query::{BadQuery, Query};
use crate::source::Source;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Index,
    Varz,
    Jsz,
    Healthz,
    Metrics,
}

impl Endpoint {
    pub(crate) const ALL: [Self; 5] =
        [Self::Index, Self::Varz, Self::Jsz, Self::Healthz, Self::Metrics];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Index => "/",
            Self::Varz => "/varz",
            Self::Jsz => "/jsz",
            Self::Healthz => "/healthz",
            Self::Metrics => "/metrics",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Index => "Index",
            Self::Varz => "General",
            Self::Jsz => "JetStream",
            Self::Healthz => "Health probe",
            Self::Metrics => "Prometheus metrics",
        }
    }
}

/// What all requests share.
struct Desk {
    source: Arc<dyn Source>,
    local_addr: SocketAddr,
    requests: [AtomicU64; Endpoint::ALL.len()],
}

impl Desk {
    fn count(&self, endpoint: Endpoint) {
        for (known, count) in Endpoint::ALL.iter().zip(&self.requests) {
            if *known == endpoint {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn counts(&self) -> BTreeMap<&'static str, u64> {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Endpoint::ALL.iter().map(|e| e.path()).zip(self.requests.iter().map(count)).collect()
    }
}

/// All endpoints, answering from `source`, at an address that they tell.
pub(crate) fn router(source: Arc<dyn Source>, local_addr: SocketAddr) -> Router {
    let requests = [const { AtomicU64::new(0) }; Endpoint::ALL.len()];
    let desk = Desk { source, local_addr, requests };
    Router::new()
        .route(Endpoint::Index.path(), get(index))
        .route(Endpoint::Varz.path(), get(varz))
        .route(Endpoint::Jsz.path(), get(jsz))
        .route(Endpoint::Healthz.path(), get(healthz))
        .route(Endpoint::Metrics.path(), get(metrics))
        .with_state(Arc::new(desk))
}

type Pairs = extract::Query<Vec<(String, String)>>;

async fn index(State(desk): State<Arc<Desk>>) -> Html<String> {
    desk.count(Endpoint::Index);
    Html(index::page())
}

async fn varz(State(desk): State<Arc<Desk>>) -> Response {
    desk.count(Endpoint::Varz);
    blocking(move || {
        let mut varz = desk.source.varz();
        varz.http_host = desk.local_addr.ip().to_string();
        varz.http_port = desk.local_addr.port();
        varz.http_req_stats = desk.counts();
        indented(&varz)
    })
    .await
}

async fn jsz(State(desk): State<Arc<Desk>>, extract::Query(pairs): Pairs) -> Response {
    desk.count(Endpoint::Jsz);
    let options = match JszOptions::read(&Query::new(pairs)) {
        Ok(options) => options,
        Err(bad) => return bad.into_response(),
    };
    blocking(move || match desk.source.jsz(&options) {
        Ok(jsz) => indented(&jsz),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    })
    .await
}

async fn healthz(State(desk): State<Arc<Desk>>, extract::Query(pairs): Pairs) -> Response {
    desk.count(Endpoint::Healthz);
    let check = match HealthCheck::read(&Query::new(pairs)) {
        Ok(check) => check,
        Err(bad) => return bad.into_response(),
    };
    blocking(move || {
        let found = check.validate().and_then(|()| desk.source.healthz(&check));
        let (code, health) = healthz::answer(found, check.details);
        // On one line, as in the reference: probes compare it.
        json(code, serde_json::to_vec(&health))
    })
    .await
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response {
    desk.count(Endpoint::Metrics);
    blocking(move || {
        let page = metrics::page(&desk.source.varz(), desk.source.jetstream_metrics().as_ref());
        ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response()
    })
    .await
}

impl IntoResponse for BadQuery {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.to_string()).into_response()
    }
}

/// Asks the source where it may block. A source that panics costs this one answer.
async fn blocking(answer: impl FnOnce() -> Response + Send + 'static) -> Response {
    match tokio::task::spawn_blocking(answer).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn indented(body: &impl Serialize) -> Response {
    json(StatusCode::OK, serde_json::to_vec_pretty(body))
}

fn json(code: StatusCode, body: serde_json::Result<Vec<u8>>) -> Response {
    /// A page of any origin may show what any visitor may see.
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "application/json"), (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    match body {
        Ok(body) => (code, HEADERS, body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
