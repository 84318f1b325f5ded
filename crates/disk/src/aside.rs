//! Replicas that take no part, set aside from the log (docs/storage-format.md §5).
//!
//! The log must not wait for what may never be used again. What it has of a damaged replica is kept in a file of its own,
//! and the log only says so.

use std::io::IoSlice;

use bytes::Bytes;
use flotilla_raft::{Base, Entry, EntryKind, GroupId, HardState, ReplicaId};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::{Disk, DiskError, read_whole};
use crate::fields::Fields;
use crate::wal::{Damage, EntryIdentity, LostBase, MissingEntries, RecoveredGroup};

const DIR: &str = "aside";
const MAGIC: &[u8; 4] = b"FASD";
const VERSION: u16 = 1;

/// Term, index, kind, data.
type Row = (u64, u64, u8, Bytes);
/// From, to, and of a single one its term, length and crc.
type MissingRow = (u64, u64, Option<(u64, u32, u32)>);

#[derive(Serialize, Deserialize)]
struct Kept {
    incarnation: u64,
    asset: Bytes,
    /// Term, vote, commit.
    hard_state: (u64, u64, u64),
    base: Option<Base>,
    entries: Vec<Row>,
    damage: Option<KeptDamage>,
}

#[derive(Serialize, Deserialize)]
struct KeptDamage {
    missing: Vec<MissingRow>,
    beyond: Vec<Row>,
    /// Index and term.
    lost_base: Option<(u64, u64)>,
    lost_hard_state: bool,
    unknown_end: bool,
}

fn path(group: GroupId, replica: ReplicaId) -> String {
    format!("{DIR}/{:016x}-{:016x}", group.0, replica.0)
}

