//! Signals: those that a running server gets, and those that `--signal` sends to one.

mod sender;

use std::fmt;
use std::str::FromStr;

use tokio::signal::unix::{Signal, SignalKind, signal};

pub use sender::{SendError, send};

/// What a server can be told by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerSignal {
    /// SIGTERM, `term`: stop in order.
    Terminate,
    /// SIGINT, `quit`: stop in order.
    Interrupt,
    /// SIGHUP, `reload`: read the configuration again.
    Reload,
    /// SIGUSR1, `reopen`: open the log file anew.
    ReopenLog,
    /// SIGUSR2, `ldm`: leave gently, in lame duck mode.
    LameDuck,
    /// SIGKILL, `stop`: stop at once. It can only be sent: no process sees its own.
    Kill,
}

/// Names on the command line.
const NAMES: [(&str, ServerSignal); 6] = [
    ("term", ServerSignal::Terminate),
    ("quit", ServerSignal::Interrupt),
    ("reload", ServerSignal::Reload),
    ("reopen", ServerSignal::ReopenLog),
    ("ldm", ServerSignal::LameDuck),
    ("stop", ServerSignal::Kill),
];

/// What the system calls the signal, as the log shows it.
impl fmt::Display for ServerSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminate => "terminated",
            Self::Interrupt => "interrupt",
            Self::Reload => "hangup",
            Self::ReopenLog => "user defined signal 1",
            Self::LameDuck => "user defined signal 2",
            Self::Kill => "killed",
        })
    }
}

/// A signal to send and to whom: `signal[=pid|file]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignalRequest {
    /// What to send.
    pub signal: ServerSignal,
    /// A process id, or the path of a file that holds one; the only running server if `None`.
    pub target: Option<String>,
}

/// A name that is no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal {0:?}")]
pub struct SignalRequestError(String);

impl FromStr for SignalRequest {
    type Err = SignalRequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, target) = match text.split_once('=') {
            Some((name, target)) => (name, Some(target).filter(|target| !target.is_empty())),
            None => (text, None),
        };
        let found = NAMES.iter().find(|(known, _)| *known == name);
        let (_, signal) = found.ok_or_else(|| SignalRequestError(name.to_owned()))?;
        Ok(Self { signal: *signal, target: target.map(str::to_owned) })
    }
}

/// The signals that this process gets.
///
/// From its making on, none of them has its usual effect, which would be to end the process.
#[derive(Debug)]
pub struct SignalReceiver {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
}

impl SignalReceiver {
    /// Takes the signals over. Call it within a tokio runtime.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn register() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next signal. Several of one kind may come as one; dropping the future loses none.
    ///
    /// A wish to stop is answered before any other.
    pub async fn next(&mut self) -> ServerSignal {
        tokio::select! {
            biased;
            Some(()) = self.terminate.recv() => ServerSignal::Terminate,
            Some(()) = self.interrupt.recv() => ServerSignal::Interrupt,
            Some(()) = self.user2.recv() => ServerSignal::LameDuck,
            Some(()) = self.hangup.recv() => ServerSignal::Reload,
            Some(()) = self.user1.recv() => ServerSignal::ReopenLog,
            // The streams end only with the runtime: there is nothing to wait for any more.
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_name_a_signal_and_perhaps_a_target() {
        for (name, signal) in NAMES {
            let alone: SignalRequest = name.parse().unwrap();
            assert_eq!(alone, SignalRequest { signal, target: None });
            let targeted: SignalRequest = format!("{name}=/run/a=b.pid").parse().unwrap();
            assert_eq!(targeted.target.as_deref(), Some("/run/a=b.pid"));
        }
        let unknown = "hup=1".parse::<SignalRequest>().unwrap_err();
        assert_eq!(unknown.to_string(), "unknown signal \"hup\"");
    }
}
