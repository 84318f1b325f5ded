//! The command line, in the style of nats-server: Go's flags.
//!
//! One dash or two, `-flag value` or `-flag=value`; a switch takes no value, or `=true` and `=false`.
//! Every flag is one row of a table, which parses it and explains it. Parsing only parses: what was asked
//! for comes back as a [`Command`].

mod help;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use flotilla_config::Overrides;

use crate::signals::{SignalRequest, SignalRequestError};
use table::{FLAGS, Flag, Takes, UNSUPPORTED};

pub use help::help;

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run the server, or with `test` only check its configuration.
    Run(Box<Flags>),
    /// Send a signal to a running server.
    Signal(SignalRequest),
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// The flags of a server that is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `-c`: the configuration.
    pub config: Option<PathBuf>,
    /// `-t`: check the configuration and exit.
    pub test: bool,
    /// What wins over the configuration, at start and again at every reload.
    pub overrides: Overrides,
}

/// Why a command line is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// A flag that does not exist.
    #[error("flag provided but not defined: -{0}")]
    Undefined(String),
    /// A flag of nats-server that Flotilla does not have.
    #[error("flag -{0} is not supported by this version of Flotilla")]
    Unsupported(String),
    /// A flag that ends the line but wants a value.
    #[error("flag needs an argument: -{0}")]
    MissingValue(String),
    /// A value of the wrong kind.
    #[error("invalid value {value:?} for flag -{flag}: {why}")]
    Value {
        /// The flag as it was written.
        flag: String,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Something that begins like a flag and is none.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// An argument that is not text.
    #[error("the argument {0:?} is not valid UTF-8")]
    NotUtf8(String),
    /// A word that is no flag.
    #[error("unrecognized command: {0:?}")]
    UnknownCommand(String),
    /// `-t` alone.
    #[error("must specify [-c, --config] option to check configuration file syntax")]
    TestWithoutConfig,
    /// `--signal` with something unknown.
    #[error(transparent)]
    Signal(#[from] SignalRequestError),
}

impl FlagError {
    /// Whether the help should follow the message, on standard output.
    pub fn wants_help(&self) -> bool {
        matches!(
            self,
            Self::Undefined(_)
                | Self::Unsupported(_)
                | Self::MissingValue(_)
                | Self::Value { .. }
                | Self::Syntax(_)
        )
    }

    /// The exit code of nats-server for the same mistake. Where it prints its help it leaves with zero,
    /// which scripts may have come to rely on; a flag it has and we lack is a failure all the same.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unsupported(_) => 1,
            mistake => u8::from(!mistake.wants_help()),
        }
    }
}

/// Everything the table's rows can set.
#[derive(Debug, Default)]
struct Draft {
    flags: Flags,
    help: bool,
    version: bool,
    signal: Option<String>,
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// The first mistake. As in Go, flags end at `--` or at the first word that is none.
pub fn parse(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<Command, FlagError> {
    let mut arguments = arguments.into_iter().map(|argument| {
        argument
            .into_string()
            .map_err(|argument| FlagError::NotUtf8(argument.to_string_lossy().into_owned()))
    });
    let mut draft = Draft::default();
    let mut word = None;
    while let Some(argument) = arguments.next().transpose()? {
        match split(&argument)? {
            Argument::Flag(name, value) => set(&mut draft, name, value, &mut arguments)?,
            Argument::End => word = arguments.next().transpose()?,
            Argument::Word => word = Some(argument),
        }
        if word.is_some() {
            break;
        }
    }
    conclude(draft, word.as_deref())
}

fn conclude(draft: Draft, word: Option<&str>) -> Result<Command, FlagError> {
    if draft.version {
        return Ok(Command::Version);
    }
    if draft.help {
        return Ok(Command::Help);
    }
    match word {
        None => {}
        Some(word) if word.eq_ignore_ascii_case("version") => return Ok(Command::Version),
        Some(word) if word.eq_ignore_ascii_case("help") => return Ok(Command::Help),
        Some(word) => return Err(FlagError::UnknownCommand(word.to_owned())),
    }
    if let Some(signal) = draft.signal {
        return Ok(Command::Signal(signal.parse()?));
    }
    if draft.flags.test && draft.flags.config.is_none() {
        return Err(FlagError::TestWithoutConfig);
    }
    Ok(Command::Run(Box::new(draft.flags)))
}

/// What one argument is.
enum Argument<'a> {
    Flag(&'a str, Option<&'a str>),
    /// `--`.
    End,
    Word,
}

fn split(argument: &str) -> Result<Argument<'_>, FlagError> {
    let Some(rest) = argument.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
        return Ok(Argument::Word);
    };
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    if rest.is_empty() {
        return Ok(Argument::End);
    }
    if rest.starts_with(['-', '=']) {
        return Err(FlagError::Syntax(argument.to_owned()));
    }
    Ok(match rest.split_once('=') {
        Some((name, value)) => Argument::Flag(name, Some(value)),
        None => Argument::Flag(rest, None),
    })
}

fn set(
    draft: &mut Draft,
    name: &str,
    value: Option<&str>,
    arguments: &mut impl Iterator<Item = Result<String, FlagError>>,
) -> Result<(), FlagError> {
    let flag = find(name)?;
    let invalid = |value: &str, why| {
        let value = if flag.secret { "[hidden]" } else { value };
        FlagError::Value { flag: name.to_owned(), value: value.to_owned(), why }
    };
    if let Takes::Switch(set) = flag.takes {
        let value = value.unwrap_or("true");
        let on = parse_bool(value).ok_or_else(|| invalid(value, "must be true or false"))?;
        set(draft, on);
        return Ok(());
    }
    let value = match value {
        Some(value) => value.to_owned(),
        None => match arguments.next().transpose()? {
            Some(value) => value,
            None => return Err(FlagError::MissingValue(name.to_owned())),
        },
    };
    match flag.takes {
        Takes::Switch(_) => {}
        Takes::Text(_, set) => set(draft, value),
        Takes::Number(_, set) => {
            let number = value.parse().map_err(|_| invalid(&value, "parse error"))?;
            set(draft, number).map_err(|why| invalid(&value, why))?;
        }
    }
    Ok(())
}

fn find(name: &str) -> Result<&'static Flag, FlagError> {
    if let Some(flag) = FLAGS.iter().find(|flag| flag.names.contains(&name)) {
        return Ok(flag);
    }
    if UNSUPPORTED.contains(&name) {
        return Err(FlagError::Unsupported(name.to_owned()));
    }
    Err(FlagError::Undefined(name.to_owned()))
}

/// The words that Go takes for booleans.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
