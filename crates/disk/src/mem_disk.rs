//! A disk in memory that forgets what was not synced.
//!
//! It keeps apart what a process sees and what a power loss leaves, so that recovery can be tested at
//! every disk call: see [`MemDisk::crash_at`] and [`MemDisk::power_loss`].

mod fault;
mod power;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use fault::{Failure, Operation};

use crate::disk::{Disk, DiskError, FileId, parent};
use fault::Faults;

/// A [`Disk`] in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(u64),
    Dir,
}

/// A change of names that a power loss may undo.
#[derive(Clone, Debug)]
struct NameChange {
    /// The directories whose sync makes it durable; two for a rename across directories.
    dirs: [String; 2],
    /// Names and what they stand for afterwards, all or none.
    names: Vec<(String, Option<Node>)>,
}

/// A change of contents that a power loss may undo in whole or in part.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    Truncate(u64),
}

#[derive(Default)]
struct Inode {
    /// What the process reads.
    live: Vec<u8>,
    /// What the platters hold for certain.
    durable: Vec<u8>,
    /// What was done to `live` since the last good sync.
    pending: Vec<Change>,
}

#[derive(Default)]
struct State {
    inodes: BTreeMap<u64, Inode>,
    live: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    pending: Vec<NameChange>,
    open: BTreeMap<FileId, (u64, String)>,
    next_inode: u64,
    next_file: u64,
    capacity: Option<u64>,
    faults: Faults,
}

impl MemDisk {
    /// An empty disk without a limit.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on files may hold `bytes` in total; writes beyond fail with [`DiskError::NoSpace`].
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = Some(bytes);
    }

    /// All names of files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let state = self.state();
        let files = state.live.iter().filter(|(_, node)| matches!(node, Node::File(_)));
        files.map(|(path, _)| path.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn inode_of(&self, path: &str) -> Option<u64> {
        match self.live.get(path) {
            Some(Node::File(inode)) => Some(*inode),
            _ => None,
        }
    }

    /// The inode behind an open file, with its path for messages.
    fn opened(
        &mut self,
        file: FileId,
        operation: &'static str,
    ) -> Result<(&mut Inode, &str), DiskError> {
        let Some((inode, path)) = self.open.get(&file) else {
            let path = format!("file {}", file.0);
            return Err(DiskError::Io { operation, path, reason: "not open".into() });
        };
        let inode = self.inodes.entry(*inode).or_default();
        Ok((inode, path))
    }

    fn path_of(&self, file: FileId) -> String {
        self.open.get(&file).map_or_else(|| format!("file {}", file.0), |(_, path)| path.clone())
    }

    fn change_names(&mut self, dirs: [&str; 2], names: Vec<(String, Option<Node>)>) {
        apply_names(&mut self.live, &names);
        self.pending.push(NameChange { dirs: dirs.map(str::to_owned), names });
    }

    fn open_inode(&mut self, inode: u64, path: &str) -> FileId {
        self.next_file += 1;
        let file = FileId(self.next_file);
        self.open.insert(file, (inode, path.to_owned()));
        file
    }

    /// Gives back the memory of files without a name.
    fn forget_unreachable(&mut self) {
        let Self { inodes, live, durable, pending, open, .. } = self;
        let changed = pending.iter().flat_map(|change| &change.names).filter_map(|(_, node)| *node);
        let named = live.values().chain(durable.values()).copied().chain(changed);
        let named = named.filter_map(|node| match node {
            Node::File(inode) => Some(inode),
            Node::Dir => None,
        });
        let opened = open.values().map(|(inode, _)| *inode);
        let needed: std::collections::BTreeSet<u64> = named.chain(opened).collect();
        inodes.retain(|inode, _| needed.contains(inode));
    }

    fn used(&self) -> u64 {
        let linked = self.live.values().filter_map(|node| match node {
            Node::File(inode) => self.inodes.get(inode),
            Node::Dir => None,
        });
        linked.map(|inode| inode.live.len() as u64).sum()
    }

    /// Takes an error that was asked for, after doing as much of a write as it says.
    fn write(&mut self, file: FileId, offset: u64, data: &[u8]) -> Result<(), DiskError> {
        let path = self.path_of(file);
        let failure = self.faults.check(Operation::Write, &path);
        let keep = match &failure {
            Ok(()) => data.len(),
            Err(failed) => failed.written.min(data.len()),
        };
        let room = self.capacity.map(|c| c.saturating_sub(self.used()));
        let (inode, _) = self.opened(file, "write")?;
        let grows = (offset + keep as u64).saturating_sub(inode.live.len() as u64);
        if room.is_some_and(|room| grows > room) {
            return Err(DiskError::NoSpace { operation: "write", path });
        }
        if keep > 0 {
            let data = data.get(..keep).unwrap_or_default().to_vec();
            let change = Change::Write { offset, data };
            change.apply(&mut inode.live);
            inode.pending.push(change);
        }
        failure.map_err(|failed| failed.error)
    }
}

impl Change {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                let end = start.saturating_add(data.len());
                if contents.len() < end {
                    contents.resize(end, 0);
                }
                if let Some(place) = contents.get_mut(start..end) {
                    place.copy_from_slice(data);
                }
            }
            Self::Truncate(len) => contents.resize(usize::try_from(*len).unwrap_or(usize::MAX), 0),
        }
    }
}

fn apply_names(names: &mut BTreeMap<String, Node>, changes: &[(String, Option<Node>)]) {
    for (path, node) in changes {
        match node {
            Some(node) => names.insert(path.clone(), *node),
            None => names.remove(path),
        };
    }
}

