//! Votes that are asked of replicas which are not here yet.
//!
//! All servers of a new group hear of it at about the same time. Whoever makes its replica first asks the others for their
//! votes at once; if they were told that the others know nothing of it, they would ask again with the next tick, and every
//! stream would take so much longer to create.

use flotilla_raft::{Body, GroupId, Message, StoreId};

use super::Shard;
use crate::bundle::Say;
use crate::time::SECOND;

/// For how many groups a vote is kept. Each is small.
const GROUPS: usize = 4096;
/// How long it is kept at least.
const PATIENCE: u64 = SECOND;

/// A vote that was asked for.
pub(super) struct Early {
    from: StoreId,
    message: Message,
    at: u64,
}

impl Shard {
    /// Keeps what was said to a replica that is not here, if it asks for a vote.
    pub(super) fn keep_early(&mut self, from: StoreId, group: GroupId, message: Message) {
        let is_vote = matches!(message.body, Body::Vote { .. });
        if is_vote && (self.early.len() < GROUPS || self.early.contains_key(&group)) {
            let at = self.cx.now.mono;
            self.early.insert(group, Early { from, message, at });
        }
    }

    /// A replica was made: it hears what was asked of it before.
    pub(super) fn hear_early(&mut self, group: GroupId) {
        if let Some(Early { from, message, .. }) = self.early.remove(&group) {
            self.hear(from, group, Say::Raft(message));
        }
    }

    /// Forgets what nobody was made for.
    pub(super) fn forget_early(&mut self) {
        let now = self.cx.now.mono;
        self.early.retain(|_, early| now.saturating_sub(early.at) < PATIENCE);
    }
}