/// Keeps a replica aside; it is on stable storage when this returns.
pub fn set_aside(
    disk: &dyn Disk,
    group: GroupId,
    recovered: &RecoveredGroup,
) -> Result<(), DiskError> {
    let kept = Kept::of(recovered);
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    let written = rmp_serde::encode::write_named(&mut bytes, &kept);
    debug_assert!(written.is_ok(), "plain data into memory");
    let check = xxh3_64(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    disk.create_dir(DIR)?;
    disk.sync_dir("")?;
    let path = path(group, recovered.replica);
    let file = match disk.create(&path) {
        Err(DiskError::Exists { .. }) => disk.open(&path)?,
        made => made?,
    };
    let written = disk
        .truncate(file, 0)
        .and_then(|()| disk.write_vectored_at(file, 0, &[IoSlice::new(&bytes)]))
        .and_then(|()| disk.sync_data(file));
    disk.close(file);
    written?;
    disk.sync_dir(DIR)
}

/// What was set aside of a replica; `None` if that is damaged or gone.
pub fn take_aside(
    disk: &dyn Disk,
    group: GroupId,
    replica: ReplicaId,
) -> Result<Option<RecoveredGroup>, DiskError> {
    let file = match disk.open(&path(group, replica)) {
        Err(DiskError::NotFound { .. }) => return Ok(None),
        file => file?,
    };
    let bytes = read_whole(disk, file, u64::MAX);
    disk.close(file);
    Ok(decode(&bytes?).and_then(|kept| kept.group(replica)))
}

/// Removes what was set aside of all replicas but those that `is_needed` names.
pub fn forget_aside(
    disk: &dyn Disk,
    is_needed: impl Fn(GroupId, ReplicaId) -> bool,
) -> Result<(), DiskError> {
    for name in disk.list(DIR)? {
        let numbers = name.split_once('-').and_then(|(group, replica)| {
            let hex = |text: &str| u64::from_str_radix(text, 16).ok();
            Some((GroupId(hex(group)?), ReplicaId(hex(replica)?)))
        });
        if numbers.is_some_and(|(group, replica)| !is_needed(group, replica)) {
            disk.remove(&format!("{DIR}/{name}"))?;
        }
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let (covered, check) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    if xxh3_64(covered) != Fields(check).u64()? {
        return None;
    }
    let mut fields = Fields(covered);
    if fields.take(4)? != MAGIC || fields.u16()? != VERSION {
        return None;
    }
    fields.take(2)?;
    rmp_serde::from_slice(fields.0).ok()
}

fn rows(entries: &[Entry]) -> Vec<Row> {
    entries.iter().map(|e| (e.term, e.index, e.kind as u8, e.data.clone())).collect()
}

fn entries(rows: Vec<Row>) -> Option<Vec<Entry>> {
    let entry = |(term, index, kind, data)| {
        Some(Entry { term, index, kind: EntryKind::from_u8(kind)?, data })
    };
    rows.into_iter().map(entry).collect()
}

impl Kept {
    fn of(group: &RecoveredGroup) -> Self {
        let HardState { term, vote, commit } = group.hard_state;
        Self {
            incarnation: group.incarnation,
            asset: group.asset.clone(),
            hard_state: (term, vote.0, commit),
            base: group.base.clone(),
            entries: rows(&group.entries),
            damage: group.damage.as_ref().map(KeptDamage::of),
        }
    }

    fn group(self, replica: ReplicaId) -> Option<RecoveredGroup> {
        let (term, vote, commit) = self.hard_state;
        Some(RecoveredGroup {
            replica,
            incarnation: self.incarnation,
            asset: self.asset,
            hard_state: HardState { term, vote: ReplicaId(vote), commit },
            base: self.base,
            entries: entries(self.entries)?,
            damage: match self.damage {
                Some(damage) => Some(damage.damage()?),
                None => None,
            },
            aside: false,
        })
    }
}

impl KeptDamage {
    fn of(damage: &Damage) -> Self {
        let missing = damage
            .missing
            .iter()
            .map(|m| (m.from, m.to, m.identity.map(|i| (i.term, i.length, i.crc))));
        Self {
            missing: missing.collect(),
            beyond: rows(&damage.beyond),
            lost_base: damage.lost_base.map(|lost| (lost.index, lost.term)),
            lost_hard_state: damage.lost_hard_state,
            unknown_end: damage.unknown_end,
        }
    }

    fn damage(self) -> Option<Damage> {
        let missing = self.missing.into_iter().map(|(from, to, identity)| {
            let identity = identity.map(|(term, length, crc)| EntryIdentity { term, length, crc });
            MissingEntries { from, to, identity }
        });
        Some(Damage {
            missing: missing.collect(),
            beyond: entries(self.beyond)?,
            lost_base: self.lost_base.map(|(index, term)| LostBase { index, term }),
            lost_hard_state: self.lost_hard_state,
            unknown_end: self.unknown_end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem_disk::MemDisk;

    fn group() -> RecoveredGroup {
        let entry = |index| Entry {
            term: 2,
            index,
            kind: EntryKind::Command,
            data: Bytes::from(vec![7; 20]),
        };
        let identity = Some(EntryIdentity::of(&entry(9)));
        RecoveredGroup {
            replica: ReplicaId(3),
            incarnation: 4,
            asset: Bytes::from_static(b"asset"),
            hard_state: HardState { term: 5, vote: ReplicaId(6), commit: 7 },
            base: Some(Base { index: 7, term: 2, ..Base::default() }),
            entries: vec![entry(8)],
            damage: Some(Damage {
                missing: vec![MissingEntries { from: 9, to: 9, identity }],
                beyond: vec![entry(10)],
                lost_base: Some(LostBase { index: 7, term: 2 }),
                lost_hard_state: true,
                unknown_end: false,
            }),
            aside: false,
        }
    }

    #[test]
    fn what_is_set_aside_is_there_again_or_known_to_be_gone() {
        let disk = MemDisk::new();
        let (id, replica) = (GroupId(9), ReplicaId(3));
        assert_eq!(take_aside(&disk, id, replica), Ok(None));
        set_aside(&disk, id, &group()).unwrap();
        disk.power_loss(3);
        assert_eq!(take_aside(&disk, id, replica), Ok(Some(group())));
        assert_eq!(take_aside(&disk, id, ReplicaId(4)), Ok(None));
        let len = disk.contents(&path(id, replica)).unwrap().len() as u64;
        for at in 0..len {
            disk.flip_bit(&path(id, replica), at, 2);
            assert_eq!(take_aside(&disk, id, replica), Ok(None), "byte {at}");
            disk.flip_bit(&path(id, replica), at, 2);
        }
        forget_aside(&disk, |g, r| (g, r) == (id, replica)).unwrap();
        assert!(take_aside(&disk, id, replica).unwrap().is_some());
        forget_aside(&disk, |_, _| false).unwrap();
        assert_eq!(take_aside(&disk, id, replica), Ok(None));
    }
}
