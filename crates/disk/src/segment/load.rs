//! Opening a stream's segments: by their indexes, or record by record where there is none.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use flotilla_raft::GroupId;

use super::format::{HEADER, Slot, TRAILER, decode_index, foreign_version, index_at};
use super::job::with_file;
use super::read::Reader;
use super::record::{SegmentRecordMeta, claimed_len, parse};
use super::{Segment, SegmentError, SegmentOptions, SegmentStore, segment_path, stream_dir};
use crate::disk::{Disk, DiskError, FileId, read_exact, read_whole};

/// Sequences whose records may be lost. Those that were removed, or never given, are no loss: the owner
/// knows which are live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRange {
    /// The first sequence.
    pub first: u64,
    /// The last sequence.
    pub last: u64,
}

/// What opening a stream's segments gave.
#[derive(Debug)]
pub struct OpenedSegments {
    /// The store, behind the flush point.
    pub store: SegmentStore,
    /// What is known to be lost by now, ascending. A record with a whole index and a damaged body is found
    /// when it is read.
    pub damage: Vec<DamagedRange>,
}

/// What a file holds.
pub(super) struct Loaded {
    pub(super) slots: Vec<Slot>,
    pub(super) last_seq: u64,
    /// Where the records end.
    pub(super) end: u64,
    pub(super) sealed: bool,
    pub(super) damage: Vec<DamagedRange>,
}

impl SegmentStore {
    /// Opens what is there through `upto`, the flush point that the base names, and cuts off what lies beyond: the
    /// log holds it. `visit` is called for every record in the order of sequences, also for those
    /// that were removed and not compacted yet.
    pub fn open(
        disk: &dyn Disk,
        group: GroupId,
        upto: u64,
        options: SegmentOptions,
        visit: &mut dyn FnMut(SegmentRecordMeta),
    ) -> Result<OpenedSegments, SegmentError> {
        let names = names(disk, group)?;
        let mut segments = BTreeMap::new();
        for (nth, &first_seq) in names.iter().enumerate() {
            if first_seq > upto {
                disk.remove(&segment_path(group, first_seq))?;
                continue;
            }
            let next = names.get(nth + 1).filter(|next| **next <= upto);
            let bound = next.map_or(upto, |next| next - 1);
            let mut loaded = load(disk, group, first_seq, bound)?;
            loaded.cut(upto);
            loaded.slots.iter().for_each(|slot| visit(slot.meta()));
            segments.insert(first_seq, loaded.into_segment(next.is_some(), options.segment_size));
        }
        if let Some((&first_seq, last)) = segments.last_key_value() {
            cut_file(disk, group, first_seq, last)?;
        }
        let damage = segments.values().flat_map(|segment: &Segment| segment.damage.clone());
        let damage = damage.collect();
        let store = Self {
            group,
            options,
            segments,
            tail: VecDeque::new(),
            tail_bytes: 0,
            last_seq: upto,
            flushed_through: upto,
            removed_through: 0,
            doomed: BTreeMap::new(),
            erase_later: Vec::new(),
            in_flight: None,
            rewriting: BTreeMap::new(),
            scrubbing: BTreeMap::new(),
            next_job: 0,
            reader: Reader::default(),
            spare: Vec::new(),
        };
        Ok(OpenedSegments { store, damage })
    }
}

/// The first sequences of the segments there are, ascending; what compactions left half done goes.
fn names(disk: &dyn Disk, group: GroupId) -> Result<Vec<u64>, DiskError> {
    let dir = stream_dir(group);
    let mut found = Vec::new();
    for name in disk.list(&dir)? {
        if name.ends_with(".compact") {
            disk.remove(&format!("{dir}/{name}"))?;
        }
        let first_seq = name.strip_suffix(".seg").filter(|hex| hex.len() == 16);
        found.extend(first_seq.and_then(|hex| u64::from_str_radix(hex, 16).ok()));
    }
    Ok(found)
}

/// Makes the file of the segment that is appended to end where its records end.
fn cut_file(
    disk: &dyn Disk,
    group: GroupId,
    first_seq: u64,
    segment: &Segment,
) -> Result<(), DiskError> {
    if segment.sealed || !segment.damage.is_empty() {
        return Ok(());
    }
    with_file(disk, disk.open(&segment_path(group, first_seq))?, |file| {
        if disk.len(file)? > segment.end { disk.truncate(file, segment.end) } else { Ok(()) }
    })
}

