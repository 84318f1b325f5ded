//! What reading a configuration found: problems that refuse it and warnings that do not.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::address::AddressError;
use crate::duration::{DurationError, format_duration};
use crate::route_url::RouteUrlError;
use crate::syntax::{Position, SyntaxError};

/// Problems kept; more are only counted.
const MAX_PROBLEMS: usize = 100;

/// A configuration that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is no configuration.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The text is one, but its options are wrong.
    #[error(transparent)]
    Options(#[from] Problems),
}

/// All that is wrong with the options, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    problems: Vec<Problem>,
    omitted: usize,
}

impl Problems {
    /// The problems, at most a hundred.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_end = if index > 0 { "\n" } else { "" };
            write!(f, "{line_end}{problem}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// One thing that is wrong, and where. A rule that no single line breaks has no place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub at: Option<Position>,
    /// What it is.
    pub reason: Reason,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        self.reason.fmt(f)
    }
}

/// What is wrong with an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A key that neither NATS nor Flotilla has.
    #[error("unknown field {name:?}{}", suggestion(nearest))]
    Unknown {
        /// The key.
        name: String,
        /// The known key most like it.
        nearest: Option<&'static str>,
    },
    /// A key of NATS that Flotilla does not have. Ignoring it could mean serving without a protection
    /// that the operator asked for.
    #[error("'{0}' is not supported by this version of Flotilla")]
    Unsupported(String),
    /// A value of another kind.
    #[error("'{name}' must be {expected}, not {found}")]
    Kind {
        /// The option.
        name: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// A number where a duration was meant: `5m` is five million.
    #[error("'{name}' is a duration: {written} without quotes is a number, write \"{written}\"")]
    UnquotedDuration {
        /// The option.
        name: &'static str,
        /// The number as it was written.
        written: String,
    },
    /// A number beyond its bounds.
    #[error("'{name}' must be {low} to {high}")]
    Range {
        /// The option.
        name: &'static str,
        /// The least it can be.
        low: i64,
        /// The most it can be.
        high: i64,
    },
    /// A text that is no duration.
    #[error("error parsing {name}: {error}")]
    Duration {
        /// The option.
        name: &'static str,
        /// Why it is none.
        error: DurationError,
    },
    /// A duration below its least.
    #[error("invalid {name}, minimum is {}", format_duration(*low))]
    TooShort {
        /// The option.
        name: &'static str,
        /// The least it can be.
        low: Duration,
    },
    /// A text that is no address.
    #[error("'{name}': {error}")]
    Address {
        /// The option.
        name: &'static str,
        /// Why it is none.
        error: AddressError,
    },
    /// A text that is no route.
    #[error("error parsing route url: {0}")]
    Route(RouteUrlError),
    /// A value with no meaning.
    #[error("'{name}' {why}")]
    Invalid {
        /// The option.
        name: &'static str,
        /// What it must be.
        why: &'static str,
    },
    /// A name with blanks in it, which no subject could carry.
    #[error("{0} cannot contain spaces")]
    Spaces(&'static str),
    /// Options that exclude each other.
    #[error("{0}")]
    Conflict(&'static str),
    /// Something that must be set.
    #[error("{context} requires `{option}` to be set")]
    Required {
        /// What needs it.
        context: &'static str,
        /// What must be set.
        option: &'static str,
    },
    /// A user name that two users have.
    #[error("Duplicate user {0:?} detected")]
    DuplicateUser(String),
    /// A user that no user is.
    #[error(
        "no_auth_user: {0:?} not present as user in authorization block or account configuration"
    )]
    NoAuthUser(String),
    /// A system account that no account is.
    #[error("error resolving system account: no account is named {0:?}")]
    SystemAccount(String),
    /// A payload that no connection could take.
    #[error("max_payload ({payload}) cannot be higher than max_pending ({pending})")]
    PayloadAbovePending {
        /// Bytes of `max_payload`.
        payload: u64,
        /// Bytes of `max_pending`.
        pending: u64,
    },
}

fn suggestion(nearest: &Option<&'static str>) -> String {
    nearest.map(|name| format!(", did you mean {name:?}?")).unwrap_or_default()
}

/// Something the operator should know that does not refuse the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where it is, if it is anywhere.
    pub at: Option<Position>,
    /// What it is.
    pub remark: Remark,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = &self.at {
            write!(f, "{at}: ")?;
        }
        self.remark.fmt(f)
    }
}

/// What a warning says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Remark {
    /// A key that was given before: the last one counts.
    #[error("{key:?} was already given at {first}: the last one counts")]
    Repeated {
        /// The key.
        key: String,
        /// Where it stood before.
        first: Position,
    },
    /// A number of seconds for a duration, as old files have it.
    #[error(
        "invalid use of field {name:?}: {name} should be converted to a duration, such as \"{seconds}s\""
    )]
    IntegerDuration {
        /// The option.
        name: &'static str,
        /// The seconds.
        seconds: i64,
    },
    /// A limit above which servers get slow.
    #[error("max_payload is above 8MB: large messages slow everyone down")]
    LargePayload,
    /// Routes that take anyone for a server.
    #[error(
        "routes are encrypted, but without cluster.tls or cluster.authorization any peer that \
         reaches the port is taken for a server of this cluster"
    )]
    OpenRoutes,
    /// Routes that cannot tell whom they talk to.
    #[error(
        "routes are encrypted, but without cluster.tls nobody's certificate is verified, and the \
         route password is sent to whoever answers"
    )]
    UnverifiedRoutes,
}

/// Collects while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    problems: Vec<Problem>,
    omitted: usize,
    warnings: Vec<Warning>,
    /// Where each option was set, by its path, such as `cluster.name`.
    origins: BTreeMap<String, Position>,
}

impl Findings {
    pub(crate) fn fail(&mut self, at: Option<Position>, reason: Reason) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { at, reason });
        } else {
            self.omitted += 1;
        }
    }

    pub(crate) fn warn(&mut self, at: Option<Position>, remark: Remark) {
        if self.warnings.len() < MAX_PROBLEMS {
            self.warnings.push(Warning { at, remark });
        }
    }

    pub(crate) fn set_origin(&mut self, path: String, at: Position) {
        self.origins.insert(path, at);
    }

    /// Where an option was set, if it was.
    pub(crate) fn origin(&self, path: &str) -> Option<Position> {
        self.origins.get(path).cloned()
    }

    /// The warnings, unless there are problems.
    pub(crate) fn conclude(self) -> Result<Vec<Warning>, Problems> {
        if self.problems.is_empty() {
            return Ok(self.warnings);
        }
        Err(Problems { problems: self.problems, omitted: self.omitted })
    }
}
