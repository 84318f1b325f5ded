//! One replica of one group: the adapter over the library.
//!
//! The library panics where its caller errs. Whatever could make it do so on behalf of a peer or a disk is
//! refused before it gets there (`refuse.rs`); what is left is caught, and poisons this group alone.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use protobuf::Message as _;
use raft::storage::RaftState;
use raft::{RawNode, SnapshotStatus, StateRole};

use crate::convert;
use crate::error::{Poisoned, ProposeError, StartError, StepError};
use crate::log::Log;
use crate::message::Message;
use crate::types::{Base, Change, Entry, EntryKind, HardState, Membership, ReplicaId};

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

/// What a replica is in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes, or rehearses it.
    Candidate,
    /// Leads.
    Leader,
}

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

/// How far a member is, as its leader knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The last index known to be on its stable storage.
    pub matched: u64,
    /// The commit index that it is known to know.
    pub commit: u64,
    /// Whether it was heard in this or the last election timeout.
    pub active: bool,
    /// Whether it is being given a state instead of entries.
    pub snapshot: bool,
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
            max_uncommitted_size: options.max_uncommitted_bytes,
            max_committed_size_per_ready: options.max_apply_bytes,
            ..raft::Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = catch_unwind(AssertUnwindSafe(|| RawNode::new(&config, log, &logger)))
            .map_err(|_| StartError::Library("it panicked".into()))?
            .map_err(|e| StartError::Library(e.to_string()))?;
        Ok(Self {
            node,
            membership: base.membership,
            held: VecDeque::new(),
            synced_term: hard_state.term,
            unsynced: VecDeque::new(),
            election_ticks: options.election_ticks,
            patience: 0,
            installing: None,
        })
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

    /// Whether it asks for votes in earnest, after a rehearsal that a majority agreed to.
    #[must_use]
    pub fn is_candidate(&self) -> bool {
        self.node.raft.state == StateRole::Candidate
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

    /// Appends a command to the log of the group that this replica leads. Returns the (index, term) that it
    /// stands at; it is committed when an entry with both is, and lost when that index is committed with
    /// another term.
    ///
    /// # Errors
    /// When this replica cannot take it; nothing was appended then.
    pub fn propose(&mut self, data: Bytes) -> Result<(u64, u64), ProposeError> {
        self.may_propose()?;
        let before = self.last_index();
        self.guarded(|node| node.propose(Vec::new(), data.into()))?
            .map_err(|_| ProposeError::Overloaded)?;
        self.appended(before)
    }

    /// Appends a change of membership, as [`propose`](Self::propose) does a command.
    ///
    /// # Errors
    /// When this replica cannot take it, the group is in the middle of another change, or the change would
    /// remove the leader: it must transfer leadership first.
    pub fn propose_change(&mut self, change: &Change) -> Result<(u64, u64), ProposeError> {
        self.may_propose()?;
        let gone = match change {
            Change::Enter { remove, .. } | Change::RemoveLearners { remove } => remove.as_slice(),
            _ => &[],
        };
        if gone.contains(&self.id()) {
            return Err(ProposeError::RemovesLeader);
        }
        let context = rmp_serde::to_vec_named(change).map_err(|_| ProposeError::Overloaded)?;
        let Some(lib) = convert::change_to_lib(change).into_iter().next() else {
            return Err(ProposeError::ChangePending);
        };
        let data = lib.write_to_bytes().map_err(|_| ProposeError::Overloaded)?;
        let before = self.last_index();
        let proposed = self.guarded(|node| {
            let mut entry = raft::eraftpb::Entry::default();
            entry.set_entry_type(raft::eraftpb::EntryType::EntryConfChangeV2);
            (entry.data, entry.context) = (data.into(), context.into());
            let mut message = raft::eraftpb::Message::default();
            message.set_msg_type(raft::eraftpb::MessageType::MsgPropose);
            message.set_entries(vec![entry].into());
            node.step(message)
        })?;
        proposed.map_err(|_| ProposeError::Overloaded)?;
        let at = self.appended(before)?;
        // The library turns a change that it refuses into an empty entry and reports success.
        let unstable = self.node.raft.raft_log.unstable_entries().last();
        if unstable.is_some_and(|e| convert::entry_from_lib(e).kind == EntryKind::Change) {
            Ok(at)
        } else {
            Err(ProposeError::ChangePending)
        }
    }

    fn may_propose(&self) -> Result<(), ProposeError> {
        if self.role() != Role::Leader {
            return Err(ProposeError::NotLeader);
        }
        match self.transferring() {
            Some(_) => Err(ProposeError::Transferring),
            None => Ok(()),
        }
    }

    fn appended(&self, before: u64) -> Result<(u64, u64), ProposeError> {
        let at = self.node.raft.raft_log.last_index();
        if at > before { Ok((at, self.term())) } else { Err(ProposeError::Overloaded) }
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

    /// To whom leadership is being handed.
    #[must_use]
    pub fn transferring(&self) -> Option<ReplicaId> {
        self.node.raft.lead_transferee.map(ReplicaId)
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

    /// The next unit of work, if there is any.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn ready(&mut self) -> Result<Option<Ready>, Poisoned> {
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
        if self.unsynced.is_empty() {
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
        if self.unsynced.is_empty() {
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

    /// Everything up to `index` is in the machine's state.
    ///
    /// # Errors
    /// When the library panicked.
    pub fn applied_to(&mut self, index: u64) -> Result<(), Poisoned> {
        self.guarded(|node| node.advance_apply_to(index))
    }

    /// Carries out a committed change, and returns the configuration from here on. A change that does not fit
    /// the configuration alters nothing, on all replicas alike.
    ///
    /// # Errors
    /// When the entry is not a change, or the library panicked.
    pub fn apply_change(&mut self, entry: &Entry) -> Result<&Membership, StepError> {
        let change: Change = rmp_serde::from_slice(&entry.data)
            .map_err(|e| StepError::BadChange { index: entry.index, reason: e.to_string() })?;
        if let Change::AddLearner { replica, store } = &change {
            self.membership.stores.insert(*replica, *store);
        }
        for step in convert::change_to_lib(&change) {
            let result = self.guarded(|node| node.apply_conf_change(&step))?;
            if let Ok(conf) = result {
                self.membership = convert::membership_from_lib(&conf, &self.membership);
            }
        }
        Ok(&self.membership)
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

    /// This replica.
    #[must_use]
    pub fn id(&self) -> ReplicaId {
        ReplicaId(self.node.raft.id)
    }

    /// The term it is in.
    #[must_use]
    pub fn term(&self) -> u64 {
        self.node.raft.term
    }

    /// What it is.
    #[must_use]
    pub fn role(&self) -> Role {
        match self.node.raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        }
    }

    /// Whom it follows; itself when it leads.
    #[must_use]
    pub fn leader(&self) -> Option<ReplicaId> {
        Some(ReplicaId(self.node.raft.leader_id)).filter(|r| *r != ReplicaId::NONE)
    }

    /// Whether it leads and has applied an entry of its own term, so that what it answers is not older than what
    /// an earlier leader answered (Raft, section 8).
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.role() == Role::Leader && self.node.raft.apply_to_current_term()
    }

    /// The configuration as applied here.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// The last index known to be committed.
    #[must_use]
    pub fn commit(&self) -> u64 {
        self.node.raft.raft_log.committed
    }

    /// The last index applied.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.node.raft.raft_log.applied
    }

    /// The last index of the log, on stable storage or not.
    #[must_use]
    pub fn last_index(&self) -> u64 {
        self.node.raft.raft_log.last_index()
    }

    /// The first index that the log still holds.
    #[must_use]
    pub fn first_index(&self) -> u64 {
        self.node.store().first_index()
    }

    /// The term of the entry at `index`, if it is known.
    #[must_use]
    pub fn term_at(&self, index: u64) -> Option<u64> {
        self.node.raft.raft_log.term(index).ok().filter(|t| *t != 0 || index == 0)
    }

    /// Bytes of data in the log that are in memory.
    #[must_use]
    pub fn log_bytes(&self) -> usize {
        self.node.store().bytes()
    }

    /// The entries that the log holds and that were handed out to be persisted.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.node.store().iter().map(convert::entry_from_lib)
    }

    /// Term, vote and commit, as they would be persisted now.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        convert::hard_state_from_lib(&self.node.raft.hard_state())
    }

    /// How far a member is; known to a leader only.
    #[must_use]
    pub fn progress(&self, replica: ReplicaId) -> Option<Progress> {
        if self.role() != Role::Leader {
            return None;
        }
        self.node.raft.prs().get(replica.0).map(|p| Progress {
            matched: p.matched,
            commit: p.committed_index,
            active: p.recent_active,
            snapshot: p.state == raft::ProgressState::Snapshot,
        })
    }

    /// Whether a change of membership is in the log and not yet applied, as far as is known.
    #[must_use]
    pub fn change_pending(&self) -> bool {
        self.node.raft.has_pending_conf()
    }

    /// Whether units handed out are not yet on stable storage.
    #[must_use]
    pub fn is_persisting(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Whether this leader may let the group sleep: every member but those `excused` holds the
    /// whole log and knows all of it to be committed, and nothing is under way.
    #[must_use]
    pub fn is_settled(&self, excused: impl Fn(ReplicaId) -> bool) -> bool {
        let last = self.last_index();
        self.is_serving()
            && self.commit() == last
            && self.applied() == last
            && self.unsynced.is_empty()
            && !self.node.has_ready()
            && self.transferring().is_none()
            && !self.change_pending()
            && !self.membership.is_joint()
            && self.node.raft.pending_read_count() == 0
            && self.node.raft.prs().iter().all(|(id, p)| {
                let member = ReplicaId(*id);
                member == self.id()
                    || excused(member)
                    || (p.matched == last && p.committed_index == last)
            })
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
