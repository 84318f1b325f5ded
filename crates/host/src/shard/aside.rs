//! Replicas that take no part do not hold up the log: what it has of them is set aside.

use flotilla_disk::{RecoveredGroup, forget_aside, set_aside, take_aside};
use flotilla_raft::{GroupId, ReplicaId};

use super::disown::DISOWNED;
use super::{Left, Shard};
use crate::mend::Fragments;
use crate::notice::Notice;
use crate::turn::After;

impl Shard {
    /// Sets aside what is left of a replica: the log wants to let go of files that hold it, or something is to be known of it
    /// that the log does not say. Whether it is on its way to the log that this was done.
    pub(super) fn put_aside(&mut self, group: GroupId) -> bool {
        let disk = &*self.cx.disk;
        let (replica, kept) = if let Some(mending) = self.mending.get_mut(&group) {
            if mending.is_writing() {
                return false;
            }
            let (kept, fragments) = (mending.is_aside, &mut mending.fragments);
            let kept = if kept { Ok(()) } else { set_aside(disk, group, &fragments.remains()) };
            if kept.is_ok() {
                mending.is_aside = true;
                fragments.is_elsewhere();
            }
            (fragments.replica, kept)
        } else if let Some(ended) = self.ended.get_mut(&group) {
            let (kept, is_lost) = match &ended.left {
                Left::Known(remains) => {
                    let is_lost = remains.damage.as_ref().is_some_and(|d| d.lost_hard_state);
                    (set_aside(disk, group, remains), is_lost)
                }
                Left::Aside(_) => (Ok(()), false),
                Left::Nothing | Left::InLog(_) => return false,
            };
            if kept.is_ok() {
                ended.left = Left::Aside(ended.left.incarnation().unwrap_or_default());
                self.unkept.remove(&group);
                if is_lost && !ended.lost {
                    self.cx.after.push(After::Lost { group, replica: ended.replica });
                }
            }
            (ended.replica, kept)
        } else {
            return false;
        };
        match &kept {
            Ok(()) => self.cx.wal.aside(group, replica),
            Err(error) => {
                let text = format!("what is left of group {group} cannot be set aside: {error}");
                self.cx.notice(Notice::Text(text));
            }
        }
        kept.is_ok()
    }

    /// Takes up a replica that the log says was set aside: if it can, by writing it to the log again.
    pub(super) fn take_up_aside(&mut self, group: GroupId, replica: ReplicaId) {
        let remains = match take_aside(&*self.cx.disk, group, replica) {
            Ok(Some(remains)) => remains,
            Ok(None) => {
                let left = Left::Aside(0);
                return self.lose(group, replica, "what was set aside is gone", left);
            }
            Err(error) => return self.end_recovered(group, replica, 0, error.to_string()),
        };
        let reason = match &remains.damage {
            Some(damage) => damage.to_string(),
            None => "it had to be set aside".to_owned(),
        };
        let incarnation = remains.incarnation;
        if replica <= self.disowned {
            return self.lose(group, replica, DISOWNED, Left::Aside(incarnation));
        }
        match Fragments::of(remains, None) {
            Some(mut fragments) => {
                fragments.is_elsewhere();
                self.begin_mending(group, fragments, reason, true);
            }
            None => self.lose(group, replica, &reason, Left::Aside(incarnation)),
        }
    }
}

/// Removes what was set aside of replicas that the log does not have so.
pub(super) fn tidy(disk: &dyn flotilla_disk::Disk, recovered: &[(GroupId, ReplicaId)]) {
    // What is not removed now is at the next start.
    drop(forget_aside(disk, |group, replica| recovered.contains(&(group, replica))));
}

/// What a replica that ends now leaves.
pub(super) fn remains_of(
    replica: ReplicaId,
    (incarnation, asset): (u64, bytes::Bytes),
    raft: &flotilla_raft::Group,
    base: &flotilla_raft::Base,
) -> RecoveredGroup {
    RecoveredGroup {
        replica,
        incarnation,
        asset,
        hard_state: raft.hard_state(),
        base: Some(base.clone()),
        entries: raft.entries().filter(|entry| entry.index > base.index).collect(),
        damage: None,
        aside: false,
    }
}
