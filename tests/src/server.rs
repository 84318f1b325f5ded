//! One server process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::condition::eventually;

/// How long a server may take to be healthy: the reference elects for up to 10 s.
const READY: Duration = Duration::from_secs(60);
/// How long a server may take to stop when asked.
const STOP: Duration = Duration::from_secs(20);
/// How long a server may take to say how it is.
const LOOK: Duration = Duration::from_secs(1);
/// How much of a log a failed test shows, in bytes.
const TAIL: u64 = 6 * 1024;
/// The longest page that is read.
const PAGE: u64 = 1 << 20;

/// A server of a cluster, running or not. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    name: String,
    program: PathBuf,
    config: PathBuf,
    log: PathBuf,
    client: SocketAddr,
    http: SocketAddr,
    child: Option<Child>,
}

impl Server {
    pub(crate) fn new(
        name: String,
        program: PathBuf,
        dir: &Path,
        client: SocketAddr,
        http: SocketAddr,
    ) -> Self {
        let (config, log) = (dir.join(format!("{name}.conf")), dir.join(format!("{name}.log")));
        Self { name, program, config, log, client, http, child: None }
    }

    /// The server's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.client)
    }

    /// The monitoring address.
    #[must_use]
    pub fn http(&self) -> String {
        self.http.to_string()
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The process's id, if it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Whether the process was started and not stopped or killed since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Starts the process; its output goes to the server's log.
    ///
    /// # Errors
    /// It is running already, or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("{} is running", self.name);
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = Command::new(&self.program)
            .arg("-c")
            .arg(&self.config)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Returns once `/healthz` says ok.
    ///
    /// # Errors
    /// The process ended, or was not healthy in time.
    pub async fn wait_ready(&mut self) -> Result<()> {
        let (name, address) = (self.name.clone(), self.http());
        let child = self.child.as_mut().with_context(|| format!("{name} is not running"))?;
        let mut ended = None;
        let what = format!("{name} to be healthy");
        let healthy = eventually(READY, &what, async || {
            if let Some(status) = child.try_wait()? {
                ended = Some(status);
                return Ok(Some(()));
            }
            Ok(is_healthy(&address).await.unwrap_or(false).then_some(()))
        });
        healthy.await?;
        match ended {
            Some(status) => {
                self.child = None;
                bail!("{name} ended by itself: {status}")
            }
            None => Ok(()),
        }
    }

    /// Whether the process ended by itself; it is not running then.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn has_ended(&mut self) -> Result<bool> {
        let Some(child) = &mut self.child else { return Ok(false) };
        let ended = child.try_wait()?.is_some();
        if ended {
            self.child = None;
        }
        Ok(ended)
    }

    /// What `/healthz` says now, head and body; nothing if nobody answers.
    pub async fn health(&self) -> Option<String> {
        timeout(LOOK, read_health(&self.http())).await.ok()?.ok()
    }

    /// What the monitoring says at `path` now, head and body; nothing if nobody answers.
    pub async fn get(&self, path: &str) -> Option<String> {
        timeout(LOOK, read(&self.http(), path, PAGE)).await.ok()?.ok()
    }

    /// Kills the process, as `kill -9` does.
    ///
    /// # Errors
    /// It is not running.
    pub async fn kill(&mut self) -> Result<()> {
        let mut child =
            self.child.take().with_context(|| format!("{} is not running", self.name))?;
        child.kill().await?;
        Ok(())
    }

    /// Asks the process to stop and waits until it has.
    ///
    /// # Errors
    /// It is not running, or does not stop in time (it is then killed).
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let mut child =
            self.child.take().with_context(|| format!("{} is not running", self.name))?;
        if timeout(STOP, child.wait()).await.is_err() {
            child.kill().await?;
            bail!("{} did not stop within {STOP:?} of SIGTERM", self.name);
        }
        Ok(())
    }

    /// Stops the process's time (SIGSTOP): its connections stay open, and nothing is answered.
    ///
    /// # Errors
    /// It is not running.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets a paused process go on.
    ///
    /// # Errors
    /// It is not running.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends any signal.
    ///
    /// # Errors
    /// It is not running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let pid = pid.with_context(|| format!("{} is not running", self.name))?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// The end of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => format!("(no log: {error})"),
        }
    }

    /// The whole log.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(&self.log)?)
    }
}

async fn is_healthy(address: &str) -> Result<bool> {
    Ok(read_health(address).await?.get(8..12) == Some(" 200"))
}

async fn read_health(address: &str) -> Result<String> {
    read(address, "/healthz", TAIL).await
}

async fn read(address: &str, path: &str, limit: u64) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(limit).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
