//! `flotilla consumer rm`

use serde_json::Value;

use crate::cli::Session;
use crate::exit::Failure;
use crate::{name, prompt};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stream's name
    #[arg(value_parser = name::parse)]
    stream: String,

    /// The consumer's name
    #[arg(value_parser = name::parse)]
    consumer: String,

    /// Do not ask
    #[arg(long, short = 'f')]
    force: bool,
}

pub(super) async fn run(args: &Args, session: &Session) -> Result<(), Failure> {
    let Args { stream, consumer, force } = args;
    prompt::confirm(&format!("Delete consumer {stream} > {consumer}?"), *force).await?;
    let api = format!("CONSUMER.DELETE.{stream}.{consumer}");
    let reply = session.nats.call(&api, &Value::Null).await?;
    session.out.reply(&reply, || format!("Deleted consumer {stream} > {consumer}"))
}
