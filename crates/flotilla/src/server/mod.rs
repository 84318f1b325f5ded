//! `flotilla server`: the servers of a cluster, through the system account.

mod cluster;
pub(crate) mod election;

use clap::Subcommand;

use crate::cli::Session;
use crate::exit::Failure;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The meta group: which servers there are, and which one leads
    #[command(subcommand)]
    Cluster(cluster::Command),
}

/// Runs a command of `flotilla server`.
///
/// # Errors
/// What the command could not do.
pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    match command {
        Command::Cluster(command) => cluster::run(command, session).await,
    }
}
