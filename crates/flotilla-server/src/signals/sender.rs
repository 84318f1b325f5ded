//! Sending a signal to a running server: by process id, by pid file, or to the only one there is.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use super::{ServerSignal, SignalRequest};

/// A pid file holds a number and a line end.
const MAX_PID_FILE_BYTES: u64 = 64;

/// Why no signal was sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The target is neither a process id nor a file with one.
    #[error("invalid pid: {0}")]
    InvalidPid(String),
    /// No target was given, and no server runs.
    #[error("no {0} processes running")]
    NoneRunning(String),
    /// No target was given, and several servers run.
    #[error("multiple {program} processes running, name one of them: {}", list(pids))]
    SeveralRunning {
        /// The program's name.
        program: String,
        /// Its processes.
        pids: Vec<i32>,
    },
    /// Processes cannot be listed here.
    #[error("cannot list processes, name one by its id or pid file: {0}")]
    Processes(#[source] std::io::Error),
    /// The process is gone, or not ours to signal.
    #[error("signal to process {pid}: {reason}")]
    Refused {
        /// The process.
        pid: i32,
        /// What the system said.
        reason: Errno,
    },
}

fn list(pids: &[i32]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Sends a signal; without a target, to the only other process whose program is named `program`.
///
/// # Errors
/// If the target is none, or there is not exactly one, or the system refuses.
pub fn send(request: &SignalRequest, program: &str) -> Result<(), SendError> {
    let pid = match &request.target {
        Some(target) => targeted(target)?,
        None => only_running(program)?,
    };
    let number = pid.as_raw_nonzero().get();
    kill_process(pid, system_signal(request.signal))
        .map_err(|reason| SendError::Refused { pid: number, reason })
}

fn system_signal(signal: ServerSignal) -> Signal {
    match signal {
        ServerSignal::Terminate => Signal::TERM,
        ServerSignal::Interrupt => Signal::INT,
        ServerSignal::Reload => Signal::HUP,
        ServerSignal::ReopenLog => Signal::USR1,
        ServerSignal::LameDuck => Signal::USR2,
        ServerSignal::Kill => Signal::KILL,
    }
}

/// A process id. Zero and negative numbers would mean groups of processes, even all of them.
fn parse_pid(text: &str) -> Option<Pid> {
    text.trim().parse::<i32>().ok().filter(|pid| *pid > 0).and_then(Pid::from_raw)
}

/// The process that a target names: as a number, or through a file that holds one.
fn targeted(target: &str) -> Result<Pid, SendError> {
    if let Some(pid) = parse_pid(target) {
        return Ok(pid);
    }
    let invalid = || SendError::InvalidPid(target.to_owned());
    let file = fs::File::open(Path::new(target)).map_err(|_| invalid())?;
    let mut text = String::new();
    file.take(MAX_PID_FILE_BYTES).read_to_string(&mut text).map_err(|_| invalid())?;
    parse_pid(&text).ok_or_else(invalid)
}

fn only_running(program: &str) -> Result<Pid, SendError> {
    let mut pids = running(program).map_err(SendError::Processes)?;
    pids.sort_unstable();
    match pids.as_slice() {
        [] => Err(SendError::NoneRunning(program.to_owned())),
        [pid] => Pid::from_raw(*pid).ok_or_else(|| SendError::NoneRunning(program.to_owned())),
        _ => Err(SendError::SeveralRunning { program: program.to_owned(), pids }),
    }
}

/// Other processes that were started under this program name.
fn running(program: &str) -> std::io::Result<Vec<i32>> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may end at any moment: then it is not running.
        let Ok(line) = fs::read(format!("/proc/{pid}/cmdline")) else { continue };
        if pid != own && program_of(&line) == Some(program) {
            pids.push(pid);
        }
    }
    Ok(pids)
}

/// The program's name of a command line whose arguments end with zero bytes.
fn program_of(line: &[u8]) -> Option<&str> {
    let first = line.split(|byte| *byte == 0).next()?;
    Path::new(std::str::from_utf8(first).ok()?).file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// A process that does nothing until it is told to end, under a program name of its own; it does not
    /// outlive the test.
    struct Idle(Child);

    impl Idle {
        fn start(program: &str) -> Self {
            let mut command = Command::new("sleep");
            command.arg0(program).arg("60").stdout(Stdio::null()).stderr(Stdio::null());
            let child = Self(command.spawn().unwrap());
            // The new program's name shows a moment after the process does.
            let line = format!("/proc/{}/cmdline", child.0.id());
            while program_of(&fs::read(&line).unwrap()) != Some(program) {
                std::thread::yield_now();
            }
            child
        }

        /// The signal that ended the process.
        fn ended_by(&mut self) -> Option<i32> {
            self.0.wait().unwrap().signal()
        }
    }

    impl Drop for Idle {
        fn drop(&mut self) {
            // Fails if the process has ended, which is as well.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn request(signal: ServerSignal, target: Option<String>) -> SignalRequest {
        SignalRequest { signal, target }
    }

    #[test]
    fn a_pid_or_a_pid_file_names_the_process() {
        let directory = tempfile::tempdir().unwrap();
        for by_file in [false, true] {
            let mut child = Idle::start("flotilla-test-target");
            let mut target = child.0.id().to_string();
            if by_file {
                let path = directory.path().join("x.pid");
                fs::write(&path, format!("{target}\n")).unwrap();
                target = path.display().to_string();
            }
            // Not SIGHUP: whoever started the tests may have it ignored, and the child with them.
            send(&request(ServerSignal::ReopenLog, Some(target)), "unused").unwrap();
            assert_eq!(child.ended_by(), Some(Signal::USR1.as_raw()));
        }
    }

    #[test]
    fn groups_of_processes_are_no_target() {
        for target in ["0", "-1", "-2", "", "/no/such/file", "99999999999"] {
            let error = send(&request(ServerSignal::Kill, Some(target.to_owned())), "unused");
            let said = error.unwrap_err().to_string();
            assert_eq!(said, format!("invalid pid: {target}"));
        }
    }

    #[test]
    fn without_a_target_there_must_be_exactly_one_process() {
        let program = format!("flotilla-test-{}", std::process::id());
        let nobody = send(&request(ServerSignal::Terminate, None), &program).unwrap_err();
        assert!(matches!(nobody, SendError::NoneRunning(_)), "{nobody}");

        let (one, mut two) = (Idle::start(&program), Idle::start(&program));
        let both = send(&request(ServerSignal::Terminate, None), &program).unwrap_err();
        assert!(
            matches!(&both, SendError::SeveralRunning { pids, .. } if pids.len() == 2),
            "{both}"
        );

        drop(one);
        send(&request(ServerSignal::Terminate, None), &program).unwrap();
        assert_eq!(two.ended_by(), Some(Signal::TERM.as_raw()));
    }

    #[test]
    fn a_command_line_gives_the_programs_name() {
        assert_eq!(program_of(b"/usr/bin/flotilla-server\0-c\0x\0"), Some("flotilla-server"));
        assert_eq!(program_of(b"nats-server\0"), Some("nats-server"));
        assert_eq!(program_of(b""), None);
    }
}
