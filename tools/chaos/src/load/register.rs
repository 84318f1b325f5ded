//! A stream as a register: writers that expect its last sequence, and reads that only its leader answers.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::{Attempt, LOG, PATIENCE, REGISTER, Worker};
use crate::event::{Answer, Call};
use crate::payload;

/// The API's code for a sequence or subject without a message.
const NO_MESSAGE: u64 = 10037;

/// Writes, each time expecting what it was told last.
pub(super) async fn write(worker: Worker, number: usize) {
    let (mut message, mut last) = (0_u64, 0);
    while worker.is_running() {
        message += 1;
        let name = format!("cas{number}-{message}");
        match worker.publish(REGISTER, &name, false, Some(last), PATIENCE).await {
            Attempt::Stored(sequence) => last = sequence,
            Attempt::Refused(Some(there)) => last = there,
            Attempt::Refused(None) | Attempt::Unknown => {
                last = read_message(&worker).await.unwrap_or(last);
            }
        }
        worker.rest().await;
        worker.rest().await;
    }
}

/// Reads the last message, and the streams' last sequences, in turn.
pub(super) async fn read(worker: Worker) {
    while worker.is_running() {
        read_message(&worker).await;
        worker.rest().await;
        read_information(&worker, REGISTER).await;
        worker.rest().await;
        read_information(&worker, LOG).await;
        worker.rest().await;
    }
}

async fn read_message(worker: &Worker) -> Option<u64> {
    let op = worker.recorder.invoke(Call::Last { stream: REGISTER.into() });
    let body = json!({ "last_by_subj": format!("{REGISTER}.load") });
    match worker.ask(&format!("STREAM.MSG.GET.{REGISTER}"), &body).await {
        Ok(answer) => {
            let data = answer["message"]["data"].as_str().unwrap_or_default();
            let payload = payload::read(&BASE64.decode(data.as_bytes()).unwrap_or_default());
            let Some(sequence) = answer["message"]["seq"].as_u64() else {
                worker.recorder.unknown(op, answer);
                return None;
            };
            // Altered bytes must not pass for the message that they were.
            let name =
                if payload.intact { payload.name } else { format!("altered {}", payload.name) };
            worker.recorder.ok(op, Answer::Last { sequence, name: Some(name) });
            Some(sequence)
        }
        Err((_, Some(NO_MESSAGE))) => {
            worker.recorder.ok(op, Answer::Last { sequence: 0, name: None });
            Some(0)
        }
        Err((error, _)) => {
            worker.recorder.unknown(op, error);
            None
        }
    }
}

async fn read_information(worker: &Worker, stream: &str) {
    let op = worker.recorder.invoke(Call::Last { stream: stream.into() });
    match worker.ask(&format!("STREAM.INFO.{stream}"), &Value::Null).await {
        // During an election a replica answers from what it has, and names no leader: that is no leader's read.
        Ok(answer) if answer["cluster"]["leader"].as_str().is_none_or(str::is_empty) => {
            worker.recorder.unknown(op, "no leader");
        }
        Ok(answer) => match answer["state"]["last_seq"].as_u64() {
            Some(sequence) => worker.recorder.ok(op, Answer::Last { sequence, name: None }),
            None => worker.recorder.unknown(op, answer),
        },
        Err((error, _)) => worker.recorder.unknown(op, error),
    }
}
