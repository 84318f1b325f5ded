//! The segments of a state that a peer gives, or that is given to one.

use bytes::Bytes;
use flotilla_disk::{SegmentSummary, Staging, StagingError};
use flotilla_raft::Base;

use super::StreamMachine;
use crate::turn::Cx;

impl StreamMachine {
    /// Prepares to take over a state made of `files`. Returns those that have to be fetched, and from which byte on: a
    /// transfer that was cut off goes on.
    pub(crate) fn stage(
        &mut self,
        files: &[SegmentSummary],
        cx: &mut Cx,
    ) -> Result<Vec<(SegmentSummary, u64)>, String> {
        let disk = &*cx.disk;
        let through = self.segments.flushed_through();
        let ours = self.segments.manifest(disk, through, &|_| true).unwrap_or_default();
        let staging = Staging::new(self.group);
        let mut needed = Vec::new();
        for file in files {
            if ours.iter().any(|our| our.same_content(file)) {
                continue;
            }
            let next = staging.next_offset(disk, file).map_err(|e| e.to_string())?;
            match next {
                None => {}
                Some(offset) if offset < file.bytes => needed.push((*file, offset)),
                // All of it came before a restart; what is not what the manifest says is fetched anew.
                Some(_) => {
                    if let Err(error) = staging.finish(disk, file, &|_| true) {
                        let StagingError::Mismatch { .. } = error else {
                            return Err(error.to_string());
                        };
                        needed.push((*file, 0));
                    }
                }
            }
        }
        self.staged = files.to_vec();
        Ok(needed)
    }

    /// Checks that everything that `base` needs is here, and marks it as belonging to it.
    pub(crate) fn mark_staged(&self, base: &Base, cx: &Cx) -> Result<(), String> {
        let staging = Staging::new(self.group);
        staging.ready(&*cx.disk, base.index, &self.staged).map_err(|e| e.to_string())
    }

    /// Stages a piece; with the last one the whole segment is checked and synced.
    pub(crate) fn stage_piece(
        &mut self,
        file: &SegmentSummary,
        offset: u64,
        data: &Bytes,
        cx: &mut Cx,
    ) -> Result<(), String> {
        let disk = &*cx.disk;
        let staging = Staging::new(self.group);
        staging.write(disk, file, offset, data).map_err(|e| e.to_string())?;
        if offset + data.len() as u64 >= file.bytes {
            staging.finish(disk, file, &|_| true).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// A piece of a segment, for a member that fetches it; empty when the segment is not there any more.
    pub(crate) fn piece(&mut self, first_seq: u64, offset: u64, max: usize, cx: &mut Cx) -> Bytes {
        self.segments.read_chunk(&*cx.disk, first_seq, offset, max).unwrap_or_default()
    }
}
