//! `flotilla stream`: everything about streams.

mod add;
mod cluster;
mod config;
mod edit;
mod info;
mod ls;
mod purge;
mod rm;

use clap::Subcommand;

use crate::cli::Session;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a stream
    #[command(visible_alias = "create")]
    Add(Box<add::Args>),
    /// Show a stream's configuration, cluster and state
    #[command(visible_alias = "i")]
    Info(info::Args),
    /// List streams
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    /// Delete a stream and all its messages
    #[command(visible_aliases = ["delete", "del"])]
    Rm(rm::Args),
    /// Delete messages of a stream
    Purge(purge::Args),
    /// Change a stream's configuration: replicas, limits, subjects
    #[command(visible_alias = "update")]
    Edit(Box<edit::Args>),
    /// The stream's Raft group
    #[command(subcommand)]
    Cluster(cluster::Command),
}

/// Runs a command of `flotilla stream`.
///
/// # Errors
/// What the command could not do.
pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add::run(&args, session).await,
        Command::Info(args) => info::run(&args, session).await,
        Command::Ls(args) => ls::run(&args, session).await,
        Command::Rm(args) => rm::run(&args, session).await,
        Command::Purge(args) => purge::run(&args, session).await,
        Command::Edit(args) => edit::run(&args, session).await,
        Command::Cluster(command) => cluster::run(command, session).await,
    }
}
