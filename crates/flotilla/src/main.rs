//! `flotilla`: the command-line tool of Flotilla, and of any other server that speaks JetStream.
//!
//! It is a client like any other: it links no part of the server. Data goes to standard output, everything
//! said about the data goes to standard error, and the exit code tells a script what happened ([`exit`]).

mod api;
mod bench;
mod cli;
mod connect;
mod consumer;
mod context;
mod exit;
mod message;
mod name;
mod output;
mod prompt;
mod publish;
mod reply;
mod server;
mod stream;
mod subscribe;
mod up;

use clap::Parser;

fn main() {
    let code = exit::report(cli::run(cli::Cli::parse()));
    // Not a plain return: a thread may still wait for a line of standard input, and nobody will type it.
    std::process::exit(code);
}
