//! What groups and stores report back.

use flotilla_raft::{GroupId, ReplicaId, StoreId};

use super::{AssetChange, Delta, Meta, Reply};
use crate::asset::Reported;
use crate::error::{MetaError, Stale};

impl Meta {
    /// A report from a leader that worked towards an older epoch is refused: it may come from
    /// before a replica was added, and would read as if that replica were out.
    pub(super) fn report_members(
        &mut self,
        id: GroupId,
        mut report: Reported,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let last = self.last_replica;
        let group = self.group_mut(id).ok_or(Stale::NoGroup(id))?;
        if report.epoch != group.epoch {
            let (epoch, planned) = (group.epoch, report.epoch);
            return Err(Stale::Epoch { group: id, epoch, planned }.into());
        }
        if let Some(replica) = report.membership.all().find(|r| *r > last || *r == ReplicaId::NONE)
        {
            return Err(Stale::NoSeat { group: id, replica }.into());
        }
        let taking_part: Vec<_> = report.membership.all().collect();
        report.membership.stores.retain(|replica, _| taking_part.contains(replica));
        // The same report again, or one that was overtaken by a later one.
        if report.index < group.actual.index || report == group.actual {
            return Ok(Reply::Done);
        }
        let mut holders = group.holders();
        group.actual = report;
        holders.append(&mut group.holders());
        if let Some(name) = self.name_of(id).cloned() {
            deltas.push(Delta::asset(AssetChange::Reported, id, name, holders.values()));
        }
        Ok(Reply::Done)
    }

    /// Confirmations may repeat and may come late: what is not waited for is ignored.
    pub(super) fn confirm_destroyed(
        &mut self,
        store: StoreId,
        replicas: &[(GroupId, ReplicaId)],
        deltas: &mut Vec<Delta>,
    ) -> Reply {
        for &(id, replica) in replicas {
            deltas.push(Delta::Confirmed { group: id, store });
            if let Some(tombstone) = self.tombstones.get_mut(&id) {
                tombstone.holders.retain(|r, s| (*r, *s) != (replica, store));
                if tombstone.holders.is_empty() {
                    self.tombstones.remove(&id);
                }
            } else if let Some(group) = self.group_mut(id)
                && group.excludes(replica)
            {
                group.former.retain(|m| (m.replica, m.store) != (replica, store));
            }
        }
        Reply::Done
    }
}
