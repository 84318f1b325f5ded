//! `flotilla stream purge`

use serde_json::{Map, Value};

use crate::cli::Session;
use crate::exit::Failure;
use crate::output::quantity;
use crate::{name, prompt};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// Only messages of this subject
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// Only messages before this sequence
    #[arg(long, value_name = "SEQUENCE", conflicts_with = "keep")]
    seq: Option<u64>,

    /// Keep this many of the newest
    #[arg(long, value_name = "N")]
    keep: Option<u64>,

    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let what =
        args.subject.as_ref().map(|subject| format!(" of subject {subject}")).unwrap_or_default();
    prompt::confirm(&format!("Delete messages{what} from stream {}?", args.stream), args.force)
        .await?;
    let mut request = Map::new();
    if let Some(subject) = &args.subject {
        request.insert("filter".into(), subject.as_str().into());
    }
    for (name, number) in [("seq", args.seq), ("keep", args.keep)] {
        if let Some(number) = number {
            request.insert(name.into(), number.into());
        }
    }
    let body = if request.is_empty() { Value::Null } else { Value::Object(request) };
    let reply = session.nats.call(&format!("STREAM.PURGE.{}", args.stream), &body).await?;
    session.out.reply(&reply, || {
        let purged = quantity::count(reply.fields().number("purged"));
        format!("Purged {purged} messages from {}", args.stream)
    })
}
