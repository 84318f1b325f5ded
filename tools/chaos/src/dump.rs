//! The final reading: every sequence of a stream, asked of its leader.

use std::time::Duration;

use anyhow::{Context, Result};
use async_nats::Client;
use data_encoding::BASE64;
use flotilla_tests::cluster::request;
use flotilla_tests::eventually;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::event::Event;
use crate::history::Recorder;
use crate::payload;

/// How long the stream may take to say what it holds, and a sequence to be read.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts to read a sequence.
const PAUSE: Duration = Duration::from_millis(100);
/// How many sequences are asked for at the same time.
const AT_ONCE: usize = 48;

/// What the leader said when it was asked for one sequence.
enum Answer {
    Message(Vec<u8>),
    NotThere,
    Error(String),
}

/// Writes down what a stream holds; `damaged` says whether a server leads it whose files were damaged.
///
/// # Errors
/// It does not even say up to where it goes. A sequence that cannot be read is written down as such.
pub async fn dump(
    clients: &[Client],
    recorder: &Recorder,
    stream: &str,
    damaged: bool,
) -> Result<()> {
    recorder.note(&Event::Reading { stream: stream.to_owned(), damaged });
    let mut turns = clients.iter().cycle();
    let info = eventually(PATIENCE, &format!("the information of {stream}"), async || {
        let client = turns.next().context("a client")?;
        let info = request(client, &format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        let led = info["cluster"]["leader"].as_str().is_some_and(|leader| !leader.is_empty());
        Ok(led.then_some(info))
    })
    .await?;
    let number = |name: &str| {
        info["state"][name].as_u64().with_context(|| format!("{stream} has no {name}"))
    };
    let (last, messages) = (number("last_seq")?, number("messages")?);
    let reads = futures::stream::iter((1..=last).zip(clients.iter().cycle()));
    let mut answers = reads
        .map(|(sequence, client)| async move { (sequence, read(client, stream, sequence).await) })
        .buffer_unordered(AT_ONCE);
    while let Some((sequence, answer)) = answers.next().await {
        let stream = stream.to_owned();
        match answer {
            Answer::Message(bytes) => {
                let payload = payload::read(&bytes);
                let (name, intact) = (payload.name, payload.intact);
                recorder.note(&Event::Held { stream, sequence, name, intact });
            }
            Answer::NotThere => {}
            Answer::Error(error) => {
                recorder.note(&Event::Unreadable { stream, sequence, error });
            }
        }
    }
    recorder.note(&Event::Dumped { stream: stream.to_owned(), last, messages });
    Ok(())
}

async fn read(client: &Client, stream: &str, sequence: u64) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask(client, stream, sequence).await {
            Answer::Error(_) if Instant::now() < deadline => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// One question; only "no message found" says that nothing is there.
async fn ask(client: &Client, stream: &str, sequence: u64) -> Answer {
    let body = json!({ "seq": sequence }).to_string();
    let answer = client.request(format!("$JS.API.STREAM.MSG.GET.{stream}"), body.into()).await;
    let answer: Value = match answer {
        Ok(answer) => serde_json::from_slice(&answer.payload).unwrap_or_default(),
        Err(error) => return Answer::Error(error.to_string()),
    };
    if answer["error"]["err_code"] == 10037 {
        return Answer::NotThere;
    }
    let data = answer["message"]["data"].as_str().map(|data| BASE64.decode(data.as_bytes()));
    match data {
        Some(Ok(bytes)) => Answer::Message(bytes),
        _ => Answer::Error(answer["error"].to_string()),
    }
}
