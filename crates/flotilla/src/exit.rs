//! What a command ends with: one error type, and the exit code each kind of error has.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the operation failed |
//! | 2 | the command line is wrong |
//! | 3 | no connection, or no answer in time |
//! | 4 | what was asked for does not exist |
//! | 5 | denied |
//! | 130 | interrupted by Ctrl-C |

use std::io;

use flotilla_loads::LoadError;

use crate::api::ApiError;
use crate::connect::ConnectError;
use crate::context::ContextError;
use crate::up::UpError;

/// The table above as `--help` shows it.
pub(crate) const HELP: &str = "\
Exit codes:
  0 done   1 the operation failed   2 wrong usage   3 no connection or no answer in time
  4 not found   5 denied   130 interrupted";

/// JetStream's `err_code`s for "there is no such stream, consumer, message, peer".
const NOT_FOUND: [u64; 4] = [10059, 10014, 10037, 10044];

/// Why a command did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Up(#[from] UpError),
    #[error(transparent)]
    Load(#[from] flotilla_loads::LoadError),
    /// Standard output or standard input failed.
    #[error("standard input or output: {0}")]
    Io(#[from] io::Error),
    /// The arguments do not go together; clap has accepted each of them.
    #[error("{0}")]
    Usage(String),
    /// The server did what it was asked, and the outcome is not the one wanted.
    #[error("{0}")]
    Failed(String),
    /// Something did not happen in time.
    #[error("{0}")]
    Late(String),
    #[error("{0}")]
    NotFound(String),
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// The exit code of the process.
    fn code(&self) -> i32 {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Api(error) => api_code(error),
            Self::Connect(error) if error.is_denied() => 5,
            Self::Connect(ConnectError::Usage(_)) | Self::Context(_) | Self::Usage(_) => 2,
            Self::Load(LoadError::Url { .. } | LoadError::Unfit(_)) => 2,
            Self::Load(LoadError::Io { .. } | LoadError::Silent { .. }) => 3,
            Self::Load(_) => 1,
            Self::Connect(_) | Self::Late(_) => 3,
            Self::Up(UpError::NotReady { .. }) => 3,
            Self::Up(_) | Self::Io(_) | Self::Failed(_) => 1,
            Self::NotFound(_) => 4,
            Self::Interrupted => 130,
        }
    }

    /// Whether there is anything to say: a reader that went away (`| head`) and Ctrl-C need no words.
    fn is_silent(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Interrupted => true,
            _ => false,
        }
    }
}

fn api_code(error: &ApiError) -> i32 {
    match error {
        ApiError::Rejected { code: 404, .. } => 4,
        ApiError::Rejected { err_code, .. } if NOT_FOUND.contains(err_code) => 4,
        ApiError::Rejected { code: 401 | 403, .. } | ApiError::Denied(_) => 5,
        ApiError::Rejected { .. } | ApiError::Unreadable { .. } | ApiError::Client { .. } => 1,
        ApiError::Silent { .. } | ApiError::NoResponders { .. } => 3,
    }
}

/// Says on standard error what went wrong, if anything did, and returns the exit code.
pub(crate) fn report(result: Result<(), Failure>) -> i32 {
    let Err(failure) = result else { return 0 };
    if !failure.is_silent() {
        eprintln!("flotilla: {failure}");
    }
    failure.code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_failure_has_its_documented_code() {
        let rejected = |code, err_code| {
            Failure::Api(ApiError::Rejected { code, err_code, description: "no".into() }).code()
        };
        assert_eq!(rejected(404, 10059), 4);
        assert_eq!(rejected(400, 10044), 4);
        assert_eq!(rejected(400, 10025), 1);
        assert_eq!(Failure::Api(ApiError::Denied("no".into())).code(), 5);
        assert_eq!(Failure::Usage("x".into()).code(), 2);
        assert_eq!(Failure::Late("x".into()).code(), 3);
        assert_eq!(Failure::Interrupted.code(), 130);
        let gone = Failure::Io(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(gone.is_silent());
        assert_eq!(gone.code(), 0);
        assert_eq!(Failure::Io(io::Error::from(io::ErrorKind::StorageFull)).code(), 1);
    }
}
