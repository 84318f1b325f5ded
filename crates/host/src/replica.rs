//! One replica on this server: its Raft group, its machine, and the bookkeeping between them.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use flotilla_disk::{BaseRecord, SegmentSummary};
use flotilla_jsapi::ErrorKind;
use flotilla_raft::{
    Base, Body, Entry, EntryKind, Group, GroupId, HardState, Message, Options, Poisoned, ReadAt,
    Ready, ReplicaId, Role, SnapshotAt, StepError, StoreId,
};
use flotilla_stream::Timestamp;

use crate::bundle::{Offer, Say, Sleep};
use crate::notice::Notice;
use crate::request::{Answer, Call, ClusterAnswer, MemberAnswer};
use crate::time::{MILLISECOND, SECOND};
use crate::turn::{After, Cx, Leading};

/// How every group runs: with ticks of 50 ms, a follower waits 1 s for its leader and a leader speaks every 200 ms.
pub(crate) const OPTIONS: Options = Options {
    election_ticks: 20,
    heartbeat_ticks: 4,
    max_message_bytes: 1 << 20,
    max_inflight: 256,
    max_uncommitted_bytes: 64 << 20,
    max_apply_bytes: 8 << 20,
};
/// The most bytes of log that a leader keeps for a lagging member when a state would be as small.
const SMALL_LOG_LIMIT: usize = 1 << 20;
/// The most replicas outside the configuration whose address is kept.
const MAX_STRANGERS: usize = 32;
/// How long a handing over of leadership may take before it is given up.
const TRANSFER_LIMIT: u64 = SECOND;
/// How long a read index is waited for before it is asked for again.
const READ_RETRY: u64 = 300 * MILLISECOND;
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

    /// This replica leads and has applied everything of earlier terms.
    fn take_lead(&mut self, term: u64, cx: &mut Cx);

    /// This replica does not lead any more: what was promised to clients but not committed is void.
    fn lose_lead(&mut self, cx: &mut Cx);

    /// The files that belong to `base`, for a member that is given it.
    /// `None` when they are not all there any more: a newer base is to be offered.
    fn files(&mut self, _base: &Base, _cx: &mut Cx) -> Option<Vec<SegmentSummary>> {
        Some(Vec::new())
    }

    /// Replaces the state by the one at `index`, given by a peer; the record that says so is on stable storage.
    fn restore(&mut self, state: &Bytes, index: u64, cx: &mut Cx) -> Result<(), String>;
}

/// Reads that wait for the leader to be sure that it still is one: one question for all that wait.
#[derive(Default)]
pub(crate) struct Reads {
    waiting: Vec<Call>,
    /// Under way: the token of each question, and who waits for it. An answer confirms all that were asked before.
    asked: VecDeque<(u64, Vec<Call>)>,
    token: u64,
    asked_at: u64,
    /// Confirmed, and waiting for this index to be applied.
    confirmed: VecDeque<(u64, Vec<Call>)>,
}

