//! What meta knows and what the servers hold is the same, and nothing else is on their disks.

use std::collections::BTreeSet;

use super::{Final, Invariant, Seen};
use crate::history::History;

pub(super) struct MetaAndDisks;

impl Invariant for MetaAndDisks {
    fn name(&self) -> &'static str {
        "I10 meta and disks"
    }

    fn see(&mut self, _history: &History, seen: &Seen<'_>) -> Result<(), String> {
        let Seen::Final(end) = seen else { return Ok(()) };
        for (store, replicas) in &end.replicas {
            check_store(end, *store, replicas)?;
        }
        if let Some((group, _)) = end.meta.tombstones().first_key_value() {
            return Err(format!("the deletion of group {group} never comes to an end"));
        }
        Ok(())
    }
}

fn check_store(
    end: &Final,
    store: flotilla_raft::StoreId,
    replicas: &std::collections::BTreeMap<flotilla_raft::GroupId, flotilla_raft::ReplicaId>,
) -> Result<(), String> {
    let mut wanted = BTreeSet::new();
    // Who is to have a replica of those is still to be decided.
    wanted.extend(&end.beyond_repair);
    for (group, asset) in end.meta.groups() {
        let Some(member) = asset.group().member_on(store) else { continue };
        let whole = !end.beyond_repair.contains(&group);
        if whole && replicas.get(&group) != Some(&member.replica) {
            return Err(format!("{store} has no replica {} of group {group}", member.replica));
        }
        wanted.insert(group);
    }
    if let Some((group, replica)) =
        replicas.iter().find(|(g, _)| **g != flotilla_raft::GroupId::META && !wanted.contains(g))
    {
        return Err(format!("{store} has replica {replica} of group {group}, which nobody wants"));
    }
    let kept = end.kept.get(&store).into_iter().flatten();
    let folders: BTreeSet<String> =
        wanted.iter().chain(kept).map(|g| format!("{:016x}", g.0)).collect();
    let there = end.folders.get(&store).into_iter().flatten();
    match there.into_iter().find(|folder| !folders.contains(*folder)) {
        Some(folder) => Err(format!("{store} still has files of group {folder}")),
        None => Ok(()),
    }
}
