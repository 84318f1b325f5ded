//! One replica on this server: its Raft group, its machine, and what passes between them.

mod base;
mod give;
mod lead;
mod reads;
mod rest;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use flotilla_disk::SegmentSummary;
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{
    Base, Body, Entry, EntryKind, Group, GroupId, HardState, Message, Options, Poisoned, ReadAt,
    Ready, ReplicaId, Role, StepError, StoreId,
};

use crate::notice::Notice;
use crate::turn::{After, Cx, Leading};
use reads::Reads;

pub(crate) use lead::FLOWING;
pub(crate) use rest::{Asleep, has_quorum};

/// How every group runs: with ticks of 50 ms, a follower waits 1 s for its leader and a leader speaks every 200 ms.
pub(crate) const OPTIONS: Options = Options {
    election_ticks: 20,
    heartbeat_ticks: 4,
    max_message_bytes: 1 << 20,
    max_inflight: 256,
    max_uncommitted_bytes: 64 << 20,
    max_apply_bytes: 8 << 20,
};
/// The most replicas outside the configuration whose address is kept.
const MAX_STRANGERS: usize = 32;
/// Ticks without anything happening after which a leader looks whether its group may sleep.
const QUIET_TICKS: u32 = 10;

/// What a group's log decides about. Applied in order on every replica; only the leader's effects leave.
pub(crate) trait Machine {
    /// What it is called in the log: `stream "A > ORDERS"`.
    fn name(&self) -> String;

    /// Carries out a committed command. `leads` says whether this replica answers for it.
    fn apply(&mut self, entry: &Entry, leads: bool, cx: &mut Cx);

    /// The running hash of what was applied.
    fn state_hash(&self) -> u64;

    /// Whether something on the disk was not what the leader has.
    fn differs(&self) -> bool {
        false
    }

    /// Nothing happens any more, for now: what is only kept for its memory goes.
    fn rest(&mut self) {}

    /// This replica leads and has applied everything of earlier terms.
    fn take_lead(&mut self, term: u64, cx: &mut Cx);

    /// This replica does not lead any more: what was promised to clients but not committed is void.
    fn lose_lead(&mut self, cx: &mut Cx);

    /// The files that belong to `base`, for a member that is given it.
    /// `None` when they are not all there any more: a newer base is to be offered.
    fn files(&mut self, _base: &Base, _cx: &mut Cx) -> Option<Vec<SegmentSummary>> {
        Some(Vec::new())
    }

    /// The segment that holds `seq`, as far as `through`, for a peer that has lost it.
    fn spare(&mut self, _seq: u64, _through: u64, _cx: &mut Cx) -> Option<SegmentSummary> {
        None
    }

    /// Replaces the state by the one at `index`, given by a peer; the record that says so is on stable storage.
    fn restore(&mut self, state: &Bytes, index: u64, cx: &mut Cx) -> Result<(), String>;
}

/// One replica.
pub(crate) struct Replica<M> {
    pub(crate) group: GroupId,
    pub(crate) incarnation: u64,
    pub(crate) asset: Bytes,
    pub(crate) raft: Group,
    pub(crate) machine: M,
    pub(crate) reads: Reads,
    /// How it fell asleep; `None` while its time goes on.
    pub(crate) asleep: Option<Asleep>,
    quiet_ticks: u32,
    /// When the group last went to sleep, the state here was not the leader's.
    pub(crate) differs: bool,
    /// Whether it serves as leader, and in which term.
    serving: Option<u64>,
    serving_since: Option<u64>,
    /// After how many ticks to campaign, if nobody leads then.
    eager: Option<u64>,
    transfer_since: Option<u64>,
    flow: lead::Flow,
    /// When it last gave way to others, because something is damaged or missing here.
    gave_way: Option<u64>,
    /// Term and vote as last handed to the WAL.
    written: (u64, ReplicaId),
    /// Changes of membership in the log of which the WAL does not know yet that they are committed.
    unrecorded: BTreeSet<u64>,
    /// The last change of membership that was applied.
    changed_at: u64,
    /// An entry of this leader's that proves, once it is applied, that a majority knows of the last change: its term and
    /// its index.
    proof: (u64, u64),
    /// The newest base on stable storage: what a member that the log cannot reach is given.
    pub(crate) base: Base,
    pub(crate) durable_base: u64,
    /// The base on its way there. Not in place, as other things that there seldom are: most replicas sleep.
    pub(crate) writing_base: Option<Box<Base>>,
    /// Whether a member needs a newer base than there is.
    pub(crate) wants_base: bool,
    /// When members that are being given a state last showed that they work on it.
    pub(crate) offered: BTreeMap<ReplicaId, u64>,
    /// A state that a peer gave, about to replace the log.
    pub(crate) incoming: Option<Box<Base>>,
    /// Whether the record of such a state is on its way to stable storage: machine and files are about to be replaced.
    pub(crate) installing: bool,
    /// Where replicas live that the configuration applied here does not know. After a restart a replica is back at its
    /// base, and its leader may have joined by an entry that it has not applied again: it must answer it all the same.
    strangers: BTreeMap<ReplicaId, StoreId>,
}

