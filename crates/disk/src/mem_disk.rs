//! A disk in memory that forgets what was not synced.
//!
//! It keeps apart what a process sees and what a power loss leaves, so that recovery can be tested at
//! every disk call: see [`MemDisk::crash_at`] and [`MemDisk::power_loss`].

mod contents;
mod fault;
mod inode;
mod power;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use fault::{Failure, Operation};

use crate::disk::{Disk, DiskError, FileId, parent};
use fault::Faults;
use inode::Inode;

/// So many files without a name are kept before it is looked which of them are of no use.
const SPARE_INODES: usize = 16;

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

/// An open file, and what goes wrong.
struct Opened<'a> {
    inode: &'a mut Inode,
    path: &'a str,
    faults: &'a mut Faults,
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

    /// Another disk with all that is seen on this one, all of it durable: as a copy of a machine's disk has it.
    ///
    /// # Errors
    /// None that a disk without a limit could have.
    pub fn image(&self) -> Result<Self, DiskError> {
        let image = Self::new();
        for path in self.files() {
            for (end, _) in path.match_indices('/') {
                image.create_dir(&path[..end])?;
            }
            let file = image.create(&path)?;
            let contents = self.contents(&path).unwrap_or_default();
            image.write_vectored_at(file, 0, &[IoSlice::new(&contents)])?;
            image.sync_data(file)?;
            image.close(file);
            for (end, _) in path.match_indices('/') {
                image.sync_dir(&path[..end])?;
            }
        }
        image.sync_dir("")?;
        Ok(image)
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

    fn opened(&mut self, file: FileId, name: &'static str) -> Result<Opened<'_>, DiskError> {
        let Some((inode, path)) = self.open.get(&file) else {
            let path = format!("file {}", file.0);
            return Err(DiskError::Io { operation: name, path, reason: "not open".into() });
        };
        let inode = self.inodes.entry(*inode).or_default();
        Ok(Opened { inode, path, faults: &mut self.faults })
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
        linked.map(|inode| inode.live().len() as u64).sum()
    }

    /// Takes an error that was asked for, after doing as much of a write as it says.
    fn write(&mut self, file: FileId, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), DiskError> {
        let room = self.capacity.map(|c| c.saturating_sub(self.used()));
        let Opened { inode, path, faults } = self.opened(file, "write")?;
        let failure = faults.check(Operation::Write, path);
        let len = parts.iter().map(|part| part.len()).sum();
        let keep = failure.as_ref().map_or_else(|failed| failed.written.min(len), |()| len);
        let grows = (offset + keep as u64).saturating_sub(inode.live().len() as u64);
        if room.is_some_and(|room| grows > room) {
            return Err(DiskError::NoSpace { operation: "write", path: path.to_owned() });
        }
        if keep > 0 {
            inode.write(usize::try_from(offset).unwrap_or(usize::MAX), parts, keep);
        }
        failure.map_err(|failed| failed.error)
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
        let Opened { inode, path, faults } = state.opened(file, "read")?;
        faults.check(Operation::Read, path).map_err(|failed| failed.error)?;
        Ok(inode.live().read(usize::try_from(offset).unwrap_or(usize::MAX), buf))
    }

    fn will_read(&self, path: &str, _parts: &[Range<u64>]) {
        drop(self.state().faults.check(Operation::WillRead, path));
    }

    fn write_vectored_at(
        &self,
        file: FileId,
        offset: u64,
        parts: &[IoSlice<'_>],
    ) -> Result<(), DiskError> {
        self.state().write(file, offset, parts)
    }

    fn sync_data(&self, file: FileId) -> Result<(), DiskError> {
        let mut state = self.state();
        let Opened { inode, path, faults } = state.opened(file, "sync")?;
        match faults.check(Operation::Sync, path) {
            Ok(()) => {
                inode.sync();
                Ok(())
            }
            Err(failed) => {
                // After a crash nothing happened.
                if !failed.crashed {
                    inode.fail_sync();
                }
                Err(failed.error)
            }
        }
    }

    fn len(&self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.state().opened(file, "len")?.inode.live().len() as u64)
    }

    fn truncate(&self, file: FileId, len: u64) -> Result<(), DiskError> {
        let mut state = self.state();
        let Opened { inode, path, faults } = state.opened(file, "truncate")?;
        faults.check(Operation::Truncate, path).map_err(|failed| failed.error)?;
        inode.truncate(usize::try_from(len).unwrap_or(usize::MAX));
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
        if state.inodes.len() > 2 * state.live.len() + SPARE_INODES {
            state.forget_unreachable();
        }
        Ok(())
    }

    fn free_space(&self) -> Result<u64, DiskError> {
        let state = self.state();
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }
}
