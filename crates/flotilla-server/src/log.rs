//! The server's log, in nats-server's format:
//! `[pid] 2026/11/20 12:34:56.123456 [INF] text`.
//!
//! People and the clients' test suites read these lines, so the format is fixed. The crates of the server
//! log through the `log` facade and know nothing of this: `info!` is `[INF]`, `trace!` is a line of some
//! client's protocol. A level that is off costs one atomic load.

mod line;
mod sink;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_config::Logging;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use log::{Level, LevelFilter, Log, Metadata, Record};

use line::write_line;
use sink::Sink;

/// The target of a record that is `[FTL]`: what the server says last. Its level must be `Error`.
pub const FATAL: &str = "flotilla::fatal";

/// Modules whose every level is logged. Of libraries, only warnings and errors are.
const OWN_TARGETS: &str = "flotilla";

/// A handle to the log; clones write to the same place.
#[derive(Clone, Debug)]
pub struct Logger {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pid: u32,
    zone: TimeZone,
    with_time: AtomicBool,
    debug: AtomicBool,
    trace: AtomicBool,
    output: Mutex<Output>,
}

#[derive(Debug)]
struct Output {
    sink: Sink,
    /// Where lines are put together, so that each is one write.
    line: String,
}

/// A log file that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log file {path:?}: {reason}")]
pub struct LogFileError {
    path: std::path::PathBuf,
    #[source]
    reason: std::io::Error,
}

impl Logger {
    /// A log as the options want it.
    ///
    /// # Errors
    /// If the log file cannot be opened.
    pub fn new(options: &Logging) -> Result<Self, LogFileError> {
        let output = Output { sink: Sink::Stderr, line: String::new() };
        let shared = Shared {
            pid: std::process::id(),
            zone: TimeZone::system(),
            with_time: AtomicBool::new(true),
            debug: AtomicBool::new(false),
            trace: AtomicBool::new(false),
            output: Mutex::new(output),
        };
        let logger = Self { shared: Arc::new(shared) };
        logger.configure(options)?;
        Ok(logger)
    }

    /// Makes this the log of the whole process. Only the first logger can be: it says whether it is.
    pub fn install(&self) -> bool {
        let installed = log::set_boxed_logger(Box::new(self.clone())).is_ok();
        if installed {
            self.announce_level();
        }
        installed
    }

    /// Changes the log to what the options want, as a reload does.
    ///
    /// # Errors
    /// If another log file cannot be opened; then nothing changes.
    pub fn configure(&self, options: &Logging) -> Result<(), LogFileError> {
        let mut output = self.output();
        if output.sink.path() != options.file.as_deref() {
            output.sink = match &options.file {
                Some(path) => open(path)?,
                None => Sink::Stderr,
            };
        }
        drop(output);
        self.shared.with_time.store(options.logtime, Ordering::Relaxed);
        self.shared.debug.store(options.debug, Ordering::Relaxed);
        self.shared.trace.store(options.trace, Ordering::Relaxed);
        self.announce_level();
        Ok(())
    }

    /// Opens the log file anew, after it was moved away.
    ///
    /// # Errors
    /// If it cannot be opened; then the old file is written on.
    pub fn reopen(&self) -> Result<(), LogFileError> {
        let mut output = self.output();
        if let Some(path) = output.sink.path() {
            output.sink = open(path)?;
        }
        Ok(())
    }

    /// Lets the `log` macros skip what would not be written.
    fn announce_level(&self) {
        let trace = self.shared.trace.load(Ordering::Relaxed);
        let debug = self.shared.debug.load(Ordering::Relaxed);
        log::set_max_level(match (trace, debug) {
            (true, _) => LevelFilter::Trace,
            (false, true) => LevelFilter::Debug,
            (false, false) => LevelFilter::Info,
        });
    }

