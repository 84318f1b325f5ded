//! What an operator should be told. The shell writes them to the log; some become advisories.

use flotilla_raft::{GroupId, ReplicaId};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The replica here leads its group now.
    Leads {
        /// Which group, in words.
        asset: String,
        /// In which term.
        term: u64,
    },
    /// The replica here does not lead its group any more.
    StepsDown {
        /// Which group, in words.
        asset: String,
        /// In which term it led.
        term: u64,
    },
    /// A replica ended: it does not vote and does not serve until the server restarts.
    Ended {
        /// Which group, in words.
        asset: String,
        /// Which replica.
        replica: ReplicaId,
        /// Why.
        reason: String,
    },
    /// A replica here applied the same commands as its peers and came to another state.
    Diverged {
        /// Which group.
        group: GroupId,
        /// After which index.
        index: u64,
        /// What is not the same.
        what: String,
    },
    /// A replica was found that the meta group knows nothing of. It is kept aside, not deleted.
    Quarantined {
        /// Which group.
        group: GroupId,
        /// Which replica.
        replica: ReplicaId,
    },
    /// A peer sent what cannot be.
    Refused {
        /// Which group.
        group: GroupId,
        /// What was wrong.
        reason: String,
    },
    /// Something of a replica is lost or cannot be read here.
    Damaged {
        /// Which group, in words.
        asset: String,
        /// Which group.
        group: GroupId,
        /// Which replica.
        replica: ReplicaId,
        /// What is lost.
        what: String,
    },
    /// What was lost is here again, from peers.
    Repaired {
        /// Which group, in words.
        asset: String,
        /// Which group.
        group: GroupId,
        /// Which replica.
        replica: ReplicaId,
        /// What was lost.
        what: String,
    },
    /// Everything else.
    Text(String),
}

impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Leads { asset, term } => {
                write!(f, "JetStream new leader for {asset} in term {term}")
            }
            Self::StepsDown { asset, term } => {
                write!(f, "JetStream leadership of {asset} in term {term} ended")
            }
            Self::Ended { asset, replica, reason } => {
                write!(f, "Replica {replica} of {asset} takes no part any more: {reason}")
            }
            Self::Diverged { group, index, what } => {
                write!(f, "Group {group} differs from its leader after entry {index}: {what}")
            }
            Self::Quarantined { group, replica } => write!(
                f,
                "Replica {replica} of group {group} is unknown to the cluster; it is kept in quarantine"
            ),
            Self::Refused { group, reason } => write!(f, "Group {group}: refused: {reason}"),
            Self::Damaged { asset, replica, what, .. } => {
                write!(
                    f,
                    "Replica {replica} of {asset} is damaged and is repaired from its peers: {what}"
                )
            }
            Self::Repaired { asset, replica, what, .. } => {
                write!(f, "Replica {replica} of {asset} is repaired: {what}")
            }
            Self::Text(text) => f.write_str(text),
        }
    }
}
