//! One replica of one group: the adapter over the library.
//!
//! The library panics where its caller errs. Whatever could make it do so on behalf of a peer or a disk is
//! refused before it gets there (`refuse.rs`); what is left is caught, and poisons this group alone.
//!
//! `propose` is what goes in, `ready` what comes out and in which order it may leave, `view` what can be seen.

mod propose;
mod ready;
mod view;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use raft::storage::RaftState;
use raft::{RawNode, SnapshotStatus};

use crate::convert;
use crate::error::{Poisoned, StartError, StepError};
use crate::log::Log;
use crate::message::Message;
use crate::types::{Base, Entry, HardState, Membership, ReplicaId};

pub use ready::{ReadAt, Ready, SnapshotAt};
pub use view::{Progress, Role};

/// How a group runs. All times are in ticks of the host.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long a follower waits for its leader before it campaigns, and a leader for a quorum before it steps
    /// down.
    pub election_ticks: usize,
    /// How often a leader speaks.
    pub heartbeat_ticks: usize,
    /// The most bytes of entries in one message.
    pub max_message_bytes: u64,
    /// The most appends in flight to one member.
    pub max_inflight: usize,
    /// The most bytes of entries proposed and not yet committed.
    pub max_uncommitted_bytes: u64,
    /// The most bytes of committed entries handed out at once.
    pub max_apply_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            election_ticks: 10,
            heartbeat_ticks: 2,
            max_message_bytes: 1 << 20,
            max_inflight: 64,
            max_uncommitted_bytes: 64 << 20,
            max_apply_bytes: 8 << 20,
        }
    }
}

/// What a replica was when it was last on stable storage.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The state that the log starts from.
    pub base: Base,
    /// Term, vote and commit.
    pub hard_state: HardState,
    /// The entries behind the base, contiguous.
    pub entries: Vec<Entry>,
}

/// One replica of one group.
pub struct Group {
    pub(crate) node: RawNode<Log>,
    pub(crate) membership: Membership,
    /// Messages of Readies that are not yet on stable storage, by number.
    held: VecDeque<(u64, Vec<Message>)>,
    /// The newest term that is on stable storage.
    synced_term: u64,
    /// Units handed out that must reach stable storage, and have not: (number, term).
    unsynced: VecDeque<(u64, u64)>,
    election_ticks: usize,
    /// Ticks that this replica waits beyond the election timeout, drawn by the host.
    patience: usize,
    /// A state that replaces the log, handed out and not yet on stable storage: (number, index).
    installing: Option<(u64, u64)>,
    /// The commit index as of the last append that went to all members.
    told_commit: u64,
}

impl Group {
    /// Takes up a replica where its last life on stable storage ended.
    ///
    /// # Errors
    /// When what was found contradicts itself; the replica must not vote then.
    pub fn start(id: ReplicaId, options: Options, start: Start) -> Result<Self, StartError> {
        let Start { base, hard_state, entries } = start;
        let last = check_contiguous(&base, &entries)?;
        // A commit-only hard state is not waited for, so commit may lag behind what was applied, and after a
        // crash it may name entries that were not synced.
        let commit = hard_state.commit.max(base.index).min(last);
        let hard_state = HardState { commit, ..hard_state };
        let conf = convert::membership_to_lib(&base.membership);
        let initial = RaftState::new(convert::hard_state_to_lib(&hard_state), conf);
        let entries = entries.iter().map(convert::entry_to_lib).collect();
        let log = Log::new(initial, (base.index, base.term), entries);
        let config = raft::Config {
            id: id.0,
            election_tick: options.election_ticks,
            heartbeat_tick: options.heartbeat_ticks,
            applied: base.index,
            max_size_per_msg: options.max_message_bytes,
            max_inflight_msgs: options.max_inflight,
            check_quorum: true,
            pre_vote: true,
            // One tick of room makes the library's random draw a constant; `patience` takes its place.
            min_election_tick: options.election_ticks * 4,
            max_election_tick: options.election_ticks * 4 + 1,
            batch_append: true,
            // The host says when: see `tell_commit`.
            skip_bcast_commit: true,
            max_uncommitted_size: options.max_uncommitted_bytes,
            max_committed_size_per_ready: options.max_apply_bytes,
            ..raft::Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = catch_unwind(AssertUnwindSafe(|| RawNode::new(&config, log, &logger)))
            .map_err(|_| StartError::Library("it panicked".into()))?
            .map_err(|e| StartError::Library(e.to_string()))?;
        let mut group = Self {
            node,
            membership: base.membership,
            held: VecDeque::new(),
            synced_term: hard_state.term,
            unsynced: VecDeque::new(),
            election_ticks: options.election_ticks,
            patience: 0,
            installing: None,
            told_commit: 0,
        };
        group.rest();
        Ok(group)
    }

    /// Gives back the memory that is needed only while something happens. It is taken again by itself; who has thousands of
    /// groups that sleep calls this when they fall asleep.
    pub fn rest(&mut self) {
        let raft = &mut self.node.raft;
        raft.maybe_free_inflight_buffers();
        raft.raft_log.unstable.entries.shrink_to_fit();
        raft.read_only.pending_read_index.shrink_to_fit();
        raft.read_only.read_index_queue.shrink_to_fit();
        self.held.shrink_to_fit();
        self.unsynced.shrink_to_fit();
        self.node.mut_store().shrink();
    }

    /// Runs `f` on the library; a panic there is the end of this group's life, not of the server's.
    fn guarded<T>(&mut self, f: impl FnOnce(&mut RawNode<Log>) -> T) -> Result<T, Poisoned> {
        catch_unwind(AssertUnwindSafe(|| f(&mut self.node))).map_err(Poisoned::new)
    }

    /// Lets one tick pass. A follower campaigns when it has not heard its leader for the election timeout and
    /// the ticks of patience that the host drew for it. Returns whether it did, so that the host draws anew: two that
    /// always wait equally long would for ever take each other's votes.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn tick(&mut self) -> Result<bool, Poisoned> {
        if self.role() == Role::Leader {
            return self.guarded(RawNode::tick).map(|_| false);
        }
        let waited = self.node.raft.election_elapsed + 1;
        if waited > self.election_ticks + self.patience {
            return self.campaign();
        }
        self.guarded(RawNode::tick).map(|_| false)
    }

