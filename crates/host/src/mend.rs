//! What is left of a damaged replica, and how pieces of its peers make it whole again.
//!
//! The replica takes no part in its group meanwhile: it may have acknowledged what it has lost. It comes back under its id,
//! and that is safe because it comes back as what it was: its vote, and the log up to the end that it had, entry by entry.
//! That a peer's entry is the lost one follows from the term at its index, or at an index behind it (the log matching
//! property, Raft 5.3): there is one entry to an index and a term, and equal entries have equal entries before them. Where a
//! peer's state at an index takes the place of what led to it, it is committed, and so no less than what was lost.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_disk::{Damage, EntryIdentity, LostBase, MissingEntries, RecoveredGroup};
use flotilla_raft::{Base, Entry, HardState, ReplicaId, Start};
use serde::{Deserialize, Serialize};

/// An index and the term of the entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// The index.
    pub index: u64,
    /// The term.
    pub term: u64,
}

/// A part of a replica that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Its state: any committed one will do.
    State,
    /// Entries of its log.
    Entries {
        /// The first one.
        from: u64,
        /// The last one.
        to: u64,
        /// Only a log that has this entry, which is the last of them or comes behind, has the lost ones.
        proof: At,
    },
    /// A segment of a stream.
    Segment {
        /// A sequence that it holds.
        seq: u64,
        /// How far it must go, unless it ends before.
        through: u64,
    },
}

/// A damaged replica, as far as it is there.
#[derive(Clone, Debug)]
pub(crate) struct Fragments {
    pub(crate) replica: ReplicaId,
    /// 0 if it is lost.
    pub(crate) incarnation: u64,
    /// Empty if it is lost.
    pub(crate) asset: Bytes,
    hard_state: HardState,
    base: Option<Base>,
    /// Where the state was that is lost.
    lost_base: Option<LostBase>,
    /// A state that is good, while another one is tried: segments that belong to it are missing, and nobody gives them.
    doubted: Option<Base>,
    entries: BTreeMap<u64, Entry>,
    /// The terms of entries that are lost, as far as they are known, and what else is known of them.
    lost: BTreeMap<u64, (u64, Option<EntryIdentity>)>,
    /// Where the log ends.
    last: u64,
    /// Whether the log on disk is not what this is.
    changed: bool,
}

/// A replica that is whole again, and how the log calls it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whole {
    pub(crate) incarnation: u64,
    pub(crate) asset: Bytes,
    pub(crate) base: Base,
    pub(crate) hard_state: HardState,
    pub(crate) entries: Vec<Entry>,
}

impl Whole {
    pub(crate) fn start(&self) -> Start {
        let Self { base, hard_state, entries, .. } = self.clone();
        Start { base, hard_state, entries }
    }
}

impl Fragments {
    /// What the log gave back of a replica. `None` when its vote or the end of its log is lost: nobody can tell what it
    /// promised, and it does not come back under its id.
    pub(crate) fn of(group: RecoveredGroup, founding: Option<Base>) -> Option<Self> {
        let RecoveredGroup {
            replica, incarnation, asset, hard_state, base, entries, damage, ..
        } = group;
        let damage = damage.unwrap_or_default();
        if damage.lost_hard_state || damage.unknown_end {
            return None;
        }
        let named_base = damage.lost_base.map(|lost| (lost.index, (lost.term, None)));
        let missing = damage.missing.iter().filter_map(|missing| {
            let identity = missing.identity?;
            Some((missing.from, (identity.term, Some(identity))))
        });
        let mut lost: BTreeMap<_, _> = missing.chain(named_base).collect();
        lost.remove(&0);
        let entries: BTreeMap<u64, Entry> =
            entries.into_iter().chain(damage.beyond).map(|entry| (entry.index, entry)).collect();
        let base = if damage.lost_base.is_some() { None } else { base.or(founding) };
        let ends = damage.missing.iter().map(|missing| missing.to);
        let ends = ends.chain(entries.keys().next_back().copied()).chain(lost.keys().copied());
        let last = ends.chain(base.as_ref().map(|base| base.index)).max().unwrap_or(0);
        let changed = damage.lost_base.is_some() || !damage.missing.is_empty();
        let mut fragments = Self {
            replica,
            incarnation,
            asset,
            hard_state,
            base: None,
            lost_base: damage.lost_base,
            doubted: None,
            entries,
            lost,
            last,
            changed,
        };
        if let Some(base) = base {
            fragments.begin_at(base, true);
        }
        Some(fragments)
    }

    /// What is to be fetched next; nothing when the log is whole.
    pub(crate) fn lacks(&self) -> Option<Part> {
        let Some(base) = &self.base else { return Some(Part::State) };
        let from = (base.index + 1..=self.last).find(|index| !self.entries.contains_key(index))?;
        // The range ends where something is known that proves it.
        let next = self.entries.range(from..).next().map(|(index, entry)| (*index, entry.term));
        let known = self.lost.range(from..).next().map(|(index, (term, _))| (*index, *term));
        let (index, term) = [known, next].into_iter().flatten().min()?;
        let behind = next.is_some_and(|(n, _)| n == index);
        let to = if behind { index - 1 } else { index };
        Some(Part::Entries { from, to, proof: At { index, term } })
    }

    /// Whether the log on disk has to be written anew.
    pub(crate) fn has_changed(&self) -> bool {
        self.changed
    }

