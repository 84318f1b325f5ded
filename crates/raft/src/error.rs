//! What can go wrong with one group, and whose fault it is.

use crate::types::{GroupId, ReplicaId};

/// The library panicked, or the machine cannot go on: what this group holds in memory cannot be trusted any more. It must not vote, serve or
/// be stepped again; its log on disk is as good as before.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Poisoned(String);

impl Poisoned {
    /// The machine above the library cannot go on: the effect is the same.
    #[must_use]
    #[allow(clippy::needless_pass_by_value)] // made for `map_err`
    pub fn machine(reason: impl std::fmt::Display) -> Self {
        Self(format!("{reason}"))
    }

    // The signature is that of `catch_unwind`'s error.
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn new(panic: Box<dyn std::any::Any + Send>) -> Self {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Self(format!("the raft library panicked: {}", text.unwrap_or("no text")))
    }
}

/// Why a replica cannot be taken up from what was found on disk. All of these are damage.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log has a hole, or terms that go back.
    #[error("the log goes on with entry {found} after entry {after}")]
    Gap {
        /// The last entry before the hole.
        after: u64,
        /// The entry found behind it.
        found: u64,
    },
    /// The library refuses the configuration or the hard state.
    #[error("the raft library refuses what was recovered: {0}")]
    Library(String),
}

/// Why a message is not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// It is for another replica: one that lived here before, or lives elsewhere. To be answered "unknown".
    #[error("the message is for replica {0}, which does not live here")]
    WrongReplica(ReplicaId),
    /// The sender contradicts the protocol.
    #[error("replica {from} sent a message that cannot be: {what}")]
    Impossible {
        /// Who sent it.
        from: ReplicaId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// This replica has lost entries that it had acknowledged: it must not vote until it has them again.
    #[error(
        "entries up to {commit} are committed, this replica's log ends at {last}: it is damaged"
    )]
    LogLost {
        /// What the leader knows this replica to have held.
        commit: u64,
        /// What it holds.
        last: u64,
    },
    /// A committed entry differs from the leader's: one of both logs is damaged.
    #[error("the committed entry {0} differs from the leader's")]
    Conflict(u64),
    /// A committed change of membership cannot be read.
    #[error("entry {index} is not a change of membership: {reason}")]
    BadChange {
        /// Where it stands.
        index: u64,
        /// What the decoder says.
        reason: String,
    },
    /// The library panicked.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// Why a proposal is not taken. Nothing was appended.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Another replica leads, or none.
    #[error("this replica does not lead its group")]
    NotLeader,
    /// Leadership is being handed over.
    #[error("leadership is being handed over")]
    Transferring,
    /// Too many bytes are proposed and not yet committed; try later.
    #[error("the group has too much that is not yet committed")]
    Overloaded,
    /// Another change is under way, or this one does not fit the configuration.
    #[error("another change of membership is under way")]
    ChangePending,
    /// The leader would remove itself.
    #[error("a leader transfers its leadership before it is removed")]
    RemovesLeader,
    /// The library panicked.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// A message for a replica or group that is not here. It creates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("replica {replica} of group {group} is unknown here")]
pub struct Unknown {
    /// The group named.
    pub group: GroupId,
    /// The replica named.
    pub replica: ReplicaId,
}
