//! The part of a group's log that is in memory, as the library reads it.
//!
//! Everything after the *offset* is here; what is at or before it lives in the machine's state. The WAL holds
//! the same entries on disk (and those of all other groups), so nothing here is ever read from a file.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, Snapshot};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::{Error, StorageError};

/// So many bytes of entries are copied when their group falls asleep.
const SMALL: usize = 4096;

/// A group's entries, and the state that stands before them.
pub(crate) struct Log {
    /// What the library starts from; read once.
    initial: RaftState,
    /// Index and term of the entry before the first one held.
    offset: (u64, u64),
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Index, term and configuration of the newest state that a peer could be given.
    state: (u64, u64, ConfState),
}

impl Log {
    pub(crate) fn new(initial: RaftState, offset: (u64, u64), entries: Vec<Entry>) -> Self {
        let bytes = entries.iter().map(|e| e.data.len()).sum();
        let state = (offset.0, offset.1, initial.conf_state.clone());
        Self { initial, offset, entries: entries.into(), bytes, state }
    }

    pub(crate) fn first_index(&self) -> u64 {
        self.offset.0 + 1
    }

    pub(crate) fn last_index(&self) -> u64 {
        self.offset.0 + self.entries.len() as u64
    }

    /// Bytes of data held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends what became part of the log, after removing what it replaces (Raft, figure 2, AppendEntries 3).
    pub(crate) fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        while self.last_index() >= first.index {
            let Some(gone) = self.entries.pop_back() else { break };
            self.bytes -= gone.data.len();
        }
        debug_assert_eq!(self.last_index() + 1, first.index, "a gap in the log");
        self.bytes += entries.iter().map(|e| e.data.len()).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
    }

    /// Keeps no room for entries to come. Few bytes get memory of their own: they lie in a frame that came from a peer, of
    /// which all the rest may be forgotten.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        if self.bytes <= SMALL {
            for entry in &mut self.entries {
                entry.data = Bytes::copy_from_slice(&entry.data);
            }
        }
    }

    /// Forgets entries up to `index`. The caller has them in a durable state.
    pub(crate) fn compact(&mut self, index: u64) {
        while self.offset.0 < index.min(self.state.0) {
            let Some(gone) = self.entries.pop_front() else { break };
            self.bytes -= gone.data.len();
            self.offset = (gone.index, gone.term);
        }
    }

    /// Names the newest state that a peer could be given.
    pub(crate) fn set_state(&mut self, index: u64, term: u64, conf: ConfState) {
        self.state = (index, term, conf);
    }

    /// Replaces everything by the state at `index`.
    pub(crate) fn reset(&mut self, index: u64, term: u64, conf: ConfState) {
        self.entries.clear();
        self.bytes = 0;
        self.offset = (index, term);
        self.state = (index, term, conf);
    }

    pub(crate) fn get(&self, index: u64) -> Option<&Entry> {
        let at = index.checked_sub(self.first_index())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.offset.0 { Some(self.offset.1) } else { self.get(index).map(|e| e.term) }
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low < self.first_index() {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last_index() + 1 {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let limit = max_size.into().unwrap_or(u64::MAX);
        let mut taken = Vec::new();
        let mut size = 0u64;
        for index in low..high {
            let Some(entry) = self.get(index) else { break };
            size += entry.data.len() as u64 + ENTRY_OVERHEAD;
            // At least one goes, whatever its size: else a large entry would stop the log.
            if size > limit && !taken.is_empty() {
                break;
            }
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index < self.offset.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.term_at(index).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(Self::first_index(self))
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(Self::last_index(self))
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        let (index, term, conf) = &self.state;
        // The library panics on a snapshot at 0; at 0 the whole log is still here, so none is needed.
        if *index == 0 || *index < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = *index;
        metadata.term = *term;
        metadata.set_conf_state(conf.clone());
        Ok(snapshot)
    }
}

/// What an entry costs beside its data when a message is filled.
const ENTRY_OVERHEAD: u64 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64, size: usize) -> Entry {
        Entry { index, term, data: vec![0; size].into(), ..Entry::default() }
    }

    fn log() -> Log {
        let entries = (1..=5).map(|i| entry(i, 1, 10)).collect();
        Log::new(RaftState::default(), (0, 0), entries)
    }

    #[test]
    fn appending_replaces_what_conflicts() {
        let mut log = log();
        log.append(&[entry(3, 2, 4), entry(4, 2, 4)]);
        assert_eq!((log.last_index(), log.bytes()), (4, 28));
        assert_eq!((log.term_at(2), log.term_at(3), log.term_at(5)), (Some(1), Some(2), None));
    }

    #[test]
    fn nothing_is_forgotten_before_a_state_holds_it() {
        let mut log = log();
        log.compact(4);
        assert_eq!(log.first_index(), 1);
        log.set_state(3, 1, ConfState::default());
        log.compact(4);
        assert_eq!((log.first_index(), log.bytes(), log.term_at(3)), (4, 20, Some(1)));
        assert!(matches!(Storage::term(&log, 2), Err(Error::Store(StorageError::Compacted))));
    }

    #[test]
    fn a_limit_never_stops_the_first_entry() {
        let log = log();
        let read = |max| log.entries(1, 6, Some(max), GetEntriesContext::empty(false)).unwrap();
        assert_eq!(read(1).len(), 1);
        assert_eq!(read(70).len(), 2);
        assert_eq!(read(u64::MAX).len(), 5);
    }

    #[test]
    fn there_is_no_snapshot_of_nothing() {
        assert!(log().snapshot(0, 2).is_err());
    }
}
