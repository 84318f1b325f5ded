//! A Raft log and state machine in memory. It keeps what it is given and loses nothing: every loss seen in the
//! experiments is the library's.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use async_raft::async_trait::async_trait;
use async_raft::raft::{Entry, EntryPayload, MembershipConfig};
use async_raft::storage::{CurrentSnapshotData, HardState, InitialState};
use async_raft::{AppData, AppDataResponse, NodeId, RaftStorage};
use serde::{Deserialize, Serialize};

/// What clients write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write(pub String);

/// What clients get back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Written;

impl AppData for Write {}
impl AppDataResponse for Written {}

/// Never made: this log does not fail.
#[derive(Debug)]
pub struct Shutdown;

impl std::fmt::Display for Shutdown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("shut down")
    }
}

impl std::error::Error for Shutdown {}

/// One node's stable storage.
pub struct Log {
    id: NodeId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<u64, Entry<Write>>,
    hard_state: Option<HardState>,
    applied: BTreeMap<u64, Write>,
}

impl Log {
    pub fn new(id: NodeId) -> Self {
        Self { id, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entries held, as `index/term`.
    pub fn held(&self) -> Vec<String> {
        self.state()
            .entries
            .values()
            .map(|entry| format!("{}/t{}", entry.index, entry.term))
            .collect()
    }

    /// The index of the last entry held, zero if there is none.
    pub fn last(&self) -> u64 {
        self.state().entries.keys().next_back().copied().unwrap_or(0)
    }

    /// What was applied at this index.
    pub fn applied(&self, index: u64) -> Option<Write> {
        self.state().applied.get(&index).cloned()
    }
}

#[async_trait]
impl RaftStorage<Write, Written> for Log {
    type Snapshot = Cursor<Vec<u8>>;
    type ShutdownError = Shutdown;

    async fn get_membership_config(&self) -> Result<MembershipConfig> {
        let state = self.state();
        let last = state.entries.values().rev().find_map(|entry| match &entry.payload {
            EntryPayload::ConfigChange(change) => Some(change.membership.clone()),
            _ => None,
        });
        Ok(last.unwrap_or_else(|| MembershipConfig::new_initial(self.id)))
    }

    async fn get_initial_state(&self) -> Result<InitialState> {
        let membership = self.get_membership_config().await?;
        let mut state = self.state();
        let mut initial = InitialState::new_initial(self.id);
        initial.membership = membership;
        if let Some(last) = state.entries.values().next_back() {
            (initial.last_log_index, initial.last_log_term) = (last.index, last.term);
        }
        initial.last_applied_log = state.applied.keys().next_back().copied().unwrap_or(0);
        initial.hard_state = state.hard_state.get_or_insert(initial.hard_state).clone();
        Ok(initial)
    }

    async fn save_hard_state(&self, hard_state: &HardState) -> Result<()> {
        self.state().hard_state = Some(hard_state.clone());
        Ok(())
    }

    async fn get_log_entries(&self, start: u64, stop: u64) -> Result<Vec<Entry<Write>>> {
        if start > stop {
            return Ok(Vec::new());
        }
        Ok(self.state().entries.range(start..stop).map(|(_, entry)| entry.clone()).collect())
    }

    async fn delete_logs_from(&self, start: u64, stop: Option<u64>) -> Result<()> {
        let stop = stop.unwrap_or(u64::MAX);
        self.state().entries.retain(|index, _| *index < start || *index >= stop);
        Ok(())
    }

    async fn append_entry_to_log(&self, entry: &Entry<Write>) -> Result<()> {
        self.state().entries.insert(entry.index, entry.clone());
        Ok(())
    }

    async fn replicate_to_log(&self, entries: &[Entry<Write>]) -> Result<()> {
        let mut state = self.state();
        for entry in entries {
            state.entries.insert(entry.index, entry.clone());
        }
        Ok(())
    }

    async fn apply_entry_to_state_machine(&self, index: &u64, data: &Write) -> Result<Written> {
        self.state().applied.insert(*index, data.clone());
        Ok(Written)
    }

    async fn replicate_to_state_machine(&self, entries: &[(&u64, &Write)]) -> Result<()> {
        let mut state = self.state();
        for (index, data) in entries {
            state.applied.insert(**index, (*data).clone());
        }
        Ok(())
    }

    async fn do_log_compaction(&self) -> Result<CurrentSnapshotData<Self::Snapshot>> {
        anyhow::bail!("no experiment is long enough to compact the log")
    }

    async fn create_snapshot(&self) -> Result<(String, Box<Self::Snapshot>)> {
        anyhow::bail!("no experiment sends a snapshot")
    }

    async fn finalize_snapshot_installation(
        &self,
        _index: u64,
        _term: u64,
        _delete_through: Option<u64>,
        _id: String,
        _snapshot: Box<Self::Snapshot>,
    ) -> Result<()> {
        anyhow::bail!("no experiment sends a snapshot")
    }

    async fn get_current_snapshot(&self) -> Result<Option<CurrentSnapshotData<Self::Snapshot>>> {
        Ok(None)
    }
}