    fn output(&self) -> MutexGuard<'_, Output> {
        // A panic while a line was written leaves nothing worse than half a line.
        self.shared.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> Result<Sink, LogFileError> {
    Sink::file(path).map_err(|reason| LogFileError { path: path.to_owned(), reason })
}

/// The tag of a record's level.
fn tag(record: &Record<'_>) -> &'static str {
    match record.level() {
        Level::Error if record.target() == FATAL => "FTL",
        Level::Error => "ERR",
        Level::Warn => "WRN",
        Level::Info => "INF",
        Level::Debug => "DBG",
        Level::Trace => "TRC",
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let own = metadata.target().starts_with(OWN_TARGETS);
        match metadata.level() {
            Level::Error | Level::Warn => true,
            Level::Info => own,
            // Debugging and tracing are two switches: the protocol without the rest is often wanted.
            Level::Debug => own && self.shared.debug.load(Ordering::Relaxed),
            Level::Trace => own && self.shared.trace.load(Ordering::Relaxed),
        }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let time = self.shared.with_time.load(Ordering::Relaxed).then(Timestamp::now);
        let time = time.map(|time| self.shared.zone.to_datetime(time));
        let mut output = self.output();
        let Output { sink, line } = &mut *output;
        line.clear();
        write_line(line, self.shared.pid, time, tag(record), *record.args());
        sink.write(line.as_bytes());
        // One huge line must not hold its memory for ever.
        line.shrink_to(4096);
    }

    fn flush(&self) {
        self.output().sink.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn write(logger: &Logger, level: Level, target: &str, text: &str) {
        let mut record = Record::builder();
        record.level(level).target(target);
        logger.log(&record.args(format_args!("{text}")).build());
    }

    fn options(path: &Path) -> Logging {
        Logging { file: Some(path.to_owned()), logtime: false, ..Logging::default() }
    }

    #[test]
    fn each_level_has_its_tag_and_switch() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let logger = Logger::new(&Logging { trace: true, ..options(&path) }).unwrap();
        for (level, target) in [
            (Level::Error, FATAL),
            (Level::Error, "flotilla_server"),
            (Level::Warn, "quinn"),
            (Level::Info, "flotilla_routes"),
            (Level::Info, "quinn"),
            (Level::Debug, "flotilla_server"),
            (Level::Trace, "flotilla_server"),
            (Level::Trace, "rustls"),
        ] {
            write(&logger, level, target, target);
        }
        let pid = std::process::id();
        let expected = format!(
            "[{pid}] [FTL] flotilla::fatal\n[{pid}] [ERR] flotilla_server\n[{pid}] [WRN] quinn\n\
             [{pid}] [INF] flotilla_routes\n[{pid}] [TRC] flotilla_server\n"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn reopening_follows_a_rotation() {
        let directory = tempfile::tempdir().unwrap();
        let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
        let logger = Logger::new(&options(&path)).unwrap();
        write(&logger, Level::Info, "flotilla", "one");
        fs::rename(&path, &old).unwrap();
        write(&logger, Level::Info, "flotilla", "two");
        logger.reopen().unwrap();
        write(&logger, Level::Info, "flotilla", "three");
        assert_eq!(fs::read_to_string(&old).unwrap().lines().count(), 2);
        assert!(fs::read_to_string(&path).unwrap().ends_with("[INF] three\n"));
    }

    #[test]
    fn a_reload_changes_file_and_levels_or_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let (first, second) = (directory.path().join("a"), directory.path().join("b"));
        let logger = Logger::new(&options(&first)).unwrap();
        let absent = directory.path().join("no/such/dir");
        assert!(logger.configure(&Logging { debug: true, ..options(&absent) }).is_err());
        write(&logger, Level::Debug, "flotilla", "one");
        logger.configure(&Logging { debug: true, ..options(&second) }).unwrap();
        write(&logger, Level::Debug, "flotilla", "two");
        assert_eq!(fs::read_to_string(&first).unwrap(), "");
        assert!(fs::read_to_string(&second).unwrap().ends_with("[DBG] two\n"));
    }
}
