//! One running server process of the cluster.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::config::Server;
use super::{UpError, health};

/// Between two questions for a server's health.
const PAUSE: Duration = Duration::from_millis(100);
/// How much of a log is shown when its server failed, in bytes.
const TAIL: u64 = 2048;

/// A server process: started, perhaps ended, never restarted.
pub(super) struct Member {
    pub(super) name: String,
    config: PathBuf,
    log: PathBuf,
    /// Where this start's part of the log begins: earlier runs wrote into it, too.
    log_start: u64,
    http: SocketAddr,
    child: Child,
    running: bool,
}

/// How a member ended.
pub(super) struct End {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) config: PathBuf,
}

impl Member {
    /// Starts `program -c config`, its output appended to `server.log` in the server's directory. The process
    /// gets a group of its own: Ctrl-C at the terminal reaches it through us, not beside us.
    pub(super) fn start(program: &Path, config: &Path, server: &Server) -> Result<Self, UpError> {
        let log = server.dir.join("server.log");
        let file = |source| UpError::File { path: log.clone(), source };
        let out = OpenOptions::new().create(true).append(true).open(&log).map_err(file)?;
        let err = out.try_clone().map_err(file)?;
        let log_start = out.metadata().map_err(file)?.len();
        let child = Command::new(program)
            .arg("-c")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| UpError::Spawn { program: program.to_owned(), source })?;
        Ok(Self {
            name: server.name.clone(),
            config: config.to_owned(),
            log,
            log_start,
            http: server.http,
            child,
            running: true,
        })
    }

    /// Returns once the server says it is healthy.
    ///
    /// # Errors
    /// It ended, or was not healthy by the deadline.
    pub(super) async fn ready(
        &mut self,
        deadline: Instant,
        waited: Duration,
    ) -> Result<(), UpError> {
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.running = false;
                let (name, log, tail) = (self.name.clone(), self.log.clone(), self.tail());
                return Err(UpError::Ended { name, status: status.to_string(), log, tail });
            }
            if health::is_ok(self.http).await {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let (name, log, tail) = (self.name.clone(), self.log.clone(), self.tail());
                return Err(UpError::NotReady { name, waited, log, tail });
            }
            sleep(PAUSE).await;
        }
    }

    /// Whether the process has not been seen to end.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// Waits for the process's end.
    pub(super) async fn end(&mut self) -> End {
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.running = false;
        End { name: self.name.clone(), status, config: self.config.clone() }
    }

    /// Asks the process to stop.
    pub(super) fn terminate(&self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(pid) = pid {
            // It may have ended meanwhile, which is what is wanted.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Ends the process without asking.
    pub(super) fn kill(&mut self) {
        let _ = self.child.start_kill();
    }

    /// The end of what the server logged since this start.
    fn tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL).max(self.log_start)))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read()
            .map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned())
            .unwrap_or_default()
    }
}
