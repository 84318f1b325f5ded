//! Real clients at work, each writing down what it asked and what it was told.

mod consume;
mod publish;
mod register;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::{Client, HeaderMap, Request};
use flotilla_tests::cluster::{ELECTION, request};
use flotilla_tests::eventually;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::event::{Answer, Call, Event};
use crate::history::Recorder;
use crate::payload;

/// The stream of publishers and consumers.
pub const LOG: &str = "LOG";
/// The stream of writers that expect a sequence.
pub const REGISTER: &str = "REG";
/// The consumer of [`LOG`].
pub const READER: &str = "reader";
/// The name by which histories know it: with its stream's, as the checker wants it.
pub const READER_IN_HISTORY: &str = "LOG.reader";

/// Longer than a run: within it, an id is known.
const WINDOW: Duration = Duration::from_secs(3_600);
/// How long a message that is not acknowledged rests before it comes again.
const ACK_WAIT: Duration = Duration::from_secs(3);
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Before it tries again where nobody listens.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the consumer may take to hand out the rest, when nothing is wrong any more.
const DRAIN: Duration = Duration::from_secs(90);

/// Makes the streams and the consumer.
///
/// # Errors
/// They are refused for as long as an election may take.
pub async fn create_assets(client: &Client, replicas: usize) -> Result<()> {
    for stream in [LOG, REGISTER] {
        let config = json!({
            "name": stream, "subjects": [format!("{stream}.>")], "num_replicas": replicas,
            "storage": "file", "retention": "limits", "allow_direct": true,
            "duplicate_window": u64::try_from(WINDOW.as_nanos())?,
        });
        create(client, &format!("STREAM.CREATE.{stream}"), &config).await?;
    }
    let config = json!({ "stream_name": LOG, "config": {
        "durable_name": READER, "ack_policy": "explicit", "deliver_policy": "all",
        "ack_wait": u64::try_from(ACK_WAIT.as_nanos())?, "max_ack_pending": 2_000,
    }});
    create(client, &format!("CONSUMER.CREATE.{LOG}.{READER}"), &config).await
}

async fn create(client: &Client, api: &str, config: &Value) -> Result<()> {
    eventually(ELECTION, api, async || Ok(Some(request(client, api, config).await?))).await?;
    Ok(())
}

/// Clients at work.
#[derive(Debug)]
pub struct Load {
    writing: Arc<AtomicBool>,
    reading: Arc<AtomicBool>,
    writers: JoinSet<()>,
    readers: JoinSet<()>,
    recorder: Arc<Recorder>,
}

impl Load {
    /// Starts publishers into the log, and nothing else; they do not rest.
    #[must_use]
    pub fn publishers(client: &Client, recorder: &Arc<Recorder>, writers: usize) -> Self {
        let mut load = Self::idle(recorder);
        for number in 0..writers {
            let (recorder, running) = (recorder.clone(), load.writing.clone());
            let worker = Worker { client: client.clone(), recorder, running, pace: Duration::ZERO };
            load.writers.spawn(publish::with_ids(worker, number));
        }
        load
    }

    fn idle(recorder: &Arc<Recorder>) -> Self {
        Self {
            writing: Arc::new(AtomicBool::new(true)),
            reading: Arc::new(AtomicBool::new(true)),
            writers: JoinSet::new(),
            readers: JoinSet::new(),
            recorder: recorder.clone(),
        }
    }

    /// Starts writers, readers and consumers, spread over these clients.
    #[must_use]
    pub fn start(clients: &[Client], recorder: &Arc<Recorder>, pace: Duration) -> Self {
        let mut load = Self::idle(recorder);
        let mut clients = clients.iter().cycle().cloned();
        let mut worker = |running: &Arc<AtomicBool>| {
            let (running, recorder) = (running.clone(), recorder.clone());
            clients.next().map(|client| Worker { client, recorder, running, pace })
        };
        for number in 0..4 {
            let worker = worker(&load.writing);
            load.writers.extend(worker.map(|worker| publish::with_ids(worker, number)));
        }
        for number in 0..2 {
            let worker = worker(&load.writing);
            load.writers.extend(worker.map(|worker| publish::without_ids(worker, number)));
        }
        let deleter = worker(&load.writing);
        load.writers.extend(deleter.map(publish::and_delete));
        for number in 0..3 {
            let worker = worker(&load.writing);
            load.writers.extend(worker.map(|worker| register::write(worker, number)));
        }
        for _ in 0..2 {
            let worker = worker(&load.writing);
            load.writers.extend(worker.map(register::read));
        }
        for _ in 0..3 {
            let worker = worker(&load.reading);
            load.readers.extend(worker.map(consume::pull));
        }
        let watcher = worker(&load.reading);
        load.readers.extend(watcher.map(consume::watch_floor));
        load
    }

