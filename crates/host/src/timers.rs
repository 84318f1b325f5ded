//! When groups want to be looked at: one time for each.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_raft::GroupId;

/// The times.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(u64, GroupId)>,
    of: BTreeMap<GroupId, u64>,
}

impl Timers {
    /// From now on `group` wants to be looked at then; what it wanted before is forgotten.
    pub(crate) fn set(&mut self, group: GroupId, at: u64) {
        if let Some(before) = self.of.insert(group, at) {
            self.by_time.remove(&(before, group));
        }
        self.by_time.insert((at, group));
    }

    /// The earliest time.
    pub(crate) fn first(&self) -> Option<u64> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out a group whose time has come.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<GroupId> {
        let due = *self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&due);
        self.of.remove(&due.1);
        Some(due.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_group_counts() {
        let mut timers = Timers::default();
        timers.set(GroupId(1), 10);
        timers.set(GroupId(2), 5);
        timers.set(GroupId(1), 3);
        assert_eq!(timers.first(), Some(3));
        assert_eq!(timers.pop_due(4), Some(GroupId(1)));
        assert_eq!(timers.pop_due(4), None);
        assert_eq!(timers.pop_due(10), Some(GroupId(2)));
        assert_eq!(timers.first(), None);
    }
}
