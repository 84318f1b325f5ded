//! Publishers into the log.

use std::time::Duration;

use serde_json::json;

use super::{Attempt, LOG, PATIENCE, Worker};
use crate::event::{Answer, Call};

/// How long a publisher that may try again waits first: a message on its way to a leader that dies is answered by
/// nobody.
const FIRST_PATIENCE: Duration = Duration::from_millis(250);

/// Each message is sent under its id until it is acknowledged: one copy of it may be stored.
pub(super) async fn with_ids(worker: Worker, number: usize) {
    let mut message = 0_u64;
    while worker.is_running() {
        message += 1;
        let name = format!("id{number}-{message}");
        store(&worker, &name).await;
        worker.rest().await;
    }
}

async fn store(worker: &Worker, name: &str) -> Option<u64> {
    let mut patience = FIRST_PATIENCE;
    while worker.is_running() {
        let attempt = worker.publish(LOG, name, true, None, patience).await;
        if let Attempt::Stored(sequence) = attempt {
            return Some(sequence);
        }
        patience = (patience * 2).min(2 * PATIENCE);
    }
    None
}

/// Each message is sent once.
pub(super) async fn without_ids(worker: Worker, number: usize) {
    let mut message = 0_u64;
    while worker.is_running() {
        message += 1;
        let name = format!("once{number}-{message}");
        worker.publish(LOG, &name, false, None, PATIENCE).await;
        worker.rest().await;
    }
}

/// Every third of its messages is deleted again.
pub(super) async fn and_delete(worker: Worker) {
    let mut message = 0_u64;
    while worker.is_running() {
        message += 1;
        let stored = store(&worker, &format!("del-{message}")).await;
        if let Some(sequence) = stored.filter(|_| message.is_multiple_of(3)) {
            let op = worker.recorder.invoke(Call::Delete { stream: LOG.into(), sequence });
            match worker.ask(&format!("STREAM.MSG.DELETE.{LOG}"), &json!({ "seq": sequence })).await
            {
                Ok(_) => worker.recorder.ok(op, Answer::Deleted),
                Err((error, _)) => worker.recorder.unknown(op, error),
            }
        }
        worker.rest().await;
        worker.rest().await;
    }
}
