//! The official tools and clients, run as a user runs them.

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::timeout;

use crate::flavour::{built, on_path};

/// How long one run of a tool may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program that talks to a cluster.
#[derive(Debug)]
pub struct Tool {
    program: PathBuf,
    first: Vec<String>,
    urls: String,
    config_home: PathBuf,
}

/// How a run of a tool ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// Both outputs, the way a person at a terminal sees them.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// The `nats` tool (`NATS_TOOL`, else on the PATH) for the cluster with these URLs; `None`, and a line that says
/// so, if it is not installed.
///
/// # Errors
/// It is not installed, and `FLOTILLA_REQUIRE_TOOLS=1` says it must be.
pub fn nats(urls: String, dir: &Path) -> Result<Option<Tool>> {
    let program = env::var_os("NATS_TOOL").map(PathBuf::from).or_else(|| on_path("nats"));
    let Some(program) = program.filter(|program| program.is_file()) else {
        return missing(
            "the nats tool",
            "build github.com/nats-io/natscli v0.4.0 with Go, or set NATS_TOOL",
        );
    };
    Ok(Some(Tool { program, first: Vec::new(), urls, config_home: dir.join("config") }))
}

/// This project's own tool, `flotilla`.
///
/// # Errors
/// It is not built.
pub fn flotilla(urls: String, dir: &Path) -> Result<Tool> {
    let program = built("flotilla").filter(|program| program.is_file());
    let program = program.context("flotilla is not built: cargo build --workspace --bins")?;
    Ok(Tool { program, first: Vec::new(), urls, config_home: dir.join("config") })
}

/// A Python with the official client nats-py (`PYTHON`, else `python3` on the PATH), running the given program;
/// `None`, and a line that says so, if it is not installed.
///
/// # Errors
/// It is not installed, and `FLOTILLA_REQUIRE_TOOLS=1` says it must be.
pub async fn nats_py(script: &Path, urls: String, dir: &Path) -> Result<Option<Tool>> {
    let remedy = "pip install nats-py, or set PYTHON to a Python that has it";
    let program = env::var_os("PYTHON").map(PathBuf::from).or_else(|| on_path("python3"));
    let Some(program) = program else { return missing("Python", remedy) };
    let mut check = Command::new(&program);
    check.args(["-c", "import nats"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !check.status().await.is_ok_and(|status| status.success()) {
        return missing("the Python client nats-py", remedy);
    }
    let first = vec![script.display().to_string()];
    Ok(Some(Tool { program, first, urls, config_home: dir.join("config") }))
}

/// Says what a test needs and does not find; the test is then over.
///
/// # Errors
/// `FLOTILLA_REQUIRE_TOOLS=1`: then it must be there.
pub fn missing<T>(what: &str, remedy: &str) -> Result<Option<T>> {
    if env::var("FLOTILLA_REQUIRE_TOOLS").is_ok_and(|value| value == "1") {
        bail!("{what} is missing: {remedy}");
    }
    skip(what, remedy)?;
    Ok(None)
}

/// Says that a test is over because the machine does not have what it needs.
///
/// # Errors
/// Standard error is gone.
pub fn skip(what: &str, remedy: &str) -> Result<()> {
    // Not eprintln: the test runner would keep the line of a test that passes to itself.
    writeln!(io::stderr(), "skipped: {what} is missing: {remedy}")?;
    Ok(())
}

impl Tool {
    /// Runs the tool with these arguments and returns how it ended.
    ///
    /// # Errors
    /// It could not be run, or did not end in time.
    pub async fn run(&self, arguments: &[&str]) -> Result<Ended> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.first)
            .args(arguments)
            .env("NATS_URL", &self.urls)
            // Nobody's contexts, history or colours.
            .env("XDG_CONFIG_HOME", &self.config_home)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        for variable in ["NATS_CONTEXT", "NATS_USER", "NATS_PASSWORD", "NATS_CREDS", "NATS_TOKEN"] {
            command.env_remove(variable);
        }
        let line = format!("{} {}", self.program.display(), arguments.join(" "));
        let output = timeout(PATIENCE, command.output()).await;
        let output = output.with_context(|| format!("{line}: not done within {PATIENCE:?}"))??;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        })
    }

    /// Runs the tool, which must succeed, and returns what it wrote.
    ///
    /// # Errors
    /// It failed; the error has its words.
    pub async fn succeed(&self, arguments: &[&str]) -> Result<String> {
        let ended = self.run(arguments).await?;
        if ended.code != 0 {
            bail!("{} ended with {}:\n{}", arguments.join(" "), ended.code, ended.text());
        }
        Ok(ended.text())
    }
}
