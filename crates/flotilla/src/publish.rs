//! `flotilla pub`

use std::io::{self, IsTerminal, Read};

use async_nats::HeaderMap;
use async_nats::header::HeaderValue;
use bytes::Bytes;

use crate::cli::Session;
use crate::exit::Failure;

/// The largest payload read from standard input: no server accepts more (`max_payload` is at most 64 MB).
const LARGEST: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The subject
    subject: String,

    /// The payload; from standard input if left out, or as "-"
    body: Option<String>,

    /// Wait until a stream has stored each message; "no leader" is tried again until --timeout
    #[arg(long, short = 'J')]
    jetstream: bool,

    /// How many times
    #[arg(long, default_value_t = 1, value_name = "N")]
    count: u64,

    /// A header, as NAME:VALUE; repeatable
    #[arg(long, short = 'H', value_name = "NAME:VALUE", value_parser = parse_header)]
    header: Vec<(String, String)>,

    /// The subject for replies
    #[arg(long, value_name = "SUBJECT", conflicts_with = "jetstream")]
    reply: Option<String>,
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("NAME:VALUE is expected")?;
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{name:?} cannot be a header's name"));
    }
    value.parse::<HeaderValue>().map_err(|_| format!("{value:?} cannot be a header's value"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs the command.
///
/// # Errors
/// A message could not be sent, or with `--jetstream` was not acknowledged; those before it were.
pub(crate) async fn run(args: Args, session: &Session) -> Result<(), Failure> {
    let payload = body(args.body).await?;
    let mut headers = HeaderMap::new();
    for (name, value) in args.header {
        headers.append(name, value);
    }
    for _ in 0..args.count {
        if args.jetstream {
            let ack = session.nats.publish_acknowledged(&args.subject, &headers, &payload).await?;
            session.out.reply(&ack, || {
                let ack = ack.fields();
                let duplicate = if ack.flag("duplicate") { ", a duplicate" } else { "" };
                format!(
                    "Stored in Stream: {} Sequence: {}{duplicate}",
                    ack.text("stream"),
                    ack.number("seq")
                )
            })?;
            continue;
        }
        send(&args.subject, args.reply.as_deref(), &headers, &payload, session).await?;
    }
    if args.jetstream {
        return Ok(());
    }
    // The PONG follows a refusal, if there is one.
    let flushed = tokio::select! {
        flushed = session.nats.client.flush() => flushed,
        reason = session.nats.denied() => return Err(crate::api::ApiError::Denied(reason).into()),
    };
    flushed.map_err(|error| Failure::Failed(format!("cannot publish: {error}")))?;
    let (count, bytes) = (args.count, payload.len());
    session.out.progress(&format!("Published {count} x {bytes} bytes to {:?}", args.subject));
    Ok(())
}

async fn send(
    subject: &str,
    reply: Option<&str>,
    headers: &HeaderMap,
    payload: &Bytes,
    session: &Session,
) -> Result<(), Failure> {
    let client = &session.nats.client;
    let (subject, payload) = (subject.to_owned(), payload.clone());
    let sent = match (reply.map(str::to_owned), headers.is_empty()) {
        (None, true) => client.publish(subject, payload).await,
        (None, false) => client.publish_with_headers(subject, headers.clone(), payload).await,
        (Some(reply), true) => client.publish_with_reply(subject, reply, payload).await,
        (Some(reply), false) => {
            client.publish_with_reply_and_headers(subject, reply, headers.clone(), payload).await
        }
    };
    sent.map_err(|error| Failure::Failed(format!("cannot publish: {error}")))
}

/// The payload: the argument, or all of standard input.
async fn body(argument: Option<String>) -> Result<Bytes, Failure> {
    match argument {
        Some(text) if text != "-" => return Ok(text.into()),
        None if io::stdin().is_terminal() => return Ok(Bytes::new()),
        _ => {}
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut payload = Vec::new();
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut payload).map(|_| payload)
    });
    let payload = read.await.map_err(io::Error::other)??;
    if payload.len() as u64 > LARGEST {
        return Err(Failure::Usage(
            "standard input is larger than any message can be (64 MB)".into(),
        ));
    }
    Ok(payload.into())
}

#[cfg(test)]
mod tests {
    use super::parse_header;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let pair = parse_header("Nats-Msg-Id: a:1").unwrap();
        assert_eq!((pair.0.as_str(), pair.1.as_str()), ("Nats-Msg-Id", "a:1"));
        for bad in ["x", ": v", "a b: v", "a: v\r\nb: w"] {
            assert!(parse_header(bad).is_err(), "{bad:?}");
        }
    }
}
