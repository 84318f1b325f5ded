//! What a log gave back.

use std::collections::BTreeMap;

use bytes::Bytes;
use flotilla_raft::{Base, Entry, EntryKind, GroupId, HardState, ReplicaId};

use super::batch::BaseBody;
use super::format::{Descriptor, RecordKind};
use super::replay::{Live, Place, Replay};
use super::scan::LostRange;
use crate::disk::{Disk, DiskError, FileId, read_exact};
use crate::fields::crc32c;

/// What a log gave back at open. Everything in it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Every replica that was created here and not destroyed.
    pub groups: BTreeMap<GroupId, RecoveredGroup>,
    /// A last batch that was never acknowledged and is not there in whole; it was cut off.
    pub torn: Option<TornTail>,
    /// Synced parts of the log of which not even the tables are left. If there are any, replicas may be missing in
    /// `groups`: one that the meta group knows on this store, at or below what the store record says was created in its
    /// slot, is lost and must not be created again under its id.
    pub lost: Vec<LostRange>,
    /// There was no log. On a store that belongs to a cluster it was lost.
    pub fresh: bool,
}

/// One replica, as far as it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveredGroup {
    /// Its id.
    pub replica: ReplicaId,
    /// The incarnation it was created with; 0 if that is lost.
    pub incarnation: u64,
    /// The description it was created with; empty if that is lost.
    pub asset: Bytes,
    /// The last one; the default one if it is lost.
    pub hard_state: HardState,
    /// The last one; `None` if there never was one, or it is lost.
    pub base: Option<Base>,
    /// The log without a gap up to the last entry, or up to the first that is missing. It starts at or
    /// below the base's index + 1, as the base's `entries_from` had it.
    pub entries: Vec<Entry>,
    /// What is wrong with it, if anything is.
    pub damage: Option<Damage>,
    /// It takes no part, and what there was of it was set aside: [`take_aside`](crate::take_aside) has it.
    pub aside: bool,
}

/// What a replica has lost that it once had synced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Entries behind the base that are gone, ascending. The replica must not vote until it has fetched
    /// exactly these again and has appended them and everything behind them anew.
    pub missing: Vec<MissingEntries>,
    /// Good entries behind the first missing one, ascending.
    pub beyond: Vec<Entry>,
    /// The base, or without one the description, is gone: the state must come from a peer.
    pub lost_base: Option<LostBase>,
    /// A vote may be forgotten: the replica must come back under a new id, as a learner. The log takes nothing but a
    /// destroy, or the create of another replica, for its group.
    pub lost_hard_state: bool,
    /// The log may have gone on, or may have been another one: as for a lost hard state.
    pub unknown_end: bool,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { missing, lost_base, lost_hard_state, unknown_end, .. } = self;
        let ranges = missing.iter().map(|MissingEntries { from, to, .. }| match from == to {
            true => from.to_string(),
            false => format!("{from}-{to}"),
        });
        let ranges: Vec<_> = ranges.collect();
        let entries = (!ranges.is_empty()).then(|| format!("entries {}", ranges.join(", ")));
        let base = lost_base.map(|lost| format!("the state at index {}", lost.index));
        let vote = lost_hard_state.then(|| "its vote".to_owned());
        let end = unknown_end.then(|| "perhaps its end".to_owned());
        let parts: Vec<_> = [vote, end, base, entries].into_iter().flatten().collect();
        write!(f, "its log lost {}", parts.join(", "))
    }
}

/// A range of entries that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingEntries {
    /// The first index.
    pub from: u64,
    /// The last index.
    pub to: u64,
    /// What the one entry was, if its line in the table is left; then `from == to`.
    pub identity: Option<EntryIdentity>,
}

/// How to tell that a peer's entry is the one that was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryIdentity {
    /// Its term.
    pub term: u64,
    /// The length of its data in bytes.
    pub length: u32,
    /// The CRC-32C of its data.
    pub crc: u32,
}

impl EntryIdentity {
    /// That of an entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let length = u32::try_from(entry.data.len()).unwrap_or(u32::MAX);
        Self { term: entry.term, length, crc: crc32c(&entry.data) }
    }

    /// Whether `entry` is that entry.
    #[must_use]
    pub fn matches(&self, entry: &Entry) -> bool {
        *self == Self::of(entry)
    }
}

/// What is known of a base that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostBase {
    /// The index that it contained; 0 if it was not a base but a create, or is not known.
    pub index: u64,
    /// The term at that index.
    pub term: u64,
}

/// A last batch that did not reach the disk in whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file's generation.
    pub generation: u64,
    /// Where the batch begins.
    pub offset: u64,
    /// The LSN of its first record.
    pub lsn: u64,
}

