//! Segments on their way here from another server, piece by piece, into staging.

use std::collections::VecDeque;

use flotilla_disk::{Disk, SegmentSummary, Staging};
use flotilla_raft::{GroupId, ReplicaId, StoreId};

use crate::bundle::{Fetch, Piece, Say};
use crate::stream::staging;
use crate::time::SECOND;
use crate::turn::Cx;

/// After how long a piece is asked for again.
const RETRY: u64 = 3 * SECOND;

/// What is fetched, in order, and from whom.
pub(super) struct Fetching {
    pub(super) from: StoreId,
    /// The replica here.
    to: ReplicaId,
    /// The index of the state that the segments belong to; 0 for a segment alone.
    index: u64,
    todo: VecDeque<(SegmentSummary, u64)>,
    asked_at: u64,
}

impl Fetching {
    /// `todo` is what has to be fetched, and from which byte on; nothing is asked for yet.
    pub(super) fn begin(
        from: StoreId,
        to: ReplicaId,
        index: u64,
        todo: Vec<(SegmentSummary, u64)>,
    ) -> Self {
        Self { from, to, index, todo: todo.into(), asked_at: 0 }
    }

    pub(super) fn is_done(&self) -> bool {
        self.todo.is_empty()
    }

    /// Whether a piece that was asked for has not come for long.
    pub(super) fn is_late(&self, now: u64) -> bool {
        now.saturating_sub(self.asked_at) > RETRY
    }

    /// Asks for the next piece. Returns whether there is one; if not, everything is here.
    pub(super) fn ask(&mut self, group: GroupId, cx: &mut Cx) -> bool {
        while self.todo.pop_front_if(|(file, offset)| *offset >= file.bytes).is_some() {}
        let Some((file, offset)) = self.todo.front() else { return false };
        self.asked_at = cx.now.mono;
        let (first_seq, offset) = (file.first_seq, *offset);
        let fetch = Fetch { from: self.to, index: self.index, first_seq, offset };
        cx.say(self.from, group, &Say::Fetch(fetch));
        true
    }

    /// Whether it is the piece that was asked for.
    pub(super) fn expects(&self, from: StoreId, piece: &Piece) -> bool {
        let at = &piece.at;
        self.todo.front().is_some_and(|(file, offset)| {
            (from, at.to, at.index, at.first_seq, at.offset)
                == (self.from, self.to, self.index, file.first_seq, *offset)
        })
    }

    /// Stages the piece that was asked for. With the last one of a segment the whole of it is checked and synced.
    pub(super) fn take(
        &mut self,
        disk: &dyn Disk,
        group: GroupId,
        piece: &Piece,
    ) -> Result<(), String> {
        let Some((file, offset)) = self.todo.front_mut() else { return Ok(()) };
        // A segment that is appended to has gone on since it was named.
        let left = usize::try_from(file.bytes - *offset).unwrap_or(usize::MAX);
        let data = piece.data.slice(..piece.data.len().min(left));
        if data.is_empty() {
            return Err("a segment of it is not there any more".to_owned());
        }
        staging::stage(&Staging::new(group), disk, file, *offset, &data)?;
        *offset += data.len() as u64;
        Ok(())
    }
}