    /// What this is stands in the log.
    pub(crate) fn written(&mut self) {
        self.lost_base = None;
        self.changed = false;
    }

    /// The state of this replica is of no use: a peer's is needed.
    pub(crate) fn forget_state(&mut self) {
        if let Some(Base { index, term, .. }) = self.base.take() {
            self.lost_base = Some(LostBase { index, term });
            if index > 0 {
                self.lost.insert(index, (term, None));
            }
        }
        self.changed = true;
    }

    /// Tries to find another state: one that is older, perhaps, and whose segments somebody has.
    pub(crate) fn doubt_state(&mut self) {
        self.doubted.clone_from(&self.base);
        let changed = self.changed;
        self.forget_state();
        self.changed = changed;
    }

    /// Nobody gave another one. Returns whether there was one before.
    pub(crate) fn recall_state(&mut self) -> bool {
        if self.base.is_none() && self.doubted.is_some() {
            self.base = self.doubted.take();
            self.lost_base = None;
            return true;
        }
        false
    }

    /// The log on disk does not have it any more.
    pub(crate) fn is_elsewhere(&mut self) {
        self.changed = true;
    }

    /// What is there and what is lost, as the log would give it back.
    pub(crate) fn remains(&self) -> RecoveredGroup {
        let named = self.lost.iter().filter(|(_, (_, identity))| identity.is_some());
        let mut missing: BTreeMap<u64, Option<EntryIdentity>> =
            named.map(|(index, (_, identity))| (*index, *identity)).collect();
        // A peer's state counts once it is written: what is known of the lost one proves what may still be missing.
        let own = self.base.as_ref().filter(|_| self.lost_base.is_none());
        let base = own.or(self.doubted.as_ref());
        if let Some(base) = base {
            let gaps = (base.index + 1..=self.last).filter(|i| !self.entries.contains_key(i));
            gaps.for_each(|index| {
                missing.entry(index).or_default();
            });
        }
        let missing = missing.into_iter();
        let missing = missing.map(|(at, identity)| MissingEntries { from: at, to: at, identity });
        let lost_base = if base.is_some() { None } else { self.lost_base };
        let damage = Damage { missing: missing.collect(), lost_base, ..Damage::default() };
        RecoveredGroup {
            replica: self.replica,
            incarnation: self.incarnation,
            asset: self.asset.clone(),
            hard_state: self.hard_state,
            base: base.cloned(),
            entries: self.entries.values().cloned().collect(),
            damage: (damage != Damage::default()).then_some(damage),
            aside: false,
        }
    }

    /// Takes a peer's state, and what the log calls the replica if that is lost. What the log holds behind it stays, if it
    /// is of the same history.
    pub(crate) fn take_state(&mut self, base: Base, incarnation: u64, asset: &Bytes) {
        self.doubted = None;
        if self.asset.is_empty() {
            (self.incarnation, self.asset) = (incarnation, asset.clone());
        }
        self.changed = true;
        self.begin_at(base, false);
    }

    /// `ours` says that what stands behind the base in the log is known to belong there.
    fn begin_at(&mut self, base: Base, ours: bool) {
        let known = self.entries.get(&base.index).map(|entry| entry.term);
        let known = known.or_else(|| self.lost.get(&base.index).map(|(term, _)| *term));
        let other = base.index > 0 && known.is_some_and(|term| term != base.term);
        if other || base.index >= self.last {
            // Committed, and not what stands here: what follows was never committed.
            self.entries.clear();
            self.lost.clear();
            self.last = base.index;
        }
        self.entries = self.entries.split_off(&(base.index + 1));
        self.lost = self.lost.split_off(&(base.index + 1));
        // Whether the entry behind belongs to this state is not known: a peer that has both tells.
        let proven = ours || known.is_some() || base.index == 0;
        if !proven && let Some(next) = self.entries.remove(&(base.index + 1)) {
            self.lost.insert(next.index, (next.term, Some(EntryIdentity::of(&next))));
        }
        self.base = Some(base);
    }

    /// Takes entries that a peer's log has, which has `proof` as well. Returns whether they were of use.
    pub(crate) fn take_entries(&mut self, proof: At, entries: Vec<Entry>) -> bool {
        let Some(Part::Entries { from, to, proof: wanted }) = self.lacks() else { return false };
        if proof != wanted || entries.first().is_none_or(|first| first.index != from) {
            return false;
        }
        for (index, entry) in (from..=to).zip(entries) {
            let known = self.lost.get(&index).and_then(|(_, identity)| identity.as_ref());
            if entry.index != index || known.is_some_and(|identity| !identity.matches(&entry)) {
                return false;
            }
            self.lost.remove(&index);
            self.entries.insert(index, entry);
        }
        true
    }

    /// The replica, if nothing of its log is lost any more.
    pub(crate) fn whole(&self) -> Option<Whole> {
        let base = self.base.clone().filter(|_| self.lacks().is_none())?;
        let last_term = self.entries.values().next_back().map_or(base.term, |last| last.term);
        let hard_state = if self.hard_state.term < last_term {
            // A state from a later term: in that one this replica has not voted.
            HardState { term: last_term, vote: ReplicaId::NONE, ..self.hard_state }
        } else {
            self.hard_state
        };
        Some(Whole {
            incarnation: self.incarnation,
            asset: self.asset.clone(),
            base,
            hard_state,
            entries: self.entries.values().cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests;
