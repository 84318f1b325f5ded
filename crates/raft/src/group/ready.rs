//! What a group has to do, and in which order it may leave.

use flotilla_mutation::{Mutation, is_on};
use raft::RawNode;

use super::{Group, Role};
use crate::convert;
use crate::error::Poisoned;
use crate::message::Message;
use crate::types::{Entry, HardState, Membership};

/// A state that replaces the log up to its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotAt {
    /// The index that the state contains.
    pub index: u64,
    /// The term of the entry there.
    pub term: u64,
    /// The configuration there.
    pub membership: Membership,
}

/// Work that the caller must do, in this order: persist `snapshot`, `entries` and `hard_state` as one unit; send
/// `messages`, which wait for nothing; apply `committed`. When a unit with `must_sync` is on stable storage, and
/// all before it are, call [`Group::persisted`] with its `number`. A unit without it (a commit index at most) may
/// be written with the next one, and is waited for by nobody.
#[derive(Debug, Default)]
pub struct Ready {
    /// Numbers the units; they reach stable storage in this order.
    pub number: u64,
    /// Whether `number` must be on stable storage before anything that depends on it leaves.
    pub must_sync: bool,
    /// Term, vote and commit, when one of them changed.
    pub hard_state: Option<HardState>,
    /// What replaces the log, before `entries`.
    pub snapshot: Option<SnapshotAt>,
    /// What is appended, after removing what stands at these indexes.
    pub entries: Vec<Entry>,
    /// What may leave now.
    pub messages: Vec<Message>,
    /// What is committed, in order, each once.
    pub committed: Vec<Entry>,
    /// Reads that may be served once `index` is applied.
    pub reads: Vec<ReadAt>,
}

/// A read that leadership was confirmed for (Raft dissertation, 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadAt {
    /// What [`Group::read_index`] was called with.
    pub token: u64,
    /// What must be applied before the read is served.
    pub index: u64,
}

impl Group {
    /// The next unit of work, if there is any.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn ready(&mut self) -> Result<Option<Ready>, Poisoned> {
        self.commit_early();
        if !self.node.has_ready() {
            return Ok(None);
        }
        let mut lib = self.guarded(RawNode::ready)?;
        let mut ready = Ready {
            number: lib.number(),
            must_sync: lib.must_sync(),
            hard_state: lib.hs().map(convert::hard_state_from_lib),
            entries: lib.entries().iter().map(convert::entry_from_lib).collect(),
            committed: lib.committed_entries().iter().map(convert::entry_from_lib).collect(),
            ..Ready::default()
        };
        for read in lib.take_read_states() {
            if let Some(token) = convert::read_token(&read.request_ctx) {
                ready.reads.push(ReadAt { token, index: read.index });
            }
        }
        let metadata = lib.snapshot().get_metadata();
        if metadata.index != 0 {
            let conf = metadata.get_conf_state().clone();
            let membership = convert::membership_from_lib(&conf, &self.membership);
            self.node.mut_store().reset(metadata.index, metadata.term, conf);
            self.installing = Some((ready.number, metadata.index));
            ready.snapshot =
                Some(SnapshotAt { index: metadata.index, term: metadata.term, membership });
        }
        self.node.mut_store().append(lib.entries());
        self.hold_or_send(&mut ready, lib.take_messages(), lib.take_persisted_messages());
        self.guarded(|node| node.advance_append_async(lib))?;
        if self.unsynced.is_empty() || is_on(Mutation::OwnCopyCountedBeforeSync) {
            let number = ready.number;
            self.guarded(|node| node.on_persist_ready(number))?;
        }
        Ok(Some(ready))
    }

    /// No message of a term leaves before that term is on stable storage. The library sees to it except for a
    /// single voter that has learners: it leads at once, and would speak before its vote for itself is synced.
    fn hold_or_send(
        &mut self,
        ready: &mut Ready,
        now: Vec<raft::eraftpb::Message>,
        later: Vec<raft::eraftpb::Message>,
    ) {
        let known = &self.membership;
        let ours = |m| convert::message_from_lib(m, known);
        let mut now: Vec<Message> = now.into_iter().filter_map(ours).collect();
        let mut later: Vec<Message> = later.into_iter().filter_map(ours).collect();
        if ready.must_sync {
            self.unsynced.push_back((ready.number, self.node.raft.term));
        }
        if self.synced_term < self.node.raft.term {
            later.append(&mut now);
        }
        ready.messages = now;
        let earlier = !ready.must_sync && is_on(Mutation::AppendedBeforeEarlierSync);
        if self.unsynced.is_empty() || earlier || is_on(Mutation::SpokenBeforeSync) {
            ready.messages.append(&mut later);
        } else if !later.is_empty() {
            self.held.push_back((ready.number, later));
        }
    }

    /// Everything up to the unit `number` is on stable storage: returns what waited for it.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn persisted(&mut self, number: u64) -> Result<Vec<Message>, Poisoned> {
        while let Some((_, term)) = self.unsynced.pop_front_if(|(n, _)| *n <= number) {
            self.synced_term = self.synced_term.max(term);
        }
        // A unit that needs no sync of its own still waits for those before it.
        let through = self.unsynced.front().map_or(u64::MAX, |(n, _)| *n);
        let mut free = Vec::new();
        while let Some((_, messages)) = self.held.pop_front_if(|(n, _)| *n < through) {
            free.extend(messages);
        }
        self.guarded(|node| node.on_persist_ready(number))?;
        // The state is the machine's from here on. The library counts as applied only what it handed out as entries, and
        // would look for entries below the log's beginning at the next campaign.
        if let Some((_, index)) = self.installing.take_if(|(n, _)| *n <= number) {
            self.guarded(|node| node.advance_apply_to(index))?;
        }
        Ok(free)
    }

    /// Takes for committed what is not, where that is the bug that is put back.
    fn commit_early(&mut self) {
        let counting = is_on(Mutation::EarlierTermCommittedByCounting);
        if !(counting || is_on(Mutation::CommittedByOne)) || self.role() != Role::Leader {
            return;
        }
        let index = if counting {
            self.node.raft.mut_prs().maximal_committed_index().0
        } else {
            self.progress(self.id()).map_or(0, |own| own.matched)
        };
        self.node.raft.raft_log.commit_to(index);
    }

    /// Everything up to `index` is in the machine's state.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn applied_to(&mut self, index: u64) -> Result<(), Poisoned> {
        self.guarded(|node| node.advance_apply_to(index))
    }
}
