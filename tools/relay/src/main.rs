//! Runs a bad network between servers on one host.
//!
//! ```text
//! flotilla-relay --seed 7 \
//!     --server n1=127.0.0.1:6221,front=127.0.0.1:7221 \
//!     --server n2=127.0.0.1:6222,front=127.0.0.1:7222 \
//!     --server n3=127.0.0.1:6223,front=127.0.0.1:7223
//! ```
//!
//! Each server listens at its first address, advertises its front (`cluster_advertise`), and has
//! the fronts of the others as routes. The library's page says how it works.
//!
//! Commands are lines on standard input; each is answered by a line, `ok` or `error: ...`:
//!
//! ```text
//! cut A B            nothing passes between A and B; cut A>B only from A to B
//! isolate A          nothing passes to or from A
//! join A B           undoes a cut, and keeps loss, delay and the rest
//! loss A B 0.1       probability of loss; likewise duplicate, reorder
//! delay A B 20ms     delay of each datagram; jitter A B 5ms adds up to as much
//! heal [A B]         a perfect network again, for a pair or for all
//! show               conditions and traffic of each direction, then ok
//! quit               ends, as does the end of standard input
//! ```
//!
//! `*` stands for every server and for whoever else sends, who is named `outside`. All is perfect at
//! first.

use std::env;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use flotilla_relay::{Command, Relay, Server};

const USAGE: &str = "usage: flotilla-relay [--seed N] --server NAME=ADDRESS,front=ADDRESS ...";

fn main() -> ExitCode {
    let relay = match arguments(env::args().skip(1)) {
        Ok((seed, servers)) => Relay::start(seed, servers).map_err(|error| error.to_string()),
        Err(wrong) => Err(format!("{wrong}\n{USAGE}")),
    };
    match relay {
        Ok(relay) => {
            // Whoever reads the answers has gone: nothing is left to do.
            let _ = serve(&relay);
            ExitCode::SUCCESS
        }
        Err(wrong) => {
            eprintln!("flotilla-relay: {wrong}");
            ExitCode::FAILURE
        }
    }
}

/// Answers commands until there are no more.
fn serve(relay: &Relay) -> io::Result<()> {
    let mut answers = io::stdout();
    writeln!(answers, "ok")?;
    for line in io::stdin().lock().lines() {
        let error = match line?.parse() {
            Ok(Command::Change(pairs, change)) => {
                relay.change(&pairs, change).err().map(|error| error.to_string())
            }
            Ok(Command::Show) => {
                write!(answers, "{}", relay.describe())?;
                None
            }
            Ok(Command::Quit) => return writeln!(answers, "ok"),
            Err(error) => Some(error.to_string()),
        };
        match error {
            None => writeln!(answers, "ok")?,
            Some(error) => writeln!(answers, "error: {error}")?,
        }
    }
    Ok(())
}

fn arguments(mut words: impl Iterator<Item = String>) -> Result<(u64, Vec<Server>), String> {
    let mut seed = 0;
    let mut servers = Vec::new();
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} has no value"))?;
        match word.as_str() {
            "--seed" => seed = value.parse().map_err(|_| format!("{value} is no seed"))?,
            "--server" => {
                servers.push(server(&value).ok_or_else(|| format!("{value} is no server"))?);
            }
            _ => return Err(format!("unknown option {word}")),
        }
    }
    if servers.is_empty() {
        return Err("no server is given".to_owned());
    }
    Ok((seed, servers))
}

/// Reads `NAME=ADDRESS,front=ADDRESS`.
fn server(text: &str) -> Option<Server> {
    let (name, addresses) = text.split_once('=')?;
    let (address, front) = addresses.split_once(",front=")?;
    let (address, front) = (address.parse().ok()?, front.parse().ok()?);
    Some(Server { name: name.to_owned(), address, front })
}