    /// Ends the writers, and the reads that go with them.
    pub async fn stop_writing(&mut self) {
        self.writing.store(false, Ordering::Relaxed);
        while self.writers.join_next().await.is_some() {}
    }

    /// Lets the consumer hand out the rest, writes down whether it did, and ends the readers.
    pub async fn drain(&mut self, clients: &[Client]) {
        let mut text = String::from("no answer");
        let mut clients = clients.iter().cycle();
        let nothing_left = eventually(DRAIN, "nothing to be left", async || {
            let client = clients.next().context("a client")?;
            let api = format!("CONSUMER.INFO.{LOG}.{READER}");
            let info = request(client, &api, &Value::Null).await?;
            let (pending, unacknowledged) = (&info["num_pending"], &info["num_ack_pending"]);
            text = format!("{pending} pending, {unacknowledged} not acknowledged");
            Ok((*pending == 0 && *unacknowledged == 0).then_some(()))
        });
        let complete = nothing_left.await.is_ok();
        self.recorder.note(&Event::Drained { consumer: READER_IN_HISTORY.into(), complete, text });
        self.reading.store(false, Ordering::Relaxed);
        while self.readers.join_next().await.is_some() {}
    }
}

/// One client's task.
#[derive(Clone)]
struct Worker {
    client: Client,
    recorder: Arc<Recorder>,
    running: Arc<AtomicBool>,
    pace: Duration,
}

/// How an attempt to publish ended.
enum Attempt {
    Stored(u64),
    /// For a sequence that was expected in vain; with the one that is there.
    Refused(Option<u64>),
    Unknown,
}

impl Worker {
    fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed)
    }

    async fn rest(&self) {
        sleep(self.pace).await;
    }

    /// One attempt to publish.
    async fn publish(
        &self,
        stream: &str,
        name: &str,
        id: bool,
        expect: Option<u64>,
        patience: Duration,
    ) -> Attempt {
        let mut headers = HeaderMap::new();
        if id {
            headers.insert("Nats-Msg-Id", name);
        }
        if let Some(expect) = expect {
            headers.insert("Nats-Expected-Last-Sequence", expect.to_string().as_str());
        }
        let message = Request::new().payload(payload::write(name).into()).headers(headers);
        let call = Call::Publish { stream: stream.into(), name: name.into(), id, expect };
        let op = self.recorder.invoke(call);
        let answer = self.client.send_request(format!("{stream}.load"), message);
        let answer = match timeout(patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.recorder.unknown(op, error);
                sleep(PAUSE).await;
                return Attempt::Unknown;
            }
            Err(_) => {
                self.recorder.unknown(op, "no answer");
                return Attempt::Unknown;
            }
        };
        let ack: Value = serde_json::from_slice(&answer.payload).unwrap_or_default();
        if let Some(sequence) = ack["seq"].as_u64().filter(|_| ack.get("error").is_none()) {
            let duplicate = ack["duplicate"] == true;
            self.recorder.ok(op, Answer::Stored { sequence, duplicate });
            return Attempt::Stored(sequence);
        }
        let error = ack["error"].to_string();
        // "wrong last sequence: N", or without the N. Other errors do not say that nothing was stored.
        if matches!(ack["error"]["err_code"].as_u64(), Some(10071 | 10164)) {
            let text = ack["error"]["description"].as_str().unwrap_or_default();
            let last = text.rsplit_once(": ").and_then(|(_, last)| last.parse().ok());
            self.recorder.fail(op, error, last);
            return Attempt::Refused(last);
        }
        self.recorder.unknown(op, error);
        sleep(PAUSE).await;
        Attempt::Unknown
    }

    /// A request to the API; `Err` is a text, and with it the API's error code if it gave one.
    async fn ask(&self, api: &str, body: &Value) -> Result<Value, (String, Option<u64>)> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.client.request(format!("$JS.API.{api}"), body.into());
        let answer = match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                sleep(PAUSE).await;
                return Err((error.to_string(), None));
            }
            Err(_) => return Err(("no answer".into(), None)),
        };
        let answer: Value =
            serde_json::from_slice(&answer.payload).map_err(|error| (error.to_string(), None))?;
        match answer.get("error") {
            Some(error) => Err((error.to_string(), error["err_code"].as_u64())),
            None => Ok(answer),
        }
    }
}