impl Disk for MemDisk {
    fn create(&self, path: &str) -> Result<FileId, DiskError> {
        let mut state = self.state();
        state.faults.check(Operation::Create, path).map_err(|failed| failed.error)?;
        if state.live.contains_key(path) {
            return Err(DiskError::Exists { path: path.to_owned() });
        }
        let dir = parent(path);
        if !dir.is_empty() && state.live.get(dir) != Some(&Node::Dir) {
            return Err(DiskError::NotFound { operation: "create", path: path.to_owned() });
        }
        state.next_inode += 1;
        let inode = state.next_inode;
        state.inodes.insert(inode, Inode::default());
        state.change_names([dir, dir], vec![(path.to_owned(), Some(Node::File(inode)))]);
        Ok(state.open_inode(inode, path))
    }

    fn open(&self, path: &str) -> Result<FileId, DiskError> {
        let mut state = self.state();
        state.faults.check(Operation::Open, path).map_err(|failed| failed.error)?;
        let Some(inode) = state.inode_of(path) else {
            return Err(DiskError::NotFound { operation: "open", path: path.to_owned() });
        };
        Ok(state.open_inode(inode, path))
    }

    fn close(&self, file: FileId) {
        self.state().open.remove(&file);
    }

    fn read_at(&self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let mut state = self.state();
        let path = state.path_of(file);
        state.faults.check(Operation::Read, &path).map_err(|failed| failed.error)?;
        let (inode, _) = state.opened(file, "read")?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = inode.live.get(start..).unwrap_or_default();
        let n = there.len().min(buf.len());
        buf.iter_mut().zip(there).for_each(|(to, from)| *to = *from);
        Ok(n)
    }

    fn write_vectored_at(
        &self,
        file: FileId,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<(), DiskError> {
        let mut data = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| data.extend_from_slice(part));
        self.state().write(file, offset, &data)
    }

    fn sync_data(&self, file: FileId) -> Result<(), DiskError> {
        let mut state = self.state();
        let path = state.path_of(file);
        let verdict = state.faults.check(Operation::Sync, &path);
        let (inode, _) = state.opened(file, "sync")?;
        let pending = std::mem::take(&mut inode.pending);
        match verdict {
            Ok(()) => {
                pending.iter().for_each(|change| change.apply(&mut inode.durable));
                Ok(())
            }
            Err(failed) => {
                // After a crash nothing happened; after an EIO the kernel calls the pages clean: a later
                // sync returns Ok and what was written is still not on the disk.
                if failed.crashed {
                    inode.pending = pending;
                }
                Err(failed.error)
            }
        }
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        let mut state = self.state();
        Ok(state.opened(file, "len")?.0.live.len() as u64)
    }

    fn truncate(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let mut state = self.state();
        let path = state.path_of(file);
        state.faults.check(Operation::Truncate, &path).map_err(|failed| failed.error)?;
        let (inode, _) = state.opened(file, "truncate")?;
        let change = Change::Truncate(len);
        change.apply(&mut inode.live);
        inode.pending.push(change);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.faults.check(Operation::Rename, from).map_err(|failed| failed.error)?;
        let Some(inode) = state.inode_of(from) else {
            return Err(DiskError::NotFound { operation: "rename", path: from.to_owned() });
        };
        let names = vec![(from.to_owned(), None), (to.to_owned(), Some(Node::File(inode)))];
        state.change_names([parent(from), parent(to)], names);
        Ok(())
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.faults.check(Operation::Remove, path).map_err(|failed| failed.error)?;
        if state.inode_of(path).is_none() {
            return Err(DiskError::NotFound { operation: "remove", path: path.to_owned() });
        }
        let dir = parent(path);
        state.change_names([dir, dir], vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.faults.check(Operation::CreateDir, path).map_err(|failed| failed.error)?;
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for dir in ends.filter_map(|end| path.get(..end)) {
            if !state.live.contains_key(dir) {
                let above = parent(dir);
                state.change_names([above, above], vec![(dir.to_owned(), Some(Node::Dir))]);
            }
        }
        Ok(())
    }

    fn remove_dir(&self, path: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        state.faults.check(Operation::RemoveDir, path).map_err(|failed| failed.error)?;
        let inside = format!("{path}/");
        if state.live.keys().any(|name| name.starts_with(&inside)) {
            let reason = "the directory is not empty".to_owned();
            return Err(DiskError::Io { operation: "remove", path: path.to_owned(), reason });
        }
        if state.live.get(path) != Some(&Node::Dir) {
            return Err(DiskError::NotFound { operation: "remove", path: path.to_owned() });
        }
        let above = parent(path);
        state.change_names([above, above], vec![(path.to_owned(), None)]);
        Ok(())
    }

    fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        let state = self.state();
        let names = state.live.keys().filter(|path| parent(path) == dir);
        Ok(names.map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect())
    }

    fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        let mut guard = self.state();
        let state = &mut *guard;
        state.faults.check(Operation::SyncDir, dir).map_err(|failed| failed.error)?;
        let (synced, rest): (Vec<_>, Vec<_>) = std::mem::take(&mut state.pending)
            .into_iter()
            .partition(|change| change.dirs.iter().any(|d| d == dir));
        synced.iter().for_each(|change| apply_names(&mut state.durable, &change.names));
        state.pending = rest;
        state.forget_unreachable();
        Ok(())
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        let state = self.state();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }
}
