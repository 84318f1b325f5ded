//! The command line: one definition for parsing and help. A command's own arguments stand beside its code.

use clap::{Args, ColorChoice, Parser, Subcommand};

use crate::connect::{Connection, ConnectionArgs};
use crate::exit::{self, Failure};
use crate::output::Output;
use crate::{bench, consumer, publish, server, stream, subscribe, up};

/// Administers and uses Flotilla, or any other NATS server with JetStream.
#[derive(Debug, Parser)]
#[command(name = "flotilla", version, propagate_version = true, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options every command takes.
#[derive(Debug, Args)]
pub(crate) struct Globals {
    #[command(flatten)]
    connection: ConnectionArgs,

    /// Print JSON: the API's last reply as the server sent it, or one line per message
    #[arg(long, short = 'j', global = true, help_heading = "Output")]
    json: bool,

    /// When to colour; NO_COLOR, CLICOLOR_FORCE and TERM=dumb are honoured
    #[arg(
        long,
        global = true,
        default_value = "auto",
        value_name = "WHEN",
        help_heading = "Output"
    )]
    color: ColorChoice,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Streams: create, inspect, change, delete; their Raft groups
    #[command(subcommand, visible_aliases = ["str", "st", "s"])]
    Stream(stream::Command),
    /// Consumers: create, inspect, read from, delete
    #[command(subcommand, visible_aliases = ["con", "c"])]
    Consumer(consumer::Command),
    /// Publish messages
    #[command(visible_alias = "publish")]
    Pub(publish::Args),
    /// Subscribe to subjects and print what arrives
    #[command(visible_alias = "subscribe")]
    Sub(subscribe::Args),
    /// Servers: the meta group (needs a user of the system account)
    #[command(subcommand, visible_alias = "srv")]
    Server(server::Command),
    /// Put loads on the servers and measure them
    Bench(bench::Args),
    /// Start a cluster on this machine, to try things on
    Up(up::Args),
}

/// What a command works with.
pub(crate) struct Session {
    pub(crate) nats: Connection,
    pub(crate) out: Output,
}

/// Runs the command line to its end.
///
/// # Errors
/// The command's own failure, or [`Failure::Interrupted`] after Ctrl-C.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(dispatch(cli));
    runtime.shutdown_background();
    result
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    let out = Output::new(cli.globals.json, cli.globals.color);
    let command = match cli.command {
        // `up` answers signals itself: it has servers to stop.
        Command::Up(args) => return up::run(&args, &out).await,
        command => command,
    };
    tokio::select! {
        result = connect_and_run(command, &cli.globals.connection, out) => result,
        signal = tokio::signal::ctrl_c() => Err(signal.err().map_or(Failure::Interrupted, Failure::Io)),
    }
}

async fn connect_and_run(
    command: Command,
    connection: &ConnectionArgs,
    out: Output,
) -> Result<(), Failure> {
    if let Command::Bench(args) = command {
        // It opens connections of its own.
        return bench::run(&args, connection, &out).await;
    }
    let session = Session { nats: Connection::open(connection).await?, out };
    let result = match command {
        Command::Stream(command) => stream::run(command, &session).await,
        Command::Consumer(command) => consumer::run(command, &session).await,
        Command::Pub(args) => publish::run(args, &session).await,
        Command::Sub(args) => subscribe::run(args, &session).await,
        Command::Server(command) => server::run(command, &session).await,
        Command::Up(_) | Command::Bench(_) => Ok(()),
    };
    session.nats.close().await;
    result
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_administration_page_s_commands_parse() {
        for line in [
            "flotilla str add ORDERS --replicas 3",
            "flotilla stream info ORDERS --json",
            "flotilla stream cluster step-down ORDERS",
            "flotilla s cluster peer-remove ORDERS",
            "flotilla -s nats://a:4222,nats://b:4222 --timeout 2s consumer next ORDERS c1 --count 3",
            "flotilla server cluster peer-remove n4-c1 --force",
            "flotilla up --servers 5",
        ] {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }

    #[test]
    fn a_stream_name_that_would_change_the_subject_is_refused() {
        for name in ["A.B", "A*", ">", "A B", ""] {
            assert!(Cli::try_parse_from(["flotilla", "stream", "info", name]).is_err(), "{name:?}");
        }
    }
}
