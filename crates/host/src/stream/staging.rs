//! The segments of a state that a peer gives, or that is given to one.

use bytes::Bytes;
use flotilla_disk::{Disk, SegmentSummary, Staging, StagingError};

use super::StreamMachine;
use crate::bundle::Offer;
use crate::turn::Cx;

/// Of `files`, those that have to be fetched, and from which byte on: a transfer that was cut off goes on. Of what the
/// stream has already, `is_hurt` says which cannot be used.
pub(crate) fn needed(
    staging: &Staging,
    disk: &dyn Disk,
    files: &[SegmentSummary],
    is_hurt: impl Fn(u64) -> bool,
) -> Result<Vec<(SegmentSummary, u64)>, String> {
    let mut needed = Vec::new();
    for file in files {
        if !is_hurt(file.first_seq) && staging.holds(disk, file).map_err(|e| e.to_string())? {
            continue;
        }
        match staging.next_offset(disk, file).map_err(|e| e.to_string())? {
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
    Ok(needed)
}

/// Stages a piece; with the last one the whole segment is checked and synced.
pub(crate) fn stage(
    staging: &Staging,
    disk: &dyn Disk,
    file: &SegmentSummary,
    offset: u64,
    data: &Bytes,
) -> Result<(), String> {
    staging.write(disk, file, offset, data).map_err(|e| e.to_string())?;
    if offset + data.len() as u64 >= file.bytes {
        staging.finish(disk, file, &|_| true).map_err(|e| e.to_string())?;
    }
    Ok(())
}

impl StreamMachine {
    /// What has to be fetched to take over a state made of `files`.
    pub(crate) fn lacking(
        &self,
        files: &[SegmentSummary],
        cx: &Cx,
    ) -> Result<Vec<(SegmentSummary, u64)>, String> {
        let is_hurt = |first_seq| self.segments.is_damaged(first_seq);
        needed(&Staging::new(self.group), &*cx.disk, files, is_hurt)
    }

    /// Checks that everything that `offer` is made of is here, and marks it as belonging to its base.
    pub(crate) fn mark_staged(&self, offer: &Offer, cx: &Cx) -> Result<(), String> {
        let staging = Staging::new(self.group);
        staging.ready(&*cx.disk, offer.base.index, &offer.files).map_err(|e| e.to_string())
    }

    /// A piece of a segment, for a member that fetches it; empty when the segment is not there any more.
    pub(crate) fn piece(&mut self, first_seq: u64, offset: u64, max: usize, cx: &mut Cx) -> Bytes {
        if offset == 0 && !self.segments.verify(&*cx.disk, first_seq) {
            // What is damaged here is repaired first.
            self.unreadable |= self.segments.is_damaged(first_seq);
            return Bytes::new();
        }
        self.segments.read_chunk(&*cx.disk, first_seq, offset, max).unwrap_or_default()
    }
}
