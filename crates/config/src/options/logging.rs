//! What the server writes about itself, and where.

use std::path::PathBuf;

use super::fields::Fields;
use super::section::Key;

/// Logging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logging {
    /// Whether `[DBG]` lines are written.
    pub debug: bool,
    /// Whether the clients' protocol is written, as `[TRC]` lines.
    pub trace: bool,
    /// Whether the system account's protocol is traced too; implies `trace`.
    pub trace_verbose: bool,
    /// Whether lines begin with date and time.
    pub logtime: bool,
    /// The file; standard error if none.
    pub file: Option<PathBuf>,
}

impl Default for Logging {
    fn default() -> Self {
        Self { debug: false, trace: false, trace_verbose: false, logtime: true, file: None }
    }
}

pub(super) const DEBUG: Key = Key {
    name: "debug",
    aliases: &[],
    kind: "boolean",
    default: "`false`",
    reload: true,
    meaning: "Write `[DBG]` lines.",
};
pub(super) const TRACE: Key = Key {
    name: "trace",
    aliases: &[],
    kind: "boolean",
    default: "`false`",
    reload: true,
    meaning: "Write every protocol line of every client as `[TRC]` lines.",
};
pub(super) const TRACE_VERBOSE: Key = Key {
    name: "trace_verbose",
    aliases: &[],
    kind: "boolean",
    default: "`false`",
    reload: true,
    meaning: "Trace the system account too; implies `trace`.",
};
pub(super) const LOGTIME: Key = Key {
    name: "logtime",
    aliases: &[],
    kind: "boolean",
    default: "`true`",
    reload: true,
    meaning: "Begin log lines with date and time.",
};
pub(super) const LOG_FILE: Key = Key {
    name: "log_file",
    aliases: &["logfile"],
    kind: "path",
    default: "standard error",
    reload: true,
    meaning: "Append the log to this file. SIGUSR1 opens it anew, for rotation.",
};

pub(super) fn read(fields: &mut Fields<'_, '_>) -> Logging {
    let defaults = Logging::default();
    let trace_verbose = fields.bool("trace_verbose").unwrap_or(defaults.trace_verbose);
    Logging {
        debug: fields.bool("debug").unwrap_or(defaults.debug),
        trace: fields.bool("trace").unwrap_or(defaults.trace) || trace_verbose,
        trace_verbose,
        logtime: fields.bool("logtime").unwrap_or(defaults.logtime),
        file: fields.path("log_file"),
    }
}
