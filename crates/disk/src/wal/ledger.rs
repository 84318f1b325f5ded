//! Which records are live, and so which files the log still needs.
//!
//! A file may be given up when no group has a live record in it or in an older one. Superseding records lie
//! behind what they supersede and files go oldest first, so what is left is always a suffix of the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use flotilla_raft::{GroupId, ReplicaId};

use super::format::{Descriptor, RecordKind};

/// A group that keeps old files from being reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The group.
    pub group: GroupId,
    /// Its replica here.
    pub replica: ReplicaId,
    /// At most this many bytes of its entries are in those files: little is moved forward, much is flushed.
    pub bytes: u64,
}

/// Entries of one group in one file: from `from` up to the next run.
#[derive(Debug)]
struct Run {
    from: u64,
    generation: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Track {
    replica: ReplicaId,
    chain: u64,
    /// Where the create or the base is.
    root: u64,
    hard_state: Option<u64>,
    runs: VecDeque<Run>,
    last: u64,
    /// The oldest of all these: what `pins` has it under.
    oldest: u64,
}

/// The live records of all groups.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    groups: BTreeMap<GroupId, Track>,
    pins: BTreeMap<u64, BTreeSet<GroupId>>,
    /// Replicas whose vote or end of log is lost: nothing may be added that would make them look whole.
    condemned: BTreeSet<GroupId>,
}

impl Ledger {
    /// Says why these records must not be written, in which case none is.
    pub(super) fn refuses<'a>(
        &self,
        records: impl Iterator<Item = &'a (Descriptor, Bytes)>,
    ) -> Option<(GroupId, &'static str)> {
        // What the records before have made of a group: its replica and last index, or nothing.
        let mut seen: BTreeMap<GroupId, Option<(ReplicaId, u64)>> = BTreeMap::new();
        for (descriptor, _) in records {
            let Descriptor { group, replica, index, kind, .. } = *descriptor;
            let known = || self.groups.get(&group).map(|track| (track.replica, track.last));
            let state = seen.entry(group).or_insert_with(known);
            let same = state.is_some_and(|(live, _)| Some(live) == known().map(|(first, _)| first));
            // What is set aside does not look whole by it.
            let ends = matches!(kind, RecordKind::Create | RecordKind::Destroy | RecordKind::Aside);
            if same && !ends && self.condemned.contains(&group) {
                return Some((group, "its vote or the end of its log is lost; it needs a new id"));
            }
            *state = match (kind, *state) {
                (RecordKind::Create, Some((live, _))) if live == replica => {
                    return Some((group, "the replica exists already"));
                }
                (RecordKind::Create, _) => Some((replica, 0)),
                (_, None) => return Some((group, "it was not created here")),
                (_, Some((live, _))) if live != replica => {
                    return Some((group, "it has another replica here"));
                }
                (RecordKind::Entry, Some((_, last)))
                    if index == 0 || index > last.saturating_add(1) =>
                {
                    return Some((group, "the entry would leave a gap behind the last one"));
                }
                (RecordKind::Entry, _) => Some((replica, index)),
                (RecordKind::Base, Some((_, last))) => Some((replica, last.max(index))),
                (RecordKind::Aside, _) => Some((replica, 0)),
                (RecordKind::Destroy, _) => None,
                (RecordKind::HardState | RecordKind::Turn, state) => state,
            };
        }
        None
    }

    /// From now on the group's replica can only be destroyed, or replaced by a new one. Until then it needs the log
    /// from `start` on, so that the next recovery finds the same damage.
    pub(super) fn condemn(&mut self, group: GroupId, start: u64) {
        self.condemned.insert(group);
        if let Some(track) = self.groups.get_mut(&group) {
            let before = std::mem::replace(&mut track.oldest, start);
            self.move_pin(group, Some(before), Some(start));
        }
    }

    /// The chain value for the group's next record.
    pub(super) fn link(&self, descriptor: &Descriptor) -> u64 {
        let before = match descriptor.kind {
            RecordKind::Create => 0,
            _ => self.groups.get(&descriptor.group).map_or(0, |track| track.chain),
        };
        descriptor.link(before)
    }

    /// Takes note of a record that stands in the file `generation`.
    pub(super) fn record(&mut self, generation: u64, descriptor: &Descriptor) {
        let group = descriptor.group;
        if descriptor.kind == RecordKind::Turn {
            return;
        }
        let before = self.groups.get(&group).map(|track| track.oldest);
        let fresh = || Track::new(descriptor.replica, generation);
        match descriptor.kind {
            RecordKind::Destroy => {
                self.groups.remove(&group);
                self.condemned.remove(&group);
            }
            RecordKind::Create => {
                self.groups.insert(group, fresh());
                self.condemned.remove(&group);
            }
            _ => {}
        }
        let after = if descriptor.kind == RecordKind::Destroy {
            None
        } else {
            let track = self.groups.entry(group).or_insert_with(fresh);
            if track.replica != descriptor.replica {
                // Only in a damaged log: the create of this replica is lost.
                *track = fresh();
            }
            track.record(generation, descriptor);
            Some(track.oldest)
        };
        self.move_pin(group, before, after);
    }

    /// The oldest file that is needed.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.pins.first_key_value().map(|(generation, _)| *generation)
    }

    /// The groups that need a file older than `generation`, those with the oldest first.
    pub(super) fn pins_below(&self, generation: u64) -> Vec<Pin> {
        let groups = self.pins.range(..generation).flat_map(|(_, groups)| groups);
        let tracks = groups.filter_map(|group| Some((*group, self.groups.get(group)?)));
        tracks
            .map(|(group, track)| {
                let runs = track.runs.iter().take_while(|run| run.generation < generation);
                Pin { group, replica: track.replica, bytes: runs.map(|run| run.bytes).sum() }
            })
            .collect()
    }

    fn move_pin(&mut self, group: GroupId, before: Option<u64>, after: Option<u64>) {
        if before == after {
            return;
        }
        if let Some(old) = before
            && let Some(groups) = self.pins.get_mut(&old)
        {
            groups.remove(&group);
            if groups.is_empty() {
                self.pins.remove(&old);
            }
        }
        if let Some(new) = after {
            self.pins.entry(new).or_default().insert(group);
        }
    }
}

