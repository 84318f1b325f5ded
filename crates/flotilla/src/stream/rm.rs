//! `flotilla stream rm`

use serde_json::Value;

use crate::cli::Session;
use crate::exit::Failure;
use crate::{name, prompt};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let question = format!("Delete stream {} and all its messages?", args.stream);
    prompt::confirm(&question, args.force).await?;
    let reply = session.nats.call(&format!("STREAM.DELETE.{}", args.stream), &Value::Null).await?;
    session.out.reply(&reply, || format!("Deleted stream {}", args.stream))
}
