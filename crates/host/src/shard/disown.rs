//! A log that ends before what its store once said is on stable storage: a disk that was rolled back to an older image, or
//! that lied about its syncs. Nothing on it says so. Its peers do, which remember how far it was ([`Detector`]), and listen
//! to nobody whose log ends before.
//!
//! What is in such a log may lack votes and entries that were acknowledged. So no replica in it takes part any more, but one
//! that votes alone, whom nobody else relies on: they are lost, as with a damaged log, and meta gives their seats to others.
//!
//! [`Detector`]: crate::Detector

use flotilla_disk::{Damage, RecoveredGroup, Recovery, StoreRecord, Wal};
use flotilla_raft::{EntryKind, ReplicaId, StoreId};

use super::Shard;
use crate::asset::AssetRecord;
use crate::liveness::Behind;
use crate::notice::Notice;

/// Why a replica of such a log is lost.
pub(super) const DISOWNED: &str = "its log was behind what this store had told its peers";

/// All replicas in the log, also those that this life created: it may have had them before. The next life puts the highest
/// one that it finds there in its place.
pub(super) const WHOLE_LOG: ReplicaId = ReplicaId(u64::MAX);

/// Where the log of a store ends, as it tells its peers. `None` if the store knows itself that its log is not what it was:
/// it has drawn its conclusions.
#[must_use]
pub fn log_end(record: &StoreRecord, recovery: &Recovery, wal: &Wal) -> Option<u64> {
    let unknown = |group: &RecoveredGroup| group.damage.as_ref().is_some_and(|d| d.unknown_end);
    let lost = recovery.fresh && record.cluster_id.is_some() || !recovery.lost.is_empty();
    let known = !lost && !record.forgetful && !recovery.groups.values().any(unknown);
    known.then(|| wal.synced())
}

impl Shard {
    /// A peer remembers more of this log than is in it. That is kept for the next life, and this one ends.
    pub(super) fn disown(&mut self, by: StoreId, behind: Behind) {
        let kept = self.update_store(|record| {
            record.forgetful = true;
            record.disowned = WHOLE_LOG;
        });
        let Behind { end, known } = behind;
        let what = format!(
            "the log ended at {end} when it was opened, and this store had told store {:016x} that it was at {known}: the \
             disk was rolled back, or lost what it had synced",
            by.0
        );
        match kept {
            Ok(()) => {
                self.cx.out.fatal = Some(format!(
                    "{what}; start the server again: it takes the replicas in this log for lost then, and gets others"
                ));
            }
            Err(error) => {
                let text = format!("{what}; the store file cannot be written: {error}");
                self.cx.notice(Notice::Text(text));
            }
        }
    }
}

/// Marks those as lost that are not what they were; what is set aside of others is looked at when it is taken up.
pub(super) fn disown_all(recovery: &mut Recovery, through: ReplicaId) {
    let others_rely = |group: &&mut RecoveredGroup| {
        group.replica <= through && !group.aside && !votes_alone(group)
    };
    for group in recovery.groups.values_mut().filter(others_rely) {
        let damage = group.damage.get_or_insert_with(Damage::default);
        (damage.lost_hard_state, damage.unknown_end) = (true, true);
    }
}

fn votes_alone(group: &RecoveredGroup) -> bool {
    let founding = || AssetRecord::decode(&group.asset).map(|record| record.founding);
    let membership = match &group.base {
        Some(base) => base.membership.clone(),
        None => founding().unwrap_or_default(),
    };
    let changes = group.entries.iter().any(|entry| entry.kind == EntryKind::Change);
    !changes && !membership.is_joint() && membership.voters == [group.replica]
}
