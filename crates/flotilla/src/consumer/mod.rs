//! `flotilla consumer`: everything about consumers.

mod add;
mod info;
mod ls;
mod next;
mod rm;

use clap::Subcommand;

use crate::cli::Session;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a consumer
    #[command(visible_alias = "create")]
    Add(Box<add::Args>),
    /// Show a consumer's configuration, cluster and state
    #[command(visible_alias = "i")]
    Info(info::Args),
    /// List a stream's consumers
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Delete a consumer
    #[command(visible_aliases = ["delete", "del"])]
    Rm(rm::Args),
    /// Fetch messages from a pull consumer
    Next(next::Args),
}

/// Runs a command of `flotilla consumer`.
///
/// # Errors
/// What the command could not do.
pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add::run(&args, session).await,
        Command::Info(args) => info::run(&args, session).await,
        Command::Ls(args) => ls::run(&args, session).await,
        Command::Rm(args) => rm::run(&args, session).await,
        Command::Next(args) => next::run(&args, session).await,
    }
}
