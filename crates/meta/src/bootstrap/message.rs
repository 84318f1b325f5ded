//! What stores without a cluster tell each other.

use flotilla_raft::StoreId;
use serde::{Deserialize, Serialize};

use crate::codec::{self, DamagedCommand};
use crate::server::ClusterId;

/// The number of one attempt to decide. No two attempts share one: the store makes those of one
/// round differ, and a store never uses a round twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ballot {
    /// Higher ones supersede lower ones.
    pub round: u64,
    /// Who attempts.
    pub store: StoreId,
}

/// What is decided, once for all stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The new cluster.
    pub cluster_id: ClusterId,
    /// Who writes its first configuration.
    pub founder: StoreId,
}

/// A message between two stores without a cluster (Lamport, *Paxos Made Simple*).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Phase 1a: will you ignore lower ballots?
    Prepare {
        /// The attempt.
        ballot: Ballot,
    },
    /// Phase 1b: yes, and this is what I accepted before.
    Promise {
        /// The attempt.
        ballot: Ballot,
        /// The accepted decision of the highest ballot so far.
        accepted: Option<(Ballot, Decision)>,
        /// How many stores the answering one expects; the attempt needs a majority of the highest
        /// such number.
        expected: u32,
    },
    /// Phase 2a: accept this.
    Accept {
        /// The attempt.
        ballot: Ballot,
        /// The proposal.
        decision: Decision,
    },
    /// Phase 2b: I did.
    Accepted {
        /// The attempt.
        ballot: Ballot,
    },
    /// No: I promised a higher ballot to somebody.
    Reject {
        /// The attempt.
        ballot: Ballot,
        /// What was promised.
        promised: Ballot,
    },
    /// It is decided.
    Chosen {
        /// The cluster.
        cluster_id: ClusterId,
        /// Its founder, where the sender knows.
        founder: Option<StoreId>,
    },
}

impl Message {
    /// The bytes that go to the peer.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The message in a peer's bytes.
    ///
    /// # Errors
    /// [`DamagedCommand`] when they are none; to be dropped.
    pub fn decode(bytes: &[u8]) -> Result<Self, DamagedCommand> {
        codec::decode("bootstrap message", bytes)
    }
}