impl<M: Machine> Replica<M> {
    pub(crate) fn new(
        group: GroupId,
        incarnation: u64,
        asset: Bytes,
        raft: Group,
        machine: M,
        base: Base,
    ) -> Self {
        let HardState { term, vote, commit } = raft.hard_state();
        let changes = raft.entries().filter(|e| e.kind == EntryKind::Change && e.index > commit);
        let unrecorded = changes.map(|e| e.index).collect();
        Self {
            group,
            incarnation,
            asset,
            raft,
            machine,
            reads: Reads::default(),
            asleep: None,
            quiet_ticks: 0,
            differs: false,
            serving: None,
            serving_since: None,
            eager: None,
            transfer_since: None,
            flow: lead::Flow::default(),
            gave_way: None,
            written: (term, vote),
            unrecorded,
            changed_at: 0,
            proof: (0, 0),
            durable_base: base.index,
            base,
            writing_base: None,
            wants_base: false,
            offered: BTreeMap::new(),
            incoming: None,
            installing: false,
            strangers: BTreeMap::new(),
        }
    }

    /// Whether it leads and has applied an entry of its term.
    pub(crate) fn serves(&self) -> bool {
        self.serving.is_some()
    }

    pub(crate) fn leader_store(&self) -> Option<StoreId> {
        self.raft.leader().and_then(|r| self.raft.membership().store_of(r))
    }

    fn send(&mut self, message: Message, cx: &mut Cx) {
        let known = self.raft.membership().store_of(message.to);
        let Some(store) = known.or_else(|| self.strangers.get(&message.to).copied()) else {
            return;
        };
        match message.body {
            Body::Snapshot { .. } => self.offer(&message, store, cx),
            _ => cx.raft(store, self.group, message),
        }
    }

    /// A message of a peer's replica, which lives at `from`.
    pub(crate) fn step(
        &mut self,
        from: StoreId,
        message: Message,
        cx: &mut Cx,
    ) -> Result<(), StepError> {
        if self.raft.membership().store_of(message.from).is_some() {
            self.strangers.remove(&message.from);
        } else if self.strangers.len() < MAX_STRANGERS {
            self.strangers.insert(message.from, from);
        }
        // Heartbeats say that nothing happens: they keep nobody awake, though they wake who sleeps.
        let beats = matches!(message.body, Body::Heartbeat { .. } | Body::HeartbeatReply { .. });
        if !(beats && self.is_awake()) {
            self.wake();
        }
        self.raft.step(message)?;
        Ok(self.drive(cx)?)
    }

    /// Does all that the group has to do now.
    pub(crate) fn drive(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        while let Some(ready) = self.raft.ready()? {
            self.carry_out(ready, cx)?;
        }
        self.notice_role(cx);
        Ok(())
    }

    fn carry_out(&mut self, ready: Ready, cx: &mut Cx) -> Result<(), Poisoned> {
        for message in ready.messages {
            self.send(message, cx);
        }
        if let Some(snapshot) = &ready.snapshot {
            self.install(snapshot, cx)?;
        }
        self.persist(&ready.entries, ready.hard_state, cx)?;
        if ready.must_sync {
            cx.after.push(After::Unit { group: self.group, number: ready.number });
        }
        for entry in &ready.committed {
            self.apply(entry, cx);
        }
        if let Some(last) = ready.committed.last() {
            self.raft.applied_to(last.index)?;
        }
        for ReadAt { token, index } in ready.reads {
            self.reads.confirm(token, index);
        }
        Ok(())
    }

