//! Who leads which group, as the leaders themselves tell all servers.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use flotilla_raft::{GroupId, StoreId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// What one server says about one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The group.
    pub group: GroupId,
    /// The term it was elected in.
    pub term: u64,
    /// Whether it leads, or ceased to.
    pub leads: bool,
}

/// The table. A claim of a later term wins; that a leader ceased holds only for its own term.
#[derive(Default)]
pub struct Leaders {
    table: RwLock<BTreeMap<GroupId, (u64, Option<StoreId>)>>,
    changes: watch::Sender<u64>,
}

impl Leaders {
    /// Takes what `store` says.
    pub fn claim(&self, store: StoreId, claim: Claim) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let entry = table.entry(claim.group).or_insert((0, None));
        let newer = claim.term > entry.0;
        if claim.leads && claim.term >= entry.0 {
            *entry = (claim.term, Some(store));
        } else if !claim.leads && (newer || entry.1 == Some(store)) {
            *entry = (claim.term.max(entry.0), None);
        }
        drop(table);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Forgets what a server led: it is dead, or about to say everything anew.
    pub fn forget(&self, store: StoreId) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for (_, leader) in table.values_mut().filter(|(_, leader)| *leader == Some(store)) {
            *leader = None;
        }
        drop(table);
        self.changes.send_modify(|n| *n += 1);
    }

    /// Who leads the group, as far as this server has heard.
    #[must_use]
    pub fn of(&self, group: GroupId) -> Option<StoreId> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(&group).and_then(|(_, leader)| *leader)
    }

    /// What `store` leads, to be told to a server that just came.
    #[must_use]
    pub fn claims_of(&self, store: StoreId) -> Vec<Claim> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let led = table.iter().filter(|(_, (_, leader))| *leader == Some(store));
        led.map(|(group, (term, _))| Claim { group: *group, term: *term, leads: true }).collect()
    }

    /// How many groups each server leads.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<StoreId, usize> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let mut counts = BTreeMap::new();
        for leader in table.values().filter_map(|(_, leader)| *leader) {
            *counts.entry(leader).or_default() += 1;
        }
        counts
    }

    /// Waits until a group has a leader, for as long as the caller cares.
    pub async fn wait_for(&self, group: GroupId) -> StoreId {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(leader) = self.of(group) {
                return leader;
            }
            // The sender lives as long as `self`.
            drop(changes.changed().await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: GroupId = GroupId(7);

    #[test]
    fn the_later_term_wins_whatever_comes_first() {
        let leaders = Leaders::default();
        leaders.claim(StoreId(2), Claim { group: G, term: 5, leads: true });
        leaders.claim(StoreId(1), Claim { group: G, term: 4, leads: true });
        assert_eq!(leaders.of(G), Some(StoreId(2)));
        // The old leader's farewell comes late.
        leaders.claim(StoreId(1), Claim { group: G, term: 4, leads: false });
        assert_eq!(leaders.of(G), Some(StoreId(2)));
        leaders.claim(StoreId(2), Claim { group: G, term: 5, leads: false });
        assert_eq!(leaders.of(G), None);
    }

    #[test]
    fn a_dead_server_leads_nothing() {
        let leaders = Leaders::default();
        leaders.claim(StoreId(2), Claim { group: G, term: 5, leads: true });
        assert_eq!(leaders.claims_of(StoreId(2)).len(), 1);
        leaders.forget(StoreId(2));
        assert_eq!(leaders.of(G), None);
        assert!(leaders.claims_of(StoreId(2)).is_empty());
    }
}
