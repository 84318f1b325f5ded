//! How much room the disk and the log have, and what of it is kept back.
//!
//! A log fills up when groups cannot let go of what it holds, as of entries that find no majority. What then helps them,
//! votes and what meta has decided, needs the log too, so a server stops taking messages long before it is full.
//!
//! What is zero-filled can be written even on a full disk: the rest of the current file, and spares. That is kept for
//! votes, for small states, and for whatever makes room, so a server stops taking messages while it still has it.

use std::fmt;

use super::files::{SpareJob, Work};
use super::{SPARES, Wal};
use crate::disk::{Disk, DiskError};

/// How much room a store has on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Room {
    /// Enough.
    #[default]
    Enough = 0,
    /// Less than should be left: nothing new is to be stored. What is on its way still finds a place.
    Short = 1,
    /// And the log has little left that is prepared: only what is small, or makes room, may be written.
    Out = 2,
}

impl Room {
    /// The one with this number on the wire.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Enough, Self::Short, Self::Out].into_iter().find(|room| *room as u8 == number)
    }
}

/// What the log found when it looked at its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoomReport {
    /// What it comes to.
    pub room: Room,
    /// What it comes to for the disk alone; the rest is a log that is too large.
    pub disk: Room,
    /// Bytes that are free on the disk.
    pub free: u64,
    /// Bytes from which on there is enough again.
    pub enough: u64,
    /// Bytes that the log holds.
    pub used: u64,
    /// Bytes above which it takes no messages.
    pub cap: u64,
}

impl RoomReport {
    /// Whether the disk lacks room; if not, and there is not enough of it, then the log is too large.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.disk != Room::Enough
    }
}

impl fmt::Display for RoomReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_disk_full() || self.room == Room::Enough {
            write!(f, "{} bytes are free, {} should be", self.free, self.enough)
        } else {
            write!(f, "it holds {} bytes, and should hold {} at most", self.used, self.cap)
        }
    }
}

/// What the log remembers of it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    report: RoomReport,
    /// The log is above its cap, or was and is not clearly below it again.
    over: bool,
    /// The last spare could not be made for want of room.
    refused: bool,
}

impl Wal {
    /// Looks how much room there is. To be called now and then, also when nothing is written: others fill disks, and
    /// empty them. As long as there is too little, the log keeps no more spares than it must.
    ///
    /// One file's worth should be free, for segments, and a spare be there; it takes two to have enough again, so that
    /// it does not change to and fro.
    pub fn look_for_room(&mut self, disk: &dyn Disk) -> RoomReport {
        let reserve = self.options.file_size;
        let enough = if self.has_room() { reserve } else { reserve.saturating_mul(2) };
        // A disk that does not say is not taken for full: what cannot be written says so itself.
        let free = disk.free_space().unwrap_or(u64::MAX);
        let lacks_spare = self.seen.refused && self.spares.is_empty();
        let disk = if free >= enough && !lacks_spare {
            Room::Enough
        } else if self.prepared() >= reserve / 2 {
            Room::Short
        } else {
            Room::Out
        };
        let room = disk.max(self.log_room());
        let (used, cap) = (self.used(), self.options.cap);
        let enough = reserve.saturating_mul(2);
        self.seen.report = RoomReport { room, disk, free, enough, used, cap };
        self.seen.report
    }

    /// Above its cap the log takes nothing new, and above twice that only what is small or makes room; a quarter below it has
    /// enough again.
    fn log_room(&mut self) -> Room {
        let (used, cap) = (self.used(), self.options.cap);
        self.seen.over = used > if self.seen.over { cap - cap / 4 } else { cap };
        match self.seen.over {
            true if used > cap.saturating_mul(2) => Room::Out,
            true => Room::Short,
            false => Room::Enough,
        }
    }

    /// What was found when it was last [looked](Self::look_for_room).
    #[must_use]
    pub fn room(&self) -> RoomReport {
        self.seen.report
    }

    /// Bytes of log that take no more room on the disk.
    fn prepared(&self) -> u64 {
        let rest = self.current.len.saturating_sub(self.current.offset);
        rest.saturating_add((self.spares.len() as u64).saturating_mul(self.options.file_size))
    }

    pub(super) fn has_room(&self) -> bool {
        self.seen.report.disk == Room::Enough
    }

    /// The making of a spare, if it is time for one: not again and again on a disk that has no place for it.
    pub(super) fn make_spare(&mut self) -> Option<SpareJob> {
        let len = self.options.file_size;
        if !self.spares.is_empty() || (self.seen.refused && self.seen.report.free < len) {
            return None;
        }
        self.next_spare += 1;
        Some(SpareJob { number: self.next_spare, work: Work::Make(len) })
    }

    /// The giving up of a spare that a disk without room has better use for.
    pub(super) fn surplus_spare(&mut self) -> Option<SpareJob> {
        if self.has_room() || self.spares.len() <= SPARES {
            return None;
        }
        Some(SpareJob { number: self.spares.pop_last()?, work: Work::GiveUp })
    }

    pub(super) fn note_spare(&mut self, result: &Result<(), DiskError>) {
        self.seen.refused = matches!(result, Err(DiskError::NoSpace { .. }));
    }
}
