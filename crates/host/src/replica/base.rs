//! Bases: the state that the log may forget what led to, written here, given to a member, or taken from one.

use bytes::Bytes;
use flotilla_disk::BaseRecord;
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{Base, Entry, Message, Poisoned, ReplicaId, Role, SnapshotAt, StoreId};

use super::{Machine, Replica};
use crate::bundle::{Offer, Say};
use crate::notice::Notice;
use crate::time::SECOND;
use crate::turn::{After, Cx};

/// For how long nothing may be heard of a member that is being given a state. It asks for each piece again sooner.
const OFFER_LIMIT: u64 = 10 * SECOND;
/// So many bytes of entries are always written again when the log wants a group to let go of a file.
const ALWAYS_MOVED: u64 = 4 << 10;

impl<M: Machine> Replica<M> {
    /// Raft would send a state: what it is made of is offered first, and the receiver steps the message when it has
    /// all of it.
    pub(super) fn offer(&mut self, message: &Message, store: StoreId, cx: &mut Cx) {
        // A base from before the receiver was added would tell it that it has no part in the group.
        let knows = self.base.membership.contains(message.to);
        let files = if knows || is_on(Mutation::OfferedToStranger) {
            self.machine.files(&self.base, cx)
        } else {
            None
        };
        let Some(files) = files else {
            // The library asks again after the next heartbeat; by then there is a newer base.
            self.raft.report_snapshot(message.to, false);
            self.wants_base = true;
            return;
        };
        let base = self.base.clone();
        let offer = Offer { from: message.from, to: message.to, term: message.term, base, files };
        cx.say(store, self.group, &Say::Offer(Box::new(offer)));
        self.offered.insert(message.to, cx.now.mono);
    }

    /// The library waits for the end of what it offers, for ever. A member that took this leader for dead meanwhile has
    /// dropped it and says nothing: it is offered again.
    pub(super) fn limit_offers(&mut self, cx: &Cx) {
        let silent = |at: u64| cx.now.mono.saturating_sub(at) > OFFER_LIMIT;
        let given_up: Vec<ReplicaId> =
            self.offered.iter().filter(|(_, at)| silent(**at)).map(|(r, _)| *r).collect();
        for member in given_up {
            self.offered.remove(&member);
            if self.raft.progress(member).is_some_and(|p| p.snapshot) {
                self.raft.report_snapshot(member, false);
            }
        }
    }

    /// Takes over a state that a peer gave: it replaces machine and log by one WAL record.
    pub(super) fn install(&mut self, at: &SnapshotAt, cx: &mut Cx) -> Result<(), Poisoned> {
        let base = self.incoming.take().filter(|b| (b.index, b.term) == (at.index, at.term));
        let Some(base) = base else {
            return Err(Poisoned::machine("a state was installed that nobody offered"));
        };
        self.raft.install(base.membership.clone());
        self.writing_base = None;
        self.installing = true;
        // Nothing that was written before belongs to this log any more.
        let record = self.base_record(&base, u64::MAX);
        cx.wal.base(&record).map_err(Poisoned::machine)?;
        cx.after.push(After::Install { group: self.group });
        self.raft.checkpoint(&base, base.index);
        (self.durable_base, self.base) = (base.index, *base);
        if is_on(Mutation::InstalledBeforeSync) { self.installed(cx) } else { Ok(()) }
    }

    /// `base` for the log, which keeps of what it holds of this group the entries from `entries_from` on.
    fn base_record<'a>(&'a self, base: &'a Base, entries_from: u64) -> BaseRecord<'a> {
        BaseRecord {
            group: self.group,
            replica: self.raft.id(),
            incarnation: self.incarnation,
            asset: &self.asset,
            hard_state: self.raft.hard_state(),
            base,
            entries_from,
        }
    }

    /// The record of a state that a peer gave is on stable storage: the machine becomes that state. Nothing behind it
    /// was applied before, because the library waits for the same record.
    pub(crate) fn installed(&mut self, cx: &mut Cx) -> Result<(), Poisoned> {
        self.installing = false;
        let Base { index, state, .. } = self.base.clone();
        self.machine.restore(&state, index, cx).map_err(Poisoned::machine)
    }

    /// Writes `base` as this group's new beginning. What follows it in the log stays where it is, or is written again
    /// behind it when `forward` is set, so that the files before it can be reclaimed; unless that is more than it is worth.
    pub(crate) fn write_base(&mut self, base: Base, forward: bool, cx: &mut Cx) {
        if base.index < self.durable_base || self.writing_base.is_some() {
            return;
        }
        let mut entries: Vec<Entry> = if forward {
            self.raft.entries().filter(|e| e.index > base.index).collect()
        } else {
            Vec::new()
        };
        let bytes: u64 = entries.iter().map(|entry| entry.data.len() as u64).sum();
        let moves = bytes <= cx.movable.max(ALWAYS_MOVED);
        if !moves && base.index == self.durable_base {
            return;
        }
        let forward = forward && moves;
        if !moves {
            entries.clear();
        }
        let entries_from = if forward { self.raft.last_index() } else { base.index } + 1;
        let record = self.base_record(&base, entries_from);
        if let Err(error) = cx.wal.base(&record) {
            cx.notice(Notice::Refused { group: self.group, reason: error.to_string() });
            return;
        }
        if let Err(error) = self.persist(&entries, None, cx) {
            cx.notice(Notice::Refused { group: self.group, reason: error.to_string() });
        }
        cx.after.push(After::Base { group: self.group, index: base.index });
        self.writing_base = Some(Box::new(base));
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
        self.base = *base;
        true
    }

    /// A base of a machine whose whole state is in it is on stable storage.
    pub(crate) fn small_base_persisted(&mut self, index: u64, cx: &Cx) {
        self.base_persisted(index, cx.thresholds.small_log);
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