    /// Hands entries and the vote to the WAL. A hard state that only moves the commit index is not written: nobody waits
    /// for it, and a restarted replica learns it from its leader, or as one.
    ///
    /// Unless it commits a change of membership. The library uses a configuration from when it is applied, so a restarted
    /// replica that does not know the commit is back in the configuration before, where a majority may be another one: it
    /// could be elected there beside a leader of the new one. Whoever has the entry behind a change (the leader that
    /// proposed it had applied the change) must know for good that the change is committed.
    fn persist(
        &mut self,
        entries: &[Entry],
        hard_state: Option<HardState>,
        cx: &mut Cx,
    ) -> Result<(), Poisoned> {
        let id = self.raft.id();
        if let Some(first) = entries.first() {
            self.flow.appended(cx.now.mono);
            drop(self.unrecorded.split_off(&first.index));
        }
        let changes = entries.iter().filter(|e| e.kind == EntryKind::Change);
        self.unrecorded.extend(changes.map(|e| e.index));
        let counts = |s: &HardState| {
            let commits_change = self.unrecorded.first().is_some_and(|index| *index <= s.commit);
            let recorded = commits_change && !is_on(Mutation::ChangeCommitNotWritten);
            (s.term, s.vote) != self.written || recorded
        };
        if let Some(state) = hard_state.filter(counts) {
            self.written = (state.term, state.vote);
            self.unrecorded = self.unrecorded.split_off(&(state.commit + 1));
            let forgotten = HardState { vote: ReplicaId::NONE, ..state };
            let written = if is_on(Mutation::VoteNotWritten) { forgotten } else { state };
            cx.wal.hard_state(self.group, id, written);
        }
        // Proposals are bounded far below the WAL's limit, so only a peer can have made such an entry; it must not be
        // acknowledged.
        cx.wal.entries(self.group, id, entries).map_err(Poisoned::machine)
    }

    fn apply(&mut self, entry: &Entry, cx: &mut Cx) {
        match entry.kind {
            EntryKind::Change => {
                self.changed_at = entry.index;
                if let Err(error) = self.raft.apply_change(entry) {
                    cx.notice(Notice::Refused { group: self.group, reason: error.to_string() });
                }
            }
            // A leader's first entry of its term, or one that proves something.
            EntryKind::Command if entry.data.is_empty() => {}
            EntryKind::Command => {
                let leads = self.raft.role() == Role::Leader;
                self.machine.apply(entry, leads, cx);
            }
        }
    }

    fn notice_role(&mut self, cx: &mut Cx) {
        let serving = self.raft.is_serving().then(|| self.raft.term());
        if serving == self.serving {
            return;
        }
        if let Some(term) = self.serving {
            cx.notice(Notice::StepsDown { asset: self.machine.name(), term });
            cx.out.leading.push(Leading { group: self.group, term, leads: false });
            self.reads.fail(cx);
            self.machine.lose_lead(cx);
        }
        if let Some(term) = serving {
            cx.notice(Notice::Leads { asset: self.machine.name(), term });
            cx.out.leading.push(Leading { group: self.group, term, leads: true });
            self.machine.take_lead(term, cx);
        }
        self.serving = serving;
        self.serving_since = serving.map(|_| cx.now.mono);
    }

    /// This replica goes: whoever waits for it is told, and clients find another.
    pub(crate) fn retire(&mut self, cx: &mut Cx) {
        if let Some(term) = self.serving.take() {
            cx.out.leading.push(Leading { group: self.group, term, leads: false });
        }
        self.reads.fail(cx);
        self.machine.lose_lead(cx);
    }

    pub(crate) fn serving_since(&self) -> Option<u64> {
        self.serving_since
    }

    /// The unit `number`, and all before it, is on stable storage.
    pub(crate) fn persisted(&mut self, number: u64, cx: &mut Cx) -> Result<(), Poisoned> {
        for message in self.raft.persisted(number)? {
            self.send(message, cx);
        }
        self.drive(cx)
    }

    /// One tick of an awake group.
    pub(crate) fn tick(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        self.limit_transfer(cx);
        self.limit_offers(cx);
        if self.raft.tick()? || self.campaign_eagerly()? {
            self.draw_patience(cx);
        }
        self.drive(cx)?;
        self.quiet_ticks += 1;
        if self.quiet_ticks >= QUIET_TICKS && self.raft.role() == Role::Leader {
            self.try_sleep(cx);
        }
        Ok(())
    }
}
