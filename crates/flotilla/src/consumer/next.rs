//! `flotilla consumer next`

use std::time::Duration;

use async_nats::{Message, Request, StatusCode, Subscriber};
use futures::StreamExt;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use crate::cli::Session;
use crate::exit::Failure;
use crate::message::{self, Delivery};
use crate::name;
use crate::output::duration;

/// How much longer than the server we wait for its word that a request expired.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// The consumer's name
    #[arg(value_parser = name::parse)]
    consumer: String,

    /// How many messages
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    count: u64,

    /// How long to wait for them [default: --timeout]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,

    /// Do not acknowledge them
    #[arg(long)]
    no_ack: bool,

    /// Print payloads only
    #[arg(long, conflicts_with = "json")]
    raw: bool,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let mut fetched = 0;
    let deadline = Instant::now() + args.wait.unwrap_or(session.nats.timeout);
    while fetched < args.count {
        let more = fetch(args, session, args.count - fetched, deadline).await?;
        fetched += more;
        if more == 0 || Instant::now() >= deadline {
            break;
        }
    }
    if fetched > 0 {
        return Ok(());
    }
    Err(Failure::NotFound(format!(
        "no message for consumer {} > {} in time",
        args.stream, args.consumer
    )))
}

/// One pull request: prints and acknowledges what it brings, and returns how much that was.
async fn fetch(
    args: &Args,
    session: &Session,
    wanted: u64,
    deadline: Instant,
) -> Result<u64, Failure> {
    let client = &session.nats.client;
    let client_error = |error: String| Failure::Failed(format!("cannot fetch: {error}"));
    let inbox = client.new_inbox();
    let mut replies =
        client.subscribe(inbox.clone()).await.map_err(|error| client_error(error.to_string()))?;
    let subject =
        format!("{}.CONSUMER.MSG.NEXT.{}.{}", session.nats.api_prefix, args.stream, args.consumer);
    let expires = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    // A larger batch than a consumer allows is refused as a whole.
    let request = json!({"batch": wanted.min(256), "expires": duration::nanoseconds(expires)});
    client
        .publish_with_reply(subject, inbox, request.to_string().into())
        .await
        .map_err(|error| client_error(error.to_string()))?;
    let mut fetched = 0;
    while fetched < wanted.min(256) {
        let Some(message) = receive(&mut replies, session, deadline + GRACE).await? else { break };
        if let Some(status) = message.status.filter(|&status| status != StatusCode::OK) {
            if status == StatusCode::IDLE_HEARTBEAT {
                continue;
            }
            ended(args, status, message.description.as_deref().unwrap_or_default())?;
            break;
        }
        show(args, session, &message)?;
        acknowledge(args, session, &message).await?;
        fetched += 1;
    }
    Ok(fetched)
}

async fn receive(
    replies: &mut Subscriber,
    session: &Session,
    deadline: Instant,
) -> Result<Option<Message>, Failure> {
    tokio::select! {
        message = timeout_at(deadline, replies.next()) => Ok(message.unwrap_or_default()),
        reason = session.nats.denied() => Err(crate::api::ApiError::Denied(reason).into()),
    }
}

/// A status ends the request: quietly if it only means "no more for now".
fn ended(args: &Args, status: StatusCode, description: &str) -> Result<(), Failure> {
    let of = format!("consumer {} > {}", args.stream, args.consumer);
    match status.as_u16() {
        404 | 408 => Ok(()),
        409 if description.starts_with("Batch Completed") => Ok(()),
        // The new leader has not heard of this request: it may simply be made again.
        409 if description.starts_with("Leadership Change") => Ok(()),
        503 => Err(Failure::NotFound(format!(
            "nobody answers for {of}: it does not exist, or has no leader"
        ))),
        code => Err(Failure::Failed(format!("{of}: {description} ({code})"))),
    }
}

fn show(args: &Args, session: &Session, message: &Message) -> Result<(), Failure> {
    let out = &session.out;
    if args.raw {
        return out.print_raw(&message.payload);
    }
    let delivery = message.reply.as_ref().and_then(|reply| Delivery::parse(reply));
    if out.json {
        return out.print(&message::json(message, delivery.as_ref()).to_string());
    }
    out.print(&message::text(message, delivery.as_ref()))
}

/// Acknowledges, and waits until the server has committed it: exit code 0 means it will not come again.
async fn acknowledge(args: &Args, session: &Session, message: &Message) -> Result<(), Failure> {
    let Some(reply) = message.reply.as_ref().filter(|_| !args.no_ack) else { return Ok(()) };
    let request = Request::new().payload("+ACK".into());
    session.nats.request(reply, request).await?;
    Ok(())
}
