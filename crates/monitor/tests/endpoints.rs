//! The endpoints over a real socket, asked by a client that knows just enough HTTP.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so and stop")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use flotilla_jsapi::Time;
use flotilla_monitor::{
    AccountDetail, FaultKind, HealthCheck, HealthFault, JetStreamMetrics, Jsz, JszOptions, Monitor,
    MonitorOptions, NotMetaLeader, Source, StreamDetail, Varz,
};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that is whatever a test wants it to be, and remembers what it was asked.
#[derive(Default)]
struct Sample {
    faults: Vec<HealthFault>,
    asked: Mutex<Vec<String>>,
}

impl Source for Sample {
    fn varz(&self) -> Varz {
        let server_name = "n1".to_owned();
        Varz { server_name, port: 4222, connections: 3, in_msgs: 7, ..Varz::default() }
    }

    fn jsz(&self, options: &JszOptions) -> Result<Jsz, NotMetaLeader> {
        if options.leader_only {
            return Err(NotMetaLeader);
        }
        let stream = StreamDetail {
            name: "ORDERS".into(),
            created: Time::parse("2026-01-02T03:04:05Z").unwrap(),
            ..StreamDetail::default()
        };
        let streams = if options.streams { vec![stream] } else { Vec::new() };
        let detail = |name: &str| AccountDetail {
            name: name.to_owned(),
            id: name.to_owned(),
            streams: streams.clone(),
            ..AccountDetail::default()
        };
        let account_details = options.select(["B", "A"]).into_iter().map(detail).collect();
        Ok(Jsz { total: 2, messages: 9, account_details, ..Jsz::default() })
    }

    fn jetstream_metrics(&self) -> Option<JetStreamMetrics> {
        Some(JetStreamMetrics { up: true, streams: 2, disk_full: true, ..Default::default() })
    }

    fn healthz(&self, check: &HealthCheck) -> Result<(), Vec<HealthFault>> {
        self.asked.lock().unwrap().push(format!("{check:?}"));
        assert_ne!(check.account.as_deref(), Some("BOOM"), "a source that panics");
        if self.faults.is_empty() { Ok(()) } else { Err(self.faults.clone()) }
    }
}

async fn serve(source: Sample) -> Monitor {
    Monitor::bind(&MonitorOptions::new("127.0.0.1", 0), Arc::new(source)).await.unwrap()
}

/// The status code, the head in lower case and the body.
async fn get(address: SocketAddr, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let code = head.split(' ').nth(1).unwrap().parse().unwrap();
    (code, head.to_lowercase(), body.to_owned())
}

