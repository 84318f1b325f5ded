//! `flotilla sub`

use futures::StreamExt;
use futures::stream::select_all;

use crate::api::ApiError;
use crate::cli::Session;
use crate::exit::Failure;
use crate::message;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Subjects, wildcards included
    #[arg(required = true)]
    subjects: Vec<String>,

    /// Share the messages among the members of this queue group
    #[arg(long, value_name = "GROUP")]
    queue: Option<String>,

    /// Stop after so many messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Print payloads only, a line each
    #[arg(long, short = 'r', conflicts_with = "json")]
    raw: bool,
}

/// Runs the command, until `--count` messages came or the user ends it.
///
/// # Errors
/// The subscription was refused, or the connection is gone for good.
pub(crate) async fn run(args: Args, session: &Session) -> Result<(), Failure> {
    let client = &session.nats.client;
    let mut subscribers = Vec::with_capacity(args.subjects.len());
    for subject in &args.subjects {
        let subscriber = match &args.queue {
            Some(queue) => client.queue_subscribe(subject.clone(), queue.clone()).await,
            None => client.subscribe(subject.clone()).await,
        };
        let failed = |error| Failure::Failed(format!("cannot subscribe to {subject:?}: {error}"));
        subscribers.push(subscriber.map_err(failed)?);
    }
    session.out.progress(&format!("Subscribing on {}", args.subjects.join(", ")));
    let mut messages = select_all(subscribers);
    let mut seen = 0;
    while args.count.is_none_or(|count| seen < count) {
        let message = tokio::select! {
            message = messages.next() => message,
            reason = session.nats.denied() => return Err(ApiError::Denied(reason).into()),
        };
        let Some(message) = message else {
            return Err(Failure::Late("the connection is closed".into()));
        };
        seen += 1;
        if args.raw {
            session.out.print_raw(&message.payload)?;
            session.out.print("")?;
        } else if session.out.json {
            session.out.print(&message::json(&message, None).to_string())?;
        } else {
            session.out.print(&message::text(&message, None))?;
        }
    }
    Ok(())
}
