//! One file, and what a power loss may take back of it.

use std::io::IoSlice;

use super::contents::{Contents, Replaced};
use super::power::tear;
use crate::seeded::Seeded;

/// The contents are kept once, with what each change since the last sync replaced: a sync, which is what is done most,
/// then costs nothing.
#[derive(Default)]
pub(super) struct Inode {
    /// What the process reads.
    live: Contents,
    /// What was done to `live` since the last sync, in order. All of it undone gives what the platters hold.
    pending: Vec<Done>,
    /// What the platters hold, where undoing does not tell: after a failed sync, and damage.
    platters: Option<Contents>,
}

/// A change that was made, and what it replaced.
enum Done {
    Write { offset: usize, len: usize, replaced: Replaced },
    Truncate(Replaced),
}

/// A change that a power loss may drop in whole or in part.
enum Change {
    Write { offset: usize, data: Vec<u8> },
    Truncate(usize),
}

impl Inode {
    pub(super) fn live(&self) -> &Contents {
        &self.live
    }

    /// Writes the first `len` bytes of `parts`.
    pub(super) fn write(&mut self, offset: usize, parts: &[IoSlice<'_>], len: usize) {
        let replaced = self.live.replace(offset, parts, len);
        self.pending.push(Done::Write { offset, len, replaced });
    }

    pub(super) fn truncate(&mut self, len: usize) {
        let cut = self.live.cut(len);
        self.pending.push(Done::Truncate(cut));
    }

    /// Everything reaches the platters.
    pub(super) fn sync(&mut self) {
        let Some(platters) = &mut self.platters else { return self.pending.clear() };
        let changes = undo(&mut self.live.clone(), &self.pending);
        changes.iter().for_each(|change| change.apply(platters));
        self.pending.clear();
        self.platters.take_if(|platters| *platters == self.live);
    }

    /// After an EIO the kernel calls the pages clean: a later sync returns Ok and what was written is still not on the
    /// disk.
    pub(super) fn fail_sync(&mut self) {
        self.set_platters_apart();
        self.pending.clear();
    }

    /// Does something to what the process sees and to what the platters hold.
    pub(super) fn damage(&mut self, mut hurt: impl FnMut(&mut Vec<u8>) -> bool) -> bool {
        self.set_platters_apart();
        let mut hurt = |contents: &mut Contents| {
            let mut bytes = contents.range(0, contents.len());
            let hit = hurt(&mut bytes);
            *contents = bytes.into();
            hit
        };
        self.platters.as_mut().map(&mut hurt);
        hurt(&mut self.live)
    }

    /// What was not synced is kept, dropped, torn into sectors or kept without what was written before it.
    pub(super) fn lose_power(&mut self, random: &mut Seeded) {
        let changes = undo(&mut self.live, &self.pending);
        self.pending.clear();
        if let Some(platters) = self.platters.take() {
            self.live = platters;
        }
        for change in changes {
            match change {
                Change::Truncate(_) => {
                    if random.one_in(2) {
                        change.apply(&mut self.live);
                    }
                }
                Change::Write { offset, data } => tear(&mut self.live, offset, &data, random),
            }
        }
    }

    fn set_platters_apart(&mut self) {
        if self.platters.is_none() {
            let mut platters = self.live.clone();
            undo(&mut platters, &self.pending);
            self.platters = Some(platters);
        }
    }
}

/// Undoes what was done, and returns it in the order in which it was done.
fn undo(contents: &mut Contents, pending: &[Done]) -> Vec<Change> {
    let undone = pending.iter().rev().map(|done| done.undo(contents));
    let mut changes: Vec<Change> = undone.collect();
    changes.reverse();
    changes
}

impl Done {
    fn undo(&self, contents: &mut Contents) -> Change {
        let (change, replaced) = match self {
            Self::Write { offset, len, replaced } => {
                let (offset, data) = (*offset, contents.range(*offset, *len));
                (Change::Write { offset, data }, replaced)
            }
            Self::Truncate(replaced) => (Change::Truncate(contents.len()), replaced),
        };
        contents.put_back(replaced);
        change
    }
}

impl Change {
    fn apply(&self, contents: &mut Contents) {
        match self {
            Self::Write { offset, data } => contents.put(*offset, data),
            Self::Truncate(len) => contents.resize(*len),
        }
    }
}
