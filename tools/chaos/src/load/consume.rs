//! A consumer's clients: they pull, acknowledge, and want the acknowledgment confirmed.

use std::time::Duration;

use async_nats::jetstream::{self, Message, consumer};
use futures::StreamExt;
use futures::future::join_all;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{LOG, PATIENCE, PAUSE, READER, READER_IN_HISTORY, Worker};
use crate::event::{Answer, Call, Delivery, Event};
use crate::payload;

/// The most messages that one request brings.
const BATCH: usize = 64;
/// How long a request waits for them.
const EXPIRES: Duration = Duration::from_secs(1);
/// Between two looks at the floor.
const LOOK: Duration = Duration::from_millis(200);
/// One in so many messages is not acknowledged when it comes first: it must come again.
const NEGLECTED: u64 = 16;

/// Pulls and acknowledges.
pub(super) async fn pull(worker: Worker) {
    let context = jetstream::new(worker.client.clone());
    let mut found: Option<consumer::PullConsumer> = None;
    while worker.is_running() {
        let Some(consumer) = &found else {
            let asked = timeout(PATIENCE, context.get_consumer_from_stream(READER, LOG)).await;
            found = asked.ok().and_then(Result::ok);
            if found.is_none() {
                sleep(PAUSE).await;
            }
            continue;
        };
        let messages = fetch(&worker, consumer).await;
        if messages.is_empty() {
            sleep(PAUSE).await;
        }
        join_all(messages.iter().map(|message| acknowledge(&worker, message))).await;
    }
}

async fn fetch(worker: &Worker, consumer: &consumer::PullConsumer) -> Vec<Message> {
    let pulled = worker.recorder.now();
    let request = consumer.fetch().max_messages(BATCH).expires(EXPIRES).messages();
    let Ok(Ok(mut messages)) = timeout(PATIENCE, request).await else { return Vec::new() };
    let mut fetched = Vec::new();
    // A server that dies leaves the request open.
    while let Ok(Some(Ok(message))) = timeout(EXPIRES + PATIENCE, messages.next()).await {
        let at = worker.recorder.now();
        let Ok(info) = message.info() else { continue };
        let payload = payload::read(&message.payload);
        worker.recorder.note(&Event::Delivery(Delivery {
            consumer: READER_IN_HISTORY.into(),
            pulled,
            at,
            sequence: info.stream_sequence,
            number: info.consumer_sequence,
            name: payload.name,
            intact: payload.intact,
        }));
        let neglected = info.delivered == 1 && info.stream_sequence.is_multiple_of(NEGLECTED);
        if !neglected {
            fetched.push(message);
        }
    }
    fetched
}

async fn acknowledge(worker: &Worker, message: &Message) {
    let (Ok(info), Some(reply)) = (message.info(), &message.reply) else { return };
    let call = Call::Ack { consumer: READER_IN_HISTORY.into(), sequence: info.stream_sequence };
    let op = worker.recorder.invoke(call);
    // Not the library's `double_ack`: it takes any answer for a confirmation, also the one that nobody listens.
    let answer = worker.client.request(reply.clone(), "+ACK".into());
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) if answer.status.is_none() => worker.recorder.ok(op, Answer::Confirmed),
        Ok(Ok(answer)) => worker.recorder.unknown(op, format!("status {:?}", answer.status)),
        Ok(Err(error)) => worker.recorder.unknown(op, error),
        Err(_) => worker.recorder.unknown(op, "no answer"),
    }
}

/// Looks at the floor again and again.
pub(super) async fn watch_floor(worker: Worker) {
    while worker.is_running() {
        let op = worker.recorder.invoke(Call::Floor { consumer: READER_IN_HISTORY.into() });
        match worker.ask(&format!("CONSUMER.INFO.{LOG}.{READER}"), &Value::Null).await {
            Ok(answer) if answer["cluster"]["leader"].as_str().is_none_or(str::is_empty) => {
                worker.recorder.unknown(op, "no leader");
            }
            Ok(answer) => match answer["ack_floor"]["stream_seq"].as_u64() {
                Some(sequence) => worker.recorder.ok(op, Answer::Floor { sequence }),
                None => worker.recorder.unknown(op, answer),
            },
            Err((error, _)) => worker.recorder.unknown(op, error),
        }
        sleep(LOOK).await;
    }
}
