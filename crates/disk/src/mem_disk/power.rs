//! What is left when the power goes.

use super::contents::Contents;
use super::{MemDisk, Node, apply_names, parent};
use crate::seeded::Seeded;

impl MemDisk {
    /// The power goes and comes back. What was not synced is kept, dropped, torn into sectors of 512 bytes or
    /// 4 KiB or kept without what was written before it, as `seed` has it. Open files are closed, an ordered
    /// crash is over.
    pub fn power_loss(&self, seed: u64) {
        let mut random = Seeded::new(seed);
        let mut state = self.state();
        for inode in state.inodes.values_mut() {
            inode.lose_power(&mut random);
        }
        let mut names = std::mem::take(&mut state.durable);
        for change in std::mem::take(&mut state.pending) {
            if random.one_in(2) {
                apply_names(&mut names, &change.names);
            }
        }
        // A name whose directory did not survive cannot be reached. Parents sort before what is in them.
        let mut reachable = std::collections::BTreeMap::new();
        for (path, node) in names {
            let dir = parent(&path);
            if dir.is_empty() || reachable.get(dir) == Some(&Node::Dir) {
                reachable.insert(path, node);
            }
        }
        state.live.clone_from(&reachable);
        state.durable = reachable;
        state.open.clear();
        state.faults.restart();
    }
}

/// Applies a write as a disk without power might have.
pub(super) fn tear(contents: &mut Contents, offset: usize, data: &[u8], random: &mut Seeded) {
    let sector = match random.below(4) {
        0 => return,
        1 => return contents.put(offset, data),
        2 => 512,
        _ => 4096,
    };
    // The new length may reach the disk without the data: zeros.
    if random.one_in(2) {
        let end = offset.saturating_add(data.len());
        if contents.len() < end {
            contents.resize(end);
        }
    }
    let mut at = offset;
    let mut rest = data;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at((sector - at % sector).min(rest.len()));
        if random.one_in(2) {
            contents.put(at, piece);
        }
        at += piece.len();
        rest = behind;
    }
}