impl Track {
    fn new(replica: ReplicaId, root: u64) -> Self {
        let runs = VecDeque::new();
        Self { replica, chain: 0, root, hard_state: None, runs, last: 0, oldest: root }
    }

    fn record(&mut self, generation: u64, descriptor: &Descriptor) {
        self.chain = descriptor.chain;
        match descriptor.kind {
            RecordKind::Entry => self.entry(generation, descriptor),
            RecordKind::HardState => self.hard_state = Some(generation),
            RecordKind::Base => self.base(generation, descriptor.index, descriptor.extra),
            RecordKind::Aside => {
                self.runs.clear();
                (self.root, self.hard_state, self.last) = (generation, None, 0);
            }
            RecordKind::Create | RecordKind::Destroy | RecordKind::Turn => {}
        }
        let front = self.runs.front().map(|run| run.generation);
        let lowest = [self.hard_state, front].into_iter().flatten().fold(self.root, u64::min);
        self.oldest = lowest;
    }

    fn entry(&mut self, generation: u64, descriptor: &Descriptor) {
        let bytes = u64::from(descriptor.length);
        while self.runs.back().is_some_and(|run| run.from >= descriptor.index) {
            self.runs.pop_back();
        }
        match self.runs.back_mut() {
            Some(run) if run.generation == generation => run.bytes += bytes,
            _ => self.runs.push_back(Run { from: descriptor.index, generation, bytes }),
        }
        self.last = descriptor.index;
    }

    fn base(&mut self, generation: u64, index: u64, entries_from: u64) {
        self.root = generation;
        if index > self.last {
            self.runs.clear();
            self.last = index;
        }
        // A run ends where the next one begins.
        while let Some(next) = self.runs.get(1).map(|run| run.from)
            && next <= entries_from
        {
            self.runs.pop_front();
        }
        if self.runs.len() == 1 && self.last < entries_from {
            self.runs.clear();
        }
    }
}