async fn get_json(address: SocketAddr, path: &str) -> Value {
    let (code, head, body) = get(address, path).await;
    assert_eq!(code, 200, "{path}: {body}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(head.contains("access-control-allow-origin: *"), "{head}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn varz_is_indented_and_counts_what_was_asked() {
    let monitor = serve(Sample::default()).await;
    let (_, _, body) = get(monitor.local_addr(), "/varz").await;
    assert!(body.starts_with("{\n  \"server_id\": \"\",\n  \"server_name\": \"n1\",\n"), "{body}");
    let varz = get_json(monitor.local_addr(), "/varz").await;
    assert_eq!(varz["in_msgs"], 7);
    assert_eq!(varz["http_port"], monitor.local_addr().port());
    assert_eq!(varz["gateway"], serde_json::json!({}));
    assert_eq!(varz["slow_consumer_stats"]["clients"], 0);
    let counts = serde_json::json!({"/": 0, "/varz": 2, "/jsz": 0, "/healthz": 0, "/metrics": 0});
    assert_eq!(varz["http_req_stats"], counts);
}

/// What nats-top and the Prometheus exporter read, by name and type.
#[tokio::test]
async fn varz_has_the_fields_that_tools_read() {
    let monitor = serve(Sample::default()).await;
    let varz = get_json(monitor.local_addr(), "/varz").await;
    for number in [
        "port",
        "max_connections",
        "ping_interval",
        "max_payload",
        "max_pending",
        "mem",
        "cores",
        "gomaxprocs",
        "cpu",
        "connections",
        "total_connections",
        "routes",
        "remotes",
        "leafnodes",
        "in_msgs",
        "out_msgs",
        "in_bytes",
        "out_bytes",
        "slow_consumers",
        "subscriptions",
    ] {
        assert!(varz[number].is_number(), "{number}");
    }
    for text in ["server_id", "server_name", "version", "go", "host", "uptime", "start", "now"] {
        assert!(varz[text].is_string(), "{text}");
    }
    for object in ["cluster", "gateway", "leaf", "mqtt", "websocket", "jetstream"] {
        assert!(varz[object].is_object(), "{object}");
    }
}

#[tokio::test]
async fn jsz_tells_totals_and_what_was_asked_for() {
    let monitor = serve(Sample::default()).await;
    let jsz = get_json(monitor.local_addr(), "/jsz").await;
    assert_eq!(jsz["messages"], 9);
    assert_eq!(jsz["api"]["total"], 0);
    assert!(jsz.get("account_details").is_none());
    let jsz = get_json(monitor.local_addr(), "/jsz?consumers=true&limit=1").await;
    assert_eq!(jsz["account_details"].as_array().unwrap().len(), 1);
    let account = &jsz["account_details"][0];
    assert_eq!(account["name"], "A");
    assert_eq!(account["stream_detail"][0]["created"], "2026-01-02T03:04:05Z");
    assert_eq!(account["stream_detail"][0]["state"]["messages"], 0);
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_is_a_bad_request() {
    let monitor = serve(Sample::default()).await;
    let (code, _, body) = get(monitor.local_addr(), "/jsz?streams=perhaps").await;
    assert_eq!(code, 400);
    assert!(body.contains("'streams'") && body.contains("perhaps"), "{body}");
    let (code, _, body) = get(monitor.local_addr(), "/jsz?leader-only=1").await;
    assert_eq!((code, body.as_str()), (400, "filtered response: not leader"));
    let (code, _, body) = get(monitor.local_addr(), "/healthz?stream=S").await;
    assert_eq!(code, 400);
    assert!(body.contains("must not be empty"), "{body}");
}

#[tokio::test]
async fn healthz_is_one_line_and_its_code_is_the_verdict() {
    let monitor = serve(Sample::default()).await;
    let (code, _, body) = get(monitor.local_addr(), "/healthz").await;
    assert_eq!((code, body.as_str()), (200, r#"{"status":"ok"}"#));

    let faults = vec![HealthFault::new(FaultKind::JetStream, "the meta group has no leader")];
    let monitor = serve(Sample { faults, ..Sample::default() }).await;
    let (code, _, body) = get(monitor.local_addr(), "/healthz").await;
    let brief = r#"{"status":"unavailable","error":"the meta group has no leader"}"#;
    assert_eq!((code, body.as_str()), (503, brief));
    let (code, _, body) = get(monitor.local_addr(), "/healthz?details=true").await;
    assert_eq!(code, 503);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["errors"][0]["type"], "JETSTREAM");
}

#[tokio::test]
async fn healthz_passes_on_what_is_to_be_examined() {
    let source = Arc::new(Sample::default());
    let options = MonitorOptions::new("127.0.0.1", 0);
    let monitor = Monitor::bind(&options, Arc::<Sample>::clone(&source)).await.unwrap();
    get(monitor.local_addr(), "/healthz?js-server-only=true").await;
    get(monitor.local_addr(), "/healthz?js-enabled=1&account=A").await;
    let asked = source.asked.lock().unwrap().join("\n");
    assert!(asked.contains("js_server_only: true"), "{asked}");
    assert!(asked.contains("js_enabled_only: true") && asked.contains(r#"Some("A")"#), "{asked}");
}

#[tokio::test]
async fn a_source_that_panics_costs_one_answer() {
    let monitor = serve(Sample::default()).await;
    let (code, _, _) = get(monitor.local_addr(), "/healthz?account=BOOM").await;
    assert_eq!(code, 500);
    let (code, _, _) = get(monitor.local_addr(), "/healthz").await;
    assert_eq!(code, 200);
}

#[tokio::test]
async fn the_index_links_to_what_is_there_and_nothing_else_is() {
    let monitor = serve(Sample::default()).await;
    let (code, head, body) = get(monitor.local_addr(), "/").await;
    assert_eq!(code, 200);
    assert!(head.contains("text/html"), "{head}");
    for path in ["/varz", "/jsz", "/healthz"] {
        assert!(body.contains(path), "{body}");
    }
    assert_eq!(get(monitor.local_addr(), "/nothing").await.0, 404);
}

#[tokio::test]
async fn shutting_down_ends_connections_that_say_nothing_and_frees_the_port() {
    let monitor = serve(Sample::default()).await;
    let address = monitor.local_addr();
    let mut silent = TcpStream::connect(address).await.unwrap();
    get(address, "/healthz").await;
    monitor.shutdown().await;
    let mut rest = Vec::new();
    // However it ends, it ends.
    drop(silent.read_to_end(&mut rest).await);
    assert!(rest.is_empty());
    drop(TcpListener::bind(address).await.unwrap());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = serve(Sample::default()).await;
    let options = MonitorOptions::new("127.0.0.1", taken.local_addr().port());
    let error = Monitor::bind(&options, Arc::new(Sample::default())).await.unwrap_err();
    let port = taken.local_addr().port().to_string();
    assert!(error.to_string().contains(&port), "{error}");
}

#[tokio::test]
async fn metrics_are_text_that_prometheus_reads() {
    let monitor = serve(Sample::default()).await;
    let (code, head, body) = get(monitor.local_addr(), "/metrics").await;
    assert_eq!(code, 200);
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    for line in [
        "flotilla_connections 3",
        "flotilla_received_messages_total 7",
        "flotilla_jetstream_up 1",
        "flotilla_jetstream_streams 2",
        "flotilla_disk_full 1",
        "# TYPE flotilla_wal_sync_seconds histogram",
    ] {
        assert!(body.lines().any(|l| l == line), "{line:?} is not in {body}");
    }
}