/// One replica.
pub(crate) struct Replica<M> {
    pub(crate) group: GroupId,
    pub(crate) incarnation: u64,
    pub(crate) asset: Bytes,
    pub(crate) raft: Group,
    pub(crate) machine: M,
    pub(crate) reads: Reads,
    /// Whether its time goes on.
    pub(crate) awake: bool,
    quiet_ticks: u32,
    /// Whether it serves as leader, and in which term.
    serving: Option<u64>,
    serving_since: Option<u64>,
    /// After how many ticks to campaign, if nobody leads then.
    eager: Option<u64>,
    transfer_since: Option<u64>,
    /// Term and vote as last handed to the WAL.
    written: (u64, ReplicaId),
    /// The newest base on stable storage: what a member that the log cannot reach is given.
    pub(crate) base: Base,
    pub(crate) durable_base: u64,
    /// The base on its way there.
    pub(crate) writing_base: Option<Base>,
    /// Whether a member needs a newer base than there is.
    pub(crate) wants_base: bool,
    /// A state that a peer gave, about to replace the log.
    pub(crate) incoming: Option<Base>,
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
        let HardState { term, vote, .. } = raft.hard_state();
        Self {
            group,
            incarnation,
            asset,
            raft,
            machine,
            reads: Reads::default(),
            awake: true,
            quiet_ticks: 0,
            serving: None,
            serving_since: None,
            eager: None,
            transfer_since: None,
            written: (term, vote),
            durable_base: base.index,
            base,
            writing_base: None,
            wants_base: false,
            incoming: None,
            installing: false,
            strangers: BTreeMap::new(),
        }
    }

    /// Something happened: the group's time goes on.
    pub(crate) fn wake(&mut self) {
        self.awake = true;
        self.quiet_ticks = 0;
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

    /// Raft would send a state: what it is made of is offered first, and the receiver steps the message when it has
    /// all of it.
    fn offer(&mut self, message: &Message, store: StoreId, cx: &mut Cx) {
        let Some(files) = self.machine.files(&self.base, cx) else {
            // The library asks again after the next heartbeat; by then there is a newer base.
            self.raft.report_snapshot(message.to, false);
            self.wants_base = true;
            return;
        };
        let base = self.base.clone();
        let offer = Offer { from: message.from, to: message.to, term: message.term, base, files };
        cx.say(store, self.group, &Say::Offer(Box::new(offer)));
    }

    /// Takes over a state that a peer gave: it replaces machine and log by one WAL record.
    fn install(&mut self, at: &SnapshotAt, cx: &mut Cx) -> Result<(), Poisoned> {
        let base = self.incoming.take().filter(|b| (b.index, b.term) == (at.index, at.term));
        let Some(base) = base else {
            return Err(Poisoned::machine("a state was installed that nobody offered"));
        };
        self.raft.install(base.membership.clone());
        self.writing_base = None;
        self.installing = true;
        let record = BaseRecord {
            group: self.group,
            replica: self.raft.id(),
            incarnation: self.incarnation,
            asset: &self.asset,
            hard_state: self.raft.hard_state(),
            base: &base,
            // Nothing that was written before belongs to this log any more.
            entries_from: u64::MAX,
        };
        cx.wal.base(&record).map_err(Poisoned::machine)?;
        cx.after.push(After::Install { group: self.group });
        self.raft.checkpoint(&base, base.index);
        (self.durable_base, self.base) = (base.index, base);
        Ok(())
    }

    /// The record of a state that a peer gave is on stable storage: the machine becomes that state. Nothing behind it
    /// was applied before, because the library waits for the same record.
    pub(crate) fn installed(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        self.installing = false;
        let Base { index, state, .. } = self.base.clone();
        self.machine.restore(&state, index, cx).map_err(Poisoned::machine)
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
        if !(beats && self.awake) {
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

    /// Hands entries and the vote to the WAL. A hard state that only moves the commit index is not written:
    /// nobody waits for it, and a restarted replica learns it from its leader, or as one.
    fn persist(
        &mut self,
        entries: &[Entry],
        hard_state: Option<HardState>,
        cx: &mut Cx,
    ) -> Result<(), Poisoned> {
        let id = self.raft.id();
        if let Some(state) = hard_state.filter(|s| (s.term, s.vote) != self.written) {
            self.written = (state.term, state.vote);
            cx.wal.hard_state(self.group, id, state);
        }
        // Proposals are bounded far below the WAL's limit, so only a peer can have made such an entry; it must not be
        // acknowledged.
        cx.wal.entries(self.group, id, entries).map_err(Poisoned::machine)
    }

    fn apply(&mut self, entry: &Entry, cx: &mut Cx) {
        match entry.kind {
            EntryKind::Change => {
                if let Err(error) = self.raft.apply_change(entry) {
                    cx.notice(Notice::Refused { group: self.group, reason: error.to_string() });
                }
            }
            // A leader's first entry of its term.
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

    /// There is a reason to think that nobody leads: this replica campaigns in a moment, with jitter, instead of
    /// waiting out the timeout.
    pub(crate) fn be_eager(&mut self, within: u64, cx: &mut Cx) {
        self.wake();
        self.eager = Some(cx.random.below(within.max(1)));
    }

    /// Campaigns when the moment has come. A replica that cannot do so now, because it waits for its disk, or for votes
    /// that are on their way, does so as soon as it can.
    fn campaign_eagerly(&mut self) -> Result<bool, Poisoned> {
        let Some(ticks) = self.eager else { return Ok(false) };
        if self.raft.leader().is_some() {
            self.eager = None;
            return Ok(false);
        }
        self.eager = Some(ticks.saturating_sub(1));
        let campaigned = ticks == 0 && !self.raft.is_candidate() && self.raft.campaign()?;
        if campaigned {
            self.eager = None;
        }
        Ok(campaigned)
    }

    /// Draws how long this replica waits beyond the election timeout, so that not all campaign at once.
    pub(crate) fn draw_patience(&mut self, cx: &mut Cx) {
        self.raft.set_patience(usize::try_from(cx.random.below(11)).unwrap_or(0));
    }

    pub(crate) fn transfer(&mut self, to: ReplicaId, cx: &mut Cx) -> Result<(), Poisoned> {
        self.wake();
        self.raft.transfer(to)?;
        self.transfer_since = Some(cx.now.mono);
        self.drive(cx)
    }

    fn limit_transfer(&mut self, cx: &Cx) {
        match self.transfer_since {
            Some(since) if self.raft.transferring().is_some() => {
                if cx.now.mono.saturating_sub(since) > TRANSFER_LIMIT {
                    self.raft.abort_transfer();
                    self.transfer_since = None;
                }
            }
            _ => self.transfer_since = None,
        }
    }

    /// Lets the group sleep if every member that lives is where its leader is. The members that are dead are
    /// excused, as long as the living ones are a quorum; their return wakes the group.
    fn try_sleep(&mut self, cx: &mut Cx) {
        let membership = self.raft.membership();
        let dead = |s: StoreId| s != cx.store && cx.peers.is_dead(s);
        let is_dead = |r: ReplicaId| membership.store_of(r).is_none_or(dead);
        let alive = membership.voters.iter().filter(|r| !is_dead(**r)).count();
        if 2 * alive <= membership.voters.len()
            || !self.reads.is_idle()
            || !self.raft.is_settled(is_dead)
        {
            return;
        }
        let sleep =
            Sleep { leader: self.raft.id(), term: self.raft.term(), commit: self.raft.commit() };
        let members: Vec<ReplicaId> = membership.all().filter(|r| !is_dead(*r)).collect();
        for member in members {
            let store = self.raft.membership().store_of(member);
            if let Some(store) = store.filter(|s| *s != cx.store) {
                cx.say(store, self.group, &Say::Sleep(sleep));
            }
        }
        self.awake = false;
    }

    /// The leader says that the group may sleep. True only for who is exactly where it is; others stay awake, and
    /// will hear from it or replace it.
    pub(crate) fn sleep(&mut self, sleep: Sleep) {
        let same = self.raft.role() == Role::Follower
            && self.raft.leader() == Some(sleep.leader)
            && self.raft.term() == sleep.term
            && self.raft.commit() == sleep.commit
            && self.raft.applied() == sleep.commit
            && self.raft.last_index() == sleep.commit
            && !self.raft.is_persisting();
        self.awake = !same;
        if self.awake {
            self.quiet_ticks = 0;
        }
    }

    /// What both sides of a sleeping group agree on, as a number.
    pub(crate) fn sleep_digest(&self) -> u64 {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.group.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.raft.term().to_le_bytes());
        bytes[16..].copy_from_slice(&self.raft.commit().to_le_bytes());
        xxhash_rust::xxh3::xxh3_64(&bytes)
    }

    /// A read that only the leader may answer. It is answered by [`take_confirmed`](Self::take_confirmed)'s caller
    /// once leadership is confirmed.
    pub(crate) fn read(&mut self, call: Call) {
        self.wake();
        self.reads.waiting.push(call);
    }

    /// Asks for one read index for all reads that wait.
    pub(crate) fn ask_read_index(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        if !self.serves() {
            self.reads.fail(cx);
            return Ok(());
        }
        if self.reads.wants_asking(cx.now.mono) {
            let token = self.reads.ask(cx.now.mono);
            self.raft.read_index(token)?;
            self.drive(cx)?;
        }
        Ok(())
    }

    /// The reads that may be answered from what is applied now.
    pub(crate) fn take_confirmed(&mut self) -> Vec<Call> {
        let applied = self.raft.applied();
        let mut calls = Vec::new();
        while let Some((_, some)) =
            self.reads.confirmed.pop_front_if(|(index, _)| *index <= applied)
        {
            calls.extend(some);
        }
        calls
    }

    /// Writes `base` as this group's new beginning. What follows it in the log stays where it is, or is written
    /// again behind it when `forward` is set, so that the files before it can be reclaimed.
    pub(crate) fn write_base(&mut self, base: Base, forward: bool, cx: &mut Cx) {
        if base.index < self.durable_base || self.writing_base.is_some() {
            return;
        }
        let entries: Vec<Entry> = if forward {
            self.raft.entries().filter(|e| e.index > base.index).collect()
        } else {
            Vec::new()
        };
        let entries_from = if forward { self.raft.last_index() } else { base.index } + 1;
        let record = BaseRecord {
            group: self.group,
            replica: self.raft.id(),
            incarnation: self.incarnation,
            asset: &self.asset,
            hard_state: self.raft.hard_state(),
            base: &base,
            entries_from,
        };
        if let Err(error) = cx.wal.base(&record) {
            cx.notice(Notice::Refused { group: self.group, reason: error.to_string() });
            return;
        }
        if let Err(error) = self.persist(&entries, None, cx) {
            cx.notice(Notice::Refused { group: self.group, reason: error.to_string() });
        }
        cx.after.push(After::Base { group: self.group, index: base.index });
        self.writing_base = Some(base);
    }

    /// The base is on stable storage: the log may forget what no live member needs.
    pub(crate) fn base_persisted(&mut self, index: u64, log_limit: usize) -> bool {
        let Some(base) = self.writing_base.take_if(|b| b.index == index) else { return false };
        self.durable_base = index;
        let mut forget = index;
        if self.raft.role() == Role::Leader && self.raft.log_bytes() < log_limit {
            let behind = self.raft.membership().all().filter_map(|r| self.raft.progress(r));
            let slowest = behind.filter(|p| p.active).map(|p| p.matched).min();
            forget = slowest.map_or(index, |m| m.min(index));
        }
        self.raft.checkpoint(&base, forget);
        self.base = base;
        true
    }

    /// A base of a machine whose whole state is in it is on stable storage.
    pub(crate) fn small_base_persisted(&mut self, index: u64) {
        self.base_persisted(index, SMALL_LOG_LIMIT);
    }

    /// The state at what is applied now, as a base.
    pub(crate) fn base_at_applied(&self, state: Bytes) -> Base {
        let index = self.raft.applied();
        Base {
            index,
            term: self.raft.term_at(index).unwrap_or(0),
            membership: self.raft.membership().clone(),
            state_hash: self.machine.state_hash(),
            state,
        }
    }
}

impl Reads {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.asked.is_empty() && self.confirmed.is_empty()
    }

    fn wants_asking(&self, now: u64) -> bool {
        let overdue = now.saturating_sub(self.asked_at) > READ_RETRY;
        if self.asked.is_empty() { !self.waiting.is_empty() } else { overdue }
    }

    fn ask(&mut self, now: u64) -> u64 {
        self.token += 1;
        self.asked.push_back((self.token, std::mem::take(&mut self.waiting)));
        self.asked_at = now;
        self.token
    }

    fn confirm(&mut self, token: u64, index: u64) {
        // A question's answer confirms less than those who asked later need, and enough for those before.
        while let Some((_, calls)) = self.asked.pop_front_if(|(t, _)| *t <= token) {
            self.confirmed.push_back((index, calls));
        }
    }

    fn fail(&mut self, cx: &mut Cx) {
        let confirmed =
            std::mem::take(&mut self.confirmed).into_iter().flat_map(|(_, calls)| calls);
        let asked = self.asked.drain(..).flat_map(|(_, calls)| calls);
        let calls = confirmed.chain(asked).chain(self.waiting.drain(..));
        cx.out.answers.extend(calls.map(|call| (call.id, Answer::NotLeader)));
    }
}

impl<M: Machine> Replica<M> {
    /// Hands leadership to the member on `preferred`, or to the one that is furthest and lives.
    pub(crate) fn step_down(&mut self, preferred: Option<StoreId>, cx: &mut Cx) -> Answer {
        let no_peers = |why: &str| Answer::Error(ErrorKind::ClusterNoPeers.because(why));
        let membership = self.raft.membership();
        let me = self.raft.id();
        let alive = |r: &ReplicaId| membership.store_of(*r).is_some_and(|s| !cx.peers.is_dead(s));
        let to = match preferred {
            Some(store) if store == cx.store => {
                return no_peers("preferred server is already leader");
            }
            Some(store) => {
                let on = |r: &&ReplicaId| membership.store_of(**r) == Some(store);
                match membership.voters.iter().find(on) {
                    Some(replica) if alive(replica) => *replica,
                    Some(_) => return no_peers("preferred server is not connected"),
                    None => return no_peers("preferred server is not known"),
                }
            }
            None => {
                let others = membership.voters.iter().filter(|r| **r != me && alive(r));
                let matched = |r: &&ReplicaId| self.raft.progress(**r).map_or(0, |p| p.matched);
                match others.max_by_key(matched) {
                    Some(replica) => *replica,
                    None => return no_peers("no replacement peer connected"),
                }
            }
        };
        match self.transfer(to, cx) {
            Ok(()) => Answer::Done,
            Err(_) => Answer::NotLeader,
        }
    }

    /// Who holds this group, as far as this member knows.
    pub(crate) fn cluster(&self, since: Option<Timestamp>, cx: &Cx) -> ClusterAnswer {
        let membership = self.raft.membership();
        let leader = self.leader_store();
        let member = |replica: ReplicaId| {
            let store = membership.store_of(replica)?;
            if Some(store) == leader {
                return None;
            }
            let offline = store != cx.store && cx.peers.is_dead(store);
            let progress = self.raft.progress(replica);
            let matched = match progress {
                Some(progress) => progress.matched,
                None if store == cx.store => self.raft.applied(),
                None => self.raft.commit(),
            };
            let lag = self.raft.last_index().saturating_sub(matched);
            let silent = cx.peers.silent_for(store, cx.now.mono);
            Some(MemberAnswer {
                store,
                current: !offline && matched >= self.raft.commit() && leader.is_some(),
                offline,
                lag,
                active: if store == cx.store { 0 } else { silent.unwrap_or(0) },
            })
        };
        ClusterAnswer {
            group: self.group,
            leader,
            leader_since: since.filter(|_| self.serves()),
            members: membership.all().filter_map(member).collect(),
        }
    }
}