/// Reads what one file holds. `bound` is the last sequence that can be in it.
pub(super) fn load(
    disk: &dyn Disk,
    group: GroupId,
    first_seq: u64,
    bound: u64,
) -> Result<Loaded, SegmentError> {
    let path = segment_path(group, first_seq);
    with_file(disk, disk.open(&path)?, |file| {
        let head = read_exact(disk, file, 0, HEADER)?.unwrap_or_default();
        if let Some(found) = foreign_version(&head) {
            return Err(SegmentError::Version { path, found });
        }
        match indexed(disk, file, group, first_seq)? {
            Some(loaded) => Ok(loaded),
            None => Ok(scanned(&read_whole(disk, file, u64::MAX)?.into(), group, first_seq, bound)),
        }
    })
}

/// By the index, if it is whole.
pub(super) fn indexed(
    disk: &dyn Disk,
    file: FileId,
    group: GroupId,
    first_seq: u64,
) -> Result<Option<Loaded>, DiskError> {
    let len = disk.len(file)?;
    let Some(trailer_at) = len.checked_sub(TRAILER as u64) else { return Ok(None) };
    let trailer = read_exact(disk, file, trailer_at, TRAILER)?.unwrap_or_default();
    let Some(at) = index_at(&trailer, group, first_seq).filter(|at| *at <= trailer_at) else {
        return Ok(None);
    };
    let index_len = usize::try_from(len - at).unwrap_or(usize::MAX);
    let index = read_exact(disk, file, at, index_len)?.unwrap_or_default();
    Ok(decode_index(&index, at).map(|sealed| Loaded {
        slots: sealed.slots,
        last_seq: sealed.last_seq,
        end: sealed.index_at,
        sealed: true,
        damage: Vec::new(),
    }))
}

/// Record by record.
fn scanned(bytes: &Bytes, group: GroupId, first_seq: u64, bound: u64) -> Loaded {
    let mut loaded = Loaded {
        slots: Vec::new(),
        last_seq: first_seq.saturating_sub(1),
        end: HEADER as u64,
        sealed: false,
        damage: Vec::new(),
    };
    let mut at = HEADER;
    let mut behind_damage = false;
    while loaded.last_seq < bound && at < bytes.len() {
        let rest = bytes.slice(at..);
        let after = loaded.last_seq;
        let good = parse(&rest, group).filter(|p| p.record.seq > after && p.record.seq <= bound);
        let Ok(offset) = u32::try_from(at) else { break };
        match good {
            Some(parsed) => {
                let seq = parsed.record.seq;
                if behind_damage {
                    loaded.damage.extend(range(after + 1, seq - 1));
                    behind_damage = false;
                }
                let slot = Slot::of(&parsed, offset);
                at += slot.length as usize;
                loaded.end = at as u64;
                loaded.last_seq = seq;
                loaded.slots.push(slot);
            }
            // One bad record may be stepped over; two in a row, and the lengths mean nothing.
            None if behind_damage => break,
            None => {
                behind_damage = true;
                match claimed_len(&rest) {
                    Some(len) => at += len,
                    None => break,
                }
            }
        }
    }
    loaded.damage.extend(range(loaded.last_seq.saturating_add(1), bound));
    loaded
}

fn range(first: u64, last: u64) -> Option<DamagedRange> {
    (first <= last).then_some(DamagedRange { first, last })
}

impl Loaded {
    /// Leaves out what lies beyond `upto`.
    fn cut(&mut self, upto: u64) {
        if self.last_seq <= upto {
            return;
        }
        self.slots.retain(|slot| slot.seq <= upto);
        self.end = self.slots.last().map_or(HEADER as u64, Slot::end);
        self.last_seq = upto;
        self.sealed = false;
    }

    fn into_segment(self, has_next: bool, segment_size: u64) -> Segment {
        // What is damaged is not appended to: it is not known where it ends.
        let grown = self.end - HEADER as u64 >= segment_size;
        let full = has_next || self.sealed || grown || !self.damage.is_empty();
        Segment {
            last_seq: self.last_seq.max(self.damage.last().map_or(0, |damage| damage.last)),
            end: self.end,
            flushed: self.end,
            full,
            sealed: self.sealed,
            slots: if self.sealed { Vec::new() } else { self.slots },
            damage: self.damage,
            rotten: false,
        }
    }
}
