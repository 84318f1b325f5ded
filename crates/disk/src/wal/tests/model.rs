//! A log that cannot fail, to compare with, and a random workload for both.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_raft::{Base, Entry, EntryKind, GroupId, HardState, ReplicaId, StoreId};

use super::super::{BaseRecord, RecoveredGroup, Recovery, WalBatch, WalOptions};
use crate::seeded::Seeded;

pub(super) const G: GroupId = GroupId(5);
pub(super) const R: ReplicaId = ReplicaId(50);

pub(super) fn small() -> WalOptions {
    WalOptions { store: StoreId(0xABCD), file_size: 16 * 4096, soft: 40 * 4096, cap: 64 * 4096 }
}

pub(super) fn entry(term: u64, index: u64) -> Entry {
    let data = Bytes::from(format!("entry {index} of term {term}").repeat(3));
    Entry { term, index, kind: EntryKind::Command, data }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelGroup {
    replica: ReplicaId,
    asset: Bytes,
    hard_state: HardState,
    base: Option<Base>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) groups: BTreeMap<GroupId, ModelGroup>,
    created: u64,
}

impl Model {
    /// What a recovery found; `None` if it reports damage.
    pub(super) fn recovered(recovery: &Recovery, created: u64) -> Option<Self> {
        let hurt = recovery.groups.values().any(|group| group.damage.is_some());
        let groups = Self::whole_groups(recovery);
        (!hurt && recovery.lost.is_empty()).then_some(Self { groups, created })
    }

    /// The groups without damage.
    pub(super) fn whole_groups(recovery: &Recovery) -> BTreeMap<GroupId, ModelGroup> {
        let whole = recovery.groups.iter().filter(|(_, group)| group.damage.is_none());
        whole.map(|(id, group)| (*id, ModelGroup::of(group))).collect()
    }

    pub(super) fn created(&self) -> u64 {
        self.created
    }

    /// One random change of one of `groups` groups, here and in the batch.
    pub(super) fn step(&mut self, random: &mut Seeded, groups: u64, batch: &mut WalBatch) {
        let id = GroupId(1 + random.below(groups));
        let Some(group) = self.groups.get_mut(&id) else {
            self.created += 1;
            let replica = ReplicaId(self.created);
            let asset = Bytes::from(format!("asset of {replica}"));
            batch.create(id, replica, 1, asset.clone()).unwrap();
            let (hard_state, base, entries) = (HardState::default(), None, Vec::new());
            self.groups.insert(id, ModelGroup { replica, asset, hard_state, base, entries });
            return;
        };
        match random.below(16) {
            0 => {
                batch.destroy(id, group.replica);
                self.groups.remove(&id);
            }
            1..3 => {
                group.hard_state.term += 1;
                group.hard_state.vote = ReplicaId(random.below(3));
                batch.hard_state(id, group.replica, group.hard_state);
            }
            3..7 if group.last() > 0 => group.base(id, random, batch),
            _ => group.append(id, random, batch),
        }
    }
}

impl ModelGroup {
    fn of(group: &RecoveredGroup) -> Self {
        Self {
            replica: group.replica,
            asset: group.asset.clone(),
            hard_state: group.hard_state,
            base: group.base.clone(),
            entries: group.entries.clone(),
        }
    }

    /// In one line, for a failed test.
    pub(super) fn brief(&self) -> String {
        let entries: Vec<_> =
            self.entries.iter().map(|e| (e.index, e.term, e.data.len())).collect();
        let base = self.base.as_ref().map(|base| (base.index, base.term));
        format!("{} {:?} base {base:?} entries {entries:?}", self.replica, self.hard_state)
    }

    /// Equal to `expected`, except that entries which the base contains may be lost: nobody needs them but slow peers.
    pub(super) fn is_whole(&self, expected: &Self) -> bool {
        let mut trimmed = expected.clone();
        let first = self.entries.first().map_or(self.base_index() + 1, |entry| entry.index);
        let first = first.min(expected.base_index() + 1);
        trimmed.entries.retain(|entry| entry.index >= first);
        *self == trimmed
    }

    /// Every needed entry is there, right, or reported as missing. Only for a log without a hole.
    pub(super) fn check_damaged(&self, found: &RecoveredGroup) {
        let damage = found.damage.clone().unwrap_or_default();
        assert_eq!((found.replica, found.hard_state), (self.replica, self.hard_state));
        assert!(!damage.lost_hard_state && !damage.unknown_end, "{damage:?}");
        assert!(found.base == self.base || damage.lost_base.is_some());
        for entry in self.entries.iter().filter(|entry| entry.index > self.base_index()) {
            let there = found.entries.iter().chain(&damage.beyond).any(|e| e == entry);
            let missing = damage.missing.iter().any(|m| {
                (m.from..=m.to).contains(&entry.index)
                    && m.identity.is_none_or(|i| i.matches(entry))
            });
            assert!(there != missing, "entry {}: {damage:?}", entry.index);
        }
        let made_up = |entry: &&Entry| !self.entries.contains(entry);
        assert_eq!(found.entries.iter().chain(&damage.beyond).find(made_up), None);
    }

    fn base_index(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.index)
    }

    fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.index).max(self.base_index())
    }

    fn append(&mut self, id: GroupId, random: &mut Seeded, batch: &mut WalBatch) {
        let uncommitted = self.last() - self.base_index();
        let from = self.last() + 1 - random.below(uncommitted.min(3) + 1);
        self.entries.retain(|entry| entry.index < from);
        let term = self.hard_state.term;
        let added: Vec<_> = (from..=from + random.below(3))
            .map(|index| {
                let len = usize::try_from(random.below(6000)).unwrap();
                let data = Bytes::from(vec![u8::try_from(index % 251).unwrap(); len]);
                Entry { term, index, kind: EntryKind::Command, data }
            })
            .collect();
        batch.entries(id, self.replica, &added).unwrap();
        self.entries.extend(added);
    }

    fn base(&mut self, id: GroupId, random: &mut Seeded, batch: &mut WalBatch) {
        let jump = if random.one_in(5) { 10 } else { 0 };
        let ahead = self.last() - self.base_index();
        let index = (self.base_index() + random.below(ahead + 1) + jump).max(1);
        // As in Raft, bases at one index are equal: losing the second of two loses nothing.
        let state = Bytes::from(vec![7; usize::try_from(index * 997 % 5000).unwrap()]);
        let base = Base { index, term: index / 3, state, ..Base::default() };
        let entries_from = (index + 1).saturating_sub(random.below(4));
        let jumped = index > self.last();
        self.entries.retain(|entry| !jumped && entry.index >= entries_from);
        self.base = Some(base.clone());
        let record = BaseRecord {
            group: id,
            replica: self.replica,
            incarnation: 1,
            asset: &self.asset,
            hard_state: self.hard_state,
            base: &base,
            entries_from,
        };
        batch.base(&record).unwrap();
    }
}