    /// Sets how many ticks this replica waits beyond the election timeout; drawn anew by the host, from its seed,
    /// after each campaign.
    pub fn set_patience(&mut self, ticks: usize) {
        self.patience = ticks.min(2 * self.election_ticks);
    }

    /// Asks for votes now, with a rehearsal first. Returns whether it did: not as a leader or a learner, and not while
    /// something is not yet on stable storage. A campaign with a unit outstanding would break the library's assumption
    /// that a candidate's log is persisted, so a replica whose disk is busy waits.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn campaign(&mut self) -> Result<bool, Poisoned> {
        if self.role() == Role::Leader || !self.unsynced.is_empty() || !self.node.raft.promotable()
        {
            return Ok(false);
        }
        self.node.raft.election_elapsed = 0;
        self.guarded(|node| drop(node.campaign())).map(|()| true)
    }

    /// Asks for votes now, without a rehearsal, which spares others a disturbance: a group that begins has no leader yet. Else
    /// as [`campaign`](Self::campaign).
    ///
    /// # Errors
    /// When the library panicked.
    pub fn found(&mut self) -> Result<bool, Poisoned> {
        self.node.raft.pre_vote = false;
        let campaigned = self.campaign();
        self.node.raft.pre_vote = true;
        campaigned
    }

    /// Takes a message of a peer.
    ///
    /// # Errors
    /// When it must not be taken; see [`StepError`].
    pub fn step(&mut self, message: Message) -> Result<(), StepError> {
        self.refuse(&message)?;
        let message = convert::message_to_lib(message);
        // The library's own refusals (a peer that it does not know) need no answer.
        Ok(self.guarded(|node| drop(node.step(message)))?)
    }

    /// Hands leadership to `to`, once its log is complete. Proposals are refused meanwhile; the host aborts what
    /// takes longer than a second.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn transfer(&mut self, to: ReplicaId) -> Result<(), Poisoned> {
        self.guarded(|node| node.transfer_leader(to.0))
    }

    /// Gives up handing over leadership.
    pub fn abort_transfer(&mut self) {
        self.node.raft.abort_leader_transfer();
    }

    /// Asks for a read index: the answer comes in a [`Ready`], or never (leadership lost, nothing committed in
    /// this term yet, a message lost); the caller asks again.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn read_index(&mut self, token: u64) -> Result<(), Poisoned> {
        self.guarded(|node| node.read_index(token.to_be_bytes().to_vec()))
    }

    /// Forgets the leader: its server is known to be dead, so its lease protects nobody any more.
    pub fn forget_leader(&mut self) {
        if self.role() == Role::Follower && self.leader().is_some() {
            let term = self.term();
            self.node.raft.become_follower(term, raft::INVALID_ID);
        }
    }

    /// The machine's state at `index` is durable and could be given to a peer; the log may forget what is at or
    /// before `forget`.
    pub fn checkpoint(&mut self, base: &Base, forget: u64) {
        let conf = convert::membership_to_lib(&base.membership);
        let log = self.node.mut_store();
        log.set_state(base.index, base.term, conf);
        log.compact(forget.min(base.index));
    }

    /// A snapshot was taken over: its configuration holds from here on.
    pub fn install(&mut self, membership: Membership) {
        self.membership = membership;
    }

    /// The last message to `replica` may be lost.
    pub fn report_unreachable(&mut self, replica: ReplicaId) {
        self.node.report_unreachable(replica.0);
    }

    /// The state promised to `replica` has arrived there, or will not. Every [`Body::Snapshot`](crate::Body)
    /// must be ended by this, else the member stays cut off from the log.
    pub fn report_snapshot(&mut self, replica: ReplicaId, arrived: bool) {
        let status = if arrived { SnapshotStatus::Finish } else { SnapshotStatus::Failure };
        self.node.report_snapshot(replica.0, status);
    }
}

fn check_contiguous(base: &Base, entries: &[Entry]) -> Result<u64, StartError> {
    let (mut last, mut term) = (base.index, base.term);
    for entry in entries {
        if entry.index != last + 1 || entry.term < term {
            return Err(StartError::Gap { after: last, found: entry.index });
        }
        (last, term) = (entry.index, entry.term);
    }
    Ok(last)
}
