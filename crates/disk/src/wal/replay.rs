//! From a sequence of batches to what is live in each group, by tables alone: no body is read here.

use std::collections::BTreeMap;

use flotilla_raft::{GroupId, HardState, ReplicaId};

use super::format::{Descriptor, RecordKind};
use super::scan::{LostRange, Step};

/// Where a record's body is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) generation: u64,
    /// `None` if the batch's own place is not known.
    pub(super) offset: Option<u64>,
    pub(super) descriptor: Descriptor,
}

/// What is live of one group.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) replica: ReplicaId,
    /// The last create or base.
    pub(super) root: Option<Place>,
    /// `None` if a later one may have been lost.
    pub(super) hard_state: Option<HardState>,
    /// Ascending by index, perhaps with gaps.
    pub(super) entries: Vec<Place>,
    /// Entries below may have been replaced by lost ones.
    pub(super) doubtful_below: u64,
    /// There may be lost records behind the last known one.
    pub(super) open_end: bool,
    /// It was set aside, and nothing came behind that.
    pub(super) aside: bool,
    chain: Option<u64>,
}

impl Live {
    fn new(replica: ReplicaId) -> Self {
        Self {
            replica,
            root: None,
            hard_state: None,
            entries: Vec::new(),
            doubtful_below: 0,
            open_end: false,
            aside: false,
            chain: None,
        }
    }

    /// The index that the base contains; 0 without one.
    pub(super) fn base_index(&self) -> u64 {
        self.root.map_or(0, |root| root.descriptor.index)
    }

    fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.descriptor.index).max(self.base_index())
    }

    fn record(&mut self, place: Place) {
        let descriptor = place.descriptor;
        self.check_chain(&descriptor);
        match descriptor.kind {
            RecordKind::Entry => self.entry(place),
            RecordKind::HardState => {
                let Descriptor { term, index: commit, extra, .. } = descriptor;
                self.hard_state = Some(HardState { term, vote: ReplicaId(extra), commit });
            }
            RecordKind::Create => {
                self.root = Some(place);
                self.hard_state = Some(HardState::default());
            }
            RecordKind::Base => self.base(place),
            RecordKind::Aside => {
                let (replica, chain) = (self.replica, self.chain);
                let hard_state = Some(HardState::default());
                *self = Self { aside: true, hard_state, chain, ..Self::new(replica) };
            }
            RecordKind::Destroy | RecordKind::Turn => {}
        }
    }

    fn check_chain(&mut self, descriptor: &Descriptor) {
        let broken = self.chain.is_some_and(|before| descriptor.link(before) != descriptor.chain);
        if broken {
            self.hard_state = None;
            // Entries may be lost that would come behind the known ones, also behind a base that keeps them; only
            // an entry says where the log went on.
            self.doubtful_below = u64::MAX;
        }
        self.chain = Some(descriptor.chain);
        self.open_end = false;
    }

    fn entry(&mut self, place: Place) {
        let index = place.descriptor.index;
        let keep = self.entries.partition_point(|entry| entry.descriptor.index < index);
        self.entries.truncate(keep);
        self.entries.push(place);
        self.doubtful_below = self.doubtful_below.min(index);
    }

    fn base(&mut self, place: Place) {
        let Descriptor { index, extra: entries_from, .. } = place.descriptor;
        self.aside = false;
        if index > self.last() {
            self.entries.clear();
        }
        self.entries.retain(|entry| entry.descriptor.index >= entries_from);
        self.root = Some(place);
    }
}

/// All groups, and the ranges of the log that are gone.
#[derive(Debug, Default)]
pub(super) struct Replay {
    pub(super) groups: BTreeMap<GroupId, Live>,
    pub(super) lost: Vec<LostRange>,
}

impl Replay {
    pub(super) fn run(steps: &[Step]) -> Self {
        let mut replay = Self::default();
        for step in steps {
            match step {
                Step::Hole(range) => replay.hole(*range),
                Step::Batch { generation, offset, head } => {
                    let mut body = offset.map(|offset| offset + head.bodies_at());
                    for descriptor in &head.table {
                        let (generation, offset) = (*generation, body);
                        body = body.map(|at| at + u64::from(descriptor.length));
                        replay.record(Place { generation, offset, descriptor: *descriptor });
                    }
                }
            }
        }
        replay
    }

    /// What follows must prove, group by group, that nothing of it was in here.
    fn hole(&mut self, range: LostRange) {
        self.lost.push(range);
        self.groups.values_mut().for_each(|live| live.open_end = true);
    }

    fn record(&mut self, place: Place) {
        let Descriptor { group, replica, kind, .. } = place.descriptor;
        match kind {
            RecordKind::Turn => return,
            RecordKind::Destroy => {
                self.groups.remove(&group);
                return;
            }
            RecordKind::Create => {
                self.groups.remove(&group);
            }
            _ if self.groups.get(&group).is_some_and(|live| live.replica != replica) => {
                // Its create is in a hole.
                self.groups.remove(&group);
            }
            _ => {}
        }
        // The first one known of a group, and not its create: what came before may be in a hole.
        let in_doubt = !self.lost.is_empty() && kind != RecordKind::Create;
        let doubtful_below = if in_doubt { u64::MAX } else { 0 };
        let fresh = || Live { doubtful_below, ..Live::new(replica) };
        self.groups.entry(group).or_insert_with(fresh).record(place);
    }
}
