//! Which server a test runs against.

use std::env;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Result, bail};

/// A server program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// This project's server: `FLOTILLA_SERVER`, else `flotilla-server` in the directory cargo builds into.
    Flotilla,
    /// The reference, nats-server: `NATS_SERVER`, else on the PATH.
    NatsServer,
}

impl fmt::Display for Flavour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Flotilla => "flotilla",
            Self::NatsServer => "nats-server",
        })
    }
}

impl Flavour {
    /// The flavour the environment asks for: `FLOTILLA_FLAVOUR=nats` is the reference, nothing is Flotilla.
    ///
    /// # Errors
    /// The variable says something else.
    pub fn from_environment() -> Result<Self> {
        match env::var("FLOTILLA_FLAVOUR").as_deref() {
            Err(_) | Ok("" | "flotilla") => Ok(Self::Flotilla),
            Ok("nats") => Ok(Self::NatsServer),
            Ok(other) => bail!("FLOTILLA_FLAVOUR={other:?}: it is \"flotilla\" or \"nats\""),
        }
    }

    /// The program to run.
    ///
    /// # Errors
    /// There is none; the error says how to get it.
    pub fn program(self) -> Result<PathBuf> {
        let (variable, found, remedy) = match self {
            Self::Flotilla => (
                "FLOTILLA_SERVER",
                built("flotilla-server"),
                "build it with: cargo build --workspace --bins",
            ),
            Self::NatsServer => (
                "NATS_SERVER",
                on_path("nats-server"),
                "install it with: go install github.com/nats-io/nats-server/v2@v2.14.5",
            ),
        };
        let program = env::var_os(variable).map(PathBuf::from).or(found);
        match program {
            Some(program) if program.is_file() => Ok(program),
            Some(program) => bail!("{} does not exist; {remedy}", program.display()),
            None => bail!("there is no server to test ({variable} is not set); {remedy}"),
        }
    }
}

/// A program cargo built beside this one, which is a test or a program itself.
#[must_use]
pub fn built(name: &str) -> Option<PathBuf> {
    let this = env::current_exe().ok()?;
    // target/<profile>/deps/<test> or target/<profile>/<program> -> target/<profile>/<name>
    let deps = this.ancestors().find(|dir| dir.file_name().is_some_and(|name| name == "deps"));
    let directory = deps.unwrap_or(&this).parent()?;
    Some(directory.join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}

/// A program on the PATH.
#[must_use]
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let name = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).map(|directory| directory.join(&name)).find(|program| program.is_file())
}
