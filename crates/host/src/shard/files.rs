//! What is at work on the files of streams, and what has to wait for it.

use std::collections::BTreeMap;

use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::GroupId;

/// Jobs on segments run on another thread, while the shard goes on. Under them no state of a peer's may move its files
/// in, and the files of a replica that is gone may not be removed: a job would write into what comes after it, and its
/// end would be taken for that of another job.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// How many jobs each group has under way.
    jobs: BTreeMap<GroupId, usize>,
    /// Groups whose replica here was destroyed, until its files are gone.
    leaving: BTreeMap<GroupId, Leaving>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// The end of the replica is on its way to stable storage.
    Ending,
    /// It is there.
    Ended,
    /// The files are being removed.
    Removing,
}

impl Files {
    pub(super) fn started(&mut self, group: GroupId) {
        *self.jobs.entry(group).or_default() += 1;
    }

    /// A job has ended. Returns whether it was the removal of all files, so that the group may come back.
    pub(super) fn finished(&mut self, group: GroupId) -> bool {
        if let Some(jobs) = self.jobs.get_mut(&group) {
            *jobs = jobs.saturating_sub(1);
            if *jobs == 0 {
                self.jobs.remove(&group);
            }
        }
        let removed = !self.is_busy(group) && self.leaving.get(&group) == Some(&Leaving::Removing);
        if removed {
            self.leaving.remove(&group);
        }
        removed
    }

    pub(super) fn is_busy(&self, group: GroupId) -> bool {
        self.jobs.contains_key(&group)
    }

    /// The group's replica is destroyed. Another one must not begin before its files are gone.
    pub(super) fn leave(&mut self, group: GroupId) {
        let early = is_on(Mutation::FilesRemovedBeforeEnd);
        self.leaving.insert(group, if early { Leaving::Ended } else { Leaving::Ending });
    }

    /// Files of a group that the log does not know. No file comes before the creation of its replica is in the log, and
    /// nothing but the replica's end takes it out of a log that lost nothing: they are left of a removal that was cut
    /// short.
    pub(super) fn left_behind(&mut self, group: GroupId) {
        self.leaving.insert(group, Leaving::Ended);
    }

    /// The end of the group's replica is on stable storage.
    pub(super) fn left(&mut self, group: GroupId) {
        if let Some(leaving) = self.leaving.get_mut(&group) {
            *leaving = Leaving::Ended;
        }
    }

    /// Whether files of a replica that was destroyed may still be there.
    pub(super) fn is_leaving(&self, group: GroupId) -> bool {
        self.leaving.contains_key(&group)
    }

    /// The groups whose files may be removed now, which begins.
    pub(super) fn take_removable(&mut self) -> Vec<GroupId> {
        let Self { jobs, leaving } = self;
        let free = leaving
            .iter_mut()
            .filter(|(group, leaving)| **leaving == Leaving::Ended && !jobs.contains_key(group));
        free.map(|(group, leaving)| {
            *leaving = Leaving::Removing;
            *group
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_when_the_end_is_durable_and_nothing_is_at_work_on_them() {
        let group = GroupId(7);
        let mut files = Files::default();
        files.started(group);
        files.started(group);
        files.leave(group);
        assert!(files.take_removable().is_empty(), "the end is not on stable storage");
        files.left(group);
        assert!(!files.finished(group));
        assert!(files.take_removable().is_empty(), "a job is under way");
        assert!(!files.finished(group));
        assert_eq!(files.take_removable(), [group]);
        files.started(group);
        assert!(files.take_removable().is_empty(), "once");
        assert!(files.is_leaving(group), "until they are gone");
        assert!(files.finished(group));
        assert!(!files.is_leaving(group) && !files.is_busy(group));
    }

    #[test]
    fn what_was_not_destroyed_leaves_nothing() {
        let mut files = Files::default();
        files.left(GroupId(7));
        assert!(files.take_removable().is_empty());
        assert!(!files.is_leaving(GroupId(7)));
    }
}