/// Reads bodies from the files of the log.
pub(super) struct Bodies<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) files: &'a BTreeMap<u64, FileId>,
}

impl Bodies<'_> {
    /// The body at `place`; `None` if it is not what was written.
    pub(super) fn read(&self, place: &Place) -> Result<Option<Bytes>, DiskError> {
        let Descriptor { length, crc, .. } = place.descriptor;
        let (Some(offset), Some(file)) = (place.offset, self.files.get(&place.generation)) else {
            return Ok((length == 0).then(Bytes::new));
        };
        if length == 0 {
            return Ok(Some(Bytes::new()));
        }
        let body = read_exact(self.disk, *file, offset, length as usize)?;
        Ok(body.filter(|body| crc32c(body) == crc).map(Bytes::from))
    }

    pub(super) fn recover(
        &self,
        replay: &Replay,
    ) -> Result<BTreeMap<GroupId, RecoveredGroup>, DiskError> {
        let groups = replay.groups.iter();
        groups.map(|(group, live)| Ok((*group, self.group(live)?))).collect()
    }

    fn group(&self, live: &Live) -> Result<RecoveredGroup, DiskError> {
        let mut damage = Damage {
            lost_hard_state: live.hard_state.is_none(),
            unknown_end: live.open_end || live.doubtful_below > live.base_index() + 1,
            ..Damage::default()
        };
        let mut group = RecoveredGroup {
            replica: live.replica,
            incarnation: 0,
            asset: Bytes::new(),
            hard_state: live.hard_state.unwrap_or_default(),
            base: None,
            entries: Vec::new(),
            damage: None,
            aside: live.aside,
        };
        if live.aside {
            group.damage = (damage != Damage::default()).then_some(damage);
            return Ok(group);
        }
        self.root(live, &mut group, &mut damage)?;
        self.entries(live, &mut group, &mut damage)?;
        group.damage = (damage != Damage::default()).then_some(damage);
        Ok(group)
    }

    fn root(
        &self,
        live: &Live,
        group: &mut RecoveredGroup,
        damage: &mut Damage,
    ) -> Result<(), DiskError> {
        let Some(root) = &live.root else {
            damage.lost_base = Some(LostBase { index: 0, term: 0 });
            return Ok(());
        };
        let Descriptor { kind, index, term, extra, .. } = root.descriptor;
        let body = self.read(root)?;
        if kind == RecordKind::Create {
            group.incarnation = extra;
            match body {
                Some(asset) => group.asset = asset,
                None => damage.lost_base = Some(LostBase { index, term }),
            }
            return Ok(());
        }
        match body.and_then(|body| BaseBody::decode(&body)) {
            Some(body) => {
                group.incarnation = body.incarnation;
                group.asset = body.asset;
                group.base = Some(body.base);
            }
            None => damage.lost_base = Some(LostBase { index, term }),
        }
        Ok(())
    }

    fn entries(
        &self,
        live: &Live,
        group: &mut RecoveredGroup,
        damage: &mut Damage,
    ) -> Result<(), DiskError> {
        let needed = live.base_index().saturating_add(1);
        // Entries that the base contains are kept for peers; one that is in doubt is of no use.
        let certain = |index| index >= live.doubtful_below || index >= needed;
        let places = live.entries.iter().filter(|place| certain(place.descriptor.index));
        let mut places = places.peekable();
        let mut next = places.peek().map_or(needed, |e| e.descriptor.index.min(needed));
        for place in places {
            let Descriptor { index, term, length, crc, entry_kind, .. } = place.descriptor;
            let data = self.read(place)?;
            let entry = EntryKind::from_u8(entry_kind).zip(data);
            let entry = entry.map(|(kind, data)| Entry { term, index, kind, data });
            if index > next {
                note_missing(group, damage, needed, next, index - 1, None);
            }
            next = index.saturating_add(1);
            match entry {
                Some(entry) if damage.missing.is_empty() => group.entries.push(entry),
                Some(entry) => damage.beyond.push(entry),
                None => {
                    let identity = Some(EntryIdentity { term, length, crc });
                    note_missing(group, damage, needed, index, index, identity);
                }
            }
        }
        Ok(())
    }
}

/// A gap among what the base contains only shortens what is kept for peers; behind it, it is damage.
fn note_missing(
    group: &mut RecoveredGroup,
    damage: &mut Damage,
    needed: u64,
    from: u64,
    to: u64,
    identity: Option<EntryIdentity>,
) {
    if from < needed {
        group.entries.clear();
    }
    if to >= needed {
        damage.missing.push(MissingEntries { from: from.max(needed), to, identity });
    }
}
