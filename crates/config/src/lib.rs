//! The configuration of a server: NATS's `.conf` language, and the typed options it fills.
//!
//! [`load`] is the whole way: file, includes and variables through a [`Source`], then the command line's
//! [`Overrides`], then the rules over all of it. Everything wrong is reported at once, each with
//! `file:line:column`. A key of NATS that this version does not have is an error that names it: what an
//! operator asked for is never ignored.
//!
//! The crate is pure. It opens no file and reads no environment by itself, and its parser is bounded in
//! depth, files and bytes, so that no configuration can exhaust a server that reloads it.
//!
//! A file may say what NATS's says, and more is accepted only where NATS has no meaning for it.

mod address;
mod duration;
mod findings;
mod options;
mod overrides;
mod reload;
mod route_url;
mod secret;
mod source;
pub mod syntax;

use std::path::Path;

use findings::Findings;

pub use address::{AddressError, Listen, Port};
pub use duration::{DurationError, format_duration, parse_duration};
pub use findings::{ConfigError, Problem, Problems, Reason, Remark, Warning};
pub use options::{
    Account, AccountJetStream, Authorization, Cluster, ConnectionLimits, DEFAULT_HOST,
    DEFAULT_PORT, DEFAULT_ROUTE_AUTH_TIMEOUT, DEFAULT_SYSTEM_ACCOUNT, GLOBAL_ACCOUNT, JetStream,
    JetStreamLimits, Key, LameDuck, Logging, MAX_PAYLOAD_LIMIT, Options, RouteAuthorization,
    RouteTls, SECTIONS, Section, SyncPolicy, Tuning, User,
};
pub use overrides::Overrides;
pub use reload::{Change, NotReloadable, reload_diff};
pub use route_url::{DEFAULT_ROUTE_PORT, RouteScheme, RouteUrl, RouteUrlError};
pub use secret::Secret;
pub use source::{MemorySource, Source};

/// A configuration that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The options of file and command line.
    pub options: Options,
    /// What the file says, hashed, as `nats-server -t` prints it; `None` without a file.
    pub digest: Option<String>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

/// Reads the file, if there is one, puts the command line over it, and checks the result.
///
/// # Errors
/// The first fault of the text, or else everything that is wrong with the options.
pub fn load(
    path: Option<&Path>,
    source: &dyn Source,
    overrides: &Overrides,
) -> Result<Configuration, ConfigError> {
    let mut findings = Findings::default();
    let mut options = Options::default();
    let mut digest = None;
    if let Some(path) = path {
        let document = syntax::parse(path, source)?;
        digest = Some(document.digest());
        for repeated in document.repeated {
            let remark = Remark::Repeated { key: repeated.key, first: repeated.first };
            findings.warn(Some(repeated.at), remark);
        }
        options = Options::read(&document.root, &mut findings);
    }
    overrides.apply(&mut options, &mut findings);
    options::validation::validate(&options, &mut findings);
    let warnings = findings.conclude()?;
    Ok(Configuration { options, digest, warnings })
}
