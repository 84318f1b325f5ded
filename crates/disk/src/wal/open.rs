//! Reading the log back, and going on behind it.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_mutation::{Mutation, is_on};

use super::files::{DIR, Name, log_path, spare_path};
use super::format::{Head, PAGE, RecordKind};
use super::ledger::Ledger;
use super::recovery::{Bodies, Recovery, TornTail};
use super::replay::{Place, Replay};
use super::scan::{Marks, Scanned, Step, scan, stitch};
use super::{Current, Wal, WalError, WalOptions};
use crate::disk::{Disk, FileId, read_exact, read_whole, write_at};

/// How far LSNs jump behind an end that is lost: no file holds so many.
const LOST_END_JUMP: u64 = 1 << 40;

/// What stands in the log's directory.
#[derive(Default)]
struct Found {
    files: BTreeMap<u64, FileId>,
    spares: BTreeSet<u64>,
    next_spare: u64,
}

/// Where the log ends.
struct End {
    generation: u64,
    offset: u64,
    next_lsn: u64,
    /// The file is gone or cannot be gone on with: a new one must be begun.
    lost: bool,
    last_head: Vec<u8>,
}

impl Wal {
    /// Reads the log, makes sure that what it gives back is durable, and is ready to write. Damage is not an error:
    /// it is reported per group.
    pub fn open(disk: &dyn Disk, options: WalOptions) -> Result<(Self, Recovery), WalError> {
        disk.create_dir(DIR)?;
        disk.sync_dir("")?;
        let found = look(disk, &options)?;
        let opened = read(disk, options, &found);
        // The one that is written is opened anew; the others are of no more use.
        found.files.values().for_each(|file| disk.close(*file));
        opened
    }
}

fn read(disk: &dyn Disk, options: WalOptions, found: &Found) -> Result<(Wal, Recovery), WalError> {
    let (mut files, marks) = scan_files(disk, &options, &found.files)?;
    let lens = files.iter().map(|file| (file.generation, file.len)).collect();
    let bodies = Bodies { disk, files: &found.files };
    let Tail { torn, unconfirmed } = cut_tail(&bodies, &mut files)?;
    let steps = stitch(files);
    // One page may be the seal of a first open that was cut short. A file that was used before, and then named anew, is ours
    // although nothing in it counts: what counted is lost then, which is no reason not to start.
    if steps.is_empty() && marks.marked > 1 && marks.ours == 0 {
        return Err(WalError::Unreadable);
    }
    let replay = Replay::run(&steps);
    let mut end = find_end(&steps, &options, &lens);
    let torn = torn.or(torn_head(disk, found.files.get(&end.generation), &end)?);
    // What the page cache holds may not be on the disk yet; a reader must not be told what could go again. Of what nobody
    // said that it is synced, the sync may have failed: its pages count as clean then, and must be written again.
    let unconfirmed = unconfirmed.filter(|_| !is_on(Mutation::FailedSyncTrusted));
    if let Some((generation, offset, len)) = unconfirmed {
        write_again(disk, found.files.get(&generation), offset, len)?;
    }
    for (_, file) in found.files.range(last_written(&steps)..) {
        disk.sync_data(*file)?;
    }
    let groups = bodies.recover(&replay)?;
    let fresh = steps.is_empty();
    let recovery = Recovery { groups, torn, lost: replay.lost, fresh };
    let mut ledger = Ledger::default();
    for step in &steps {
        if let Step::Batch { generation, head, .. } = step {
            head.table.iter().for_each(|descriptor| ledger.record(*generation, descriptor));
        }
    }
    let start = needed_from(&steps);
    for (id, group) in &recovery.groups {
        if group.damage.as_ref().is_some_and(|d| d.unknown_end || d.lost_hard_state) {
            ledger.condemn(*id, start);
        }
    }
    end.lost |= fresh;
    let wal = resume(disk, options, found, lens, ledger, end)?;
    Ok((wal, recovery))
}

fn look(disk: &dyn Disk, options: &WalOptions) -> Result<Found, WalError> {
    let mut found = Found::default();
    for name in disk.list(DIR)? {
        let path = format!("{DIR}/{name}");
        match Name::of(&name) {
            Name::Log(generation) => {
                found.files.insert(generation, disk.open(&path)?);
            }
            Name::Spare(number) => {
                found.next_spare = found.next_spare.max(number);
                let file = disk.open(&path)?;
                let len = disk.len(file);
                disk.close(file);
                if len? == options.file_size {
                    found.spares.insert(number);
                } else {
                    disk.remove(&path)?;
                }
            }
            Name::Zeroing => disk.remove(&path)?,
            Name::Foreign => {}
        }
    }
    Ok(found)
}

fn scan_files(
    disk: &dyn Disk,
    options: &WalOptions,
    files: &BTreeMap<u64, FileId>,
) -> Result<(Vec<Scanned>, Marks), WalError> {
    let mut marks = Marks::default();
    let mut scanned = Vec::new();
    for (&generation, &file) in files {
        let bytes = read_whole(disk, file, u64::MAX)?;
        let found = scan(&bytes, generation, options.store.0).map_err(|found| {
            let path = log_path(generation);
            WalError::Version { path, found }
        })?;
        if found.is_empty() {
            marks.count(&bytes, options.store.0);
        }
        scanned.push(Scanned { generation, len: bytes.len() as u64, found });
    }
    Ok((scanned, marks))
}

/// The last batch, if it is above what is known to be synced.
#[derive(Default)]
struct Tail {
    /// It was not there in whole, and is dropped.
    torn: Option<TornTail>,
    /// It is there: in which file, where, and how many bytes.
    unconfirmed: Option<(u64, u64, u64)>,
}

/// Writes what is there once more.
fn write_again(
    disk: &dyn Disk,
    file: Option<&FileId>,
    offset: u64,
    len: u64,
) -> Result<(), WalError> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if let Some(file) = file
        && let Some(bytes) = read_exact(disk, *file, offset, len)?
    {
        write_at(disk, *file, offset, &bytes)?;
    }
    Ok(())
}

/// Drops the last batch if it is above what is known to be synced and not there in whole. This comes before
/// anything is concluded from it: its start already counts on what it would have superseded.
fn cut_tail(bodies: &Bodies<'_>, files: &mut [Scanned]) -> Result<Tail, WalError> {
    let heads = files.iter().flat_map(|file| &file.found).map(|batch| batch.head.synced);
    let synced = heads.max().unwrap_or(0);
    let Some(file) = files.iter_mut().rev().find(|file| !file.found.is_empty()) else {
        return Ok(Tail::default());
    };
    let generation = file.generation;
    let Some(last) = file.found.last().filter(|last| last.head.next_lsn() - 1 > synced) else {
        return Ok(Tail::default());
    };
    let len = last.head.batch_len().unwrap_or(PAGE);
    let (offset, lsn) = (last.offset, last.head.first_lsn);
    let mut at = offset + last.head.bodies_at();
    for descriptor in &last.head.table {
        let place = Place { generation, offset: Some(at), descriptor: *descriptor };
        if bodies.read(&place)?.is_none() {
            let whole = file.found.len() - 1;
            file.found.truncate(if is_on(Mutation::LogCutAtTornTail) { 0 } else { whole });
            let torn = Some(TornTail { generation, offset, lsn });
            return Ok(Tail { torn, unconfirmed: None });
        }
        at += u64::from(descriptor.length);
    }
    Ok(Tail { torn: None, unconfirmed: Some((generation, offset, len)) })
}

/// The oldest generation that the log said it needs.
fn needed_from(steps: &[Step]) -> u64 {
    let starts = steps.iter().filter_map(|step| match step {
        Step::Batch { head, .. } => Some(head.start),
        Step::Hole(_) => None,
    });
    starts.max().unwrap_or(0)
}

/// The generation of the last batch that is there.
fn last_written(steps: &[Step]) -> u64 {
    let generations = steps.iter().rev().filter_map(|step| match step {
        Step::Batch { generation, .. } => Some(*generation),
        Step::Hole(_) => None,
    });
    generations.max().unwrap_or(0)
}

fn find_end(steps: &[Step], options: &WalOptions, lens: &BTreeMap<u64, u64>) -> End {
    let newest = lens.last_key_value().map_or(0, |(generation, _)| *generation);
    let last = steps.iter().rev().find_map(|step| match step {
        Step::Batch { generation, offset, head } => Some((*generation, *offset, head)),
        Step::Hole(_) => None,
    });
    let Some((generation, offset, head)) = last else {
        return End {
            generation: newest,
            offset: 0,
            next_lsn: 1,
            lost: true,
            last_head: Vec::new(),
        };
    };
    let last_head = head.encode(options.store.0);
    let next_lsn = head.next_lsn();
    if matches!(steps.last(), Some(Step::Hole(_))) || offset.is_none() {
        let turned = head.table.iter().filter(|d| d.kind == RecordKind::Turn).map(|d| d.index);
        let generation = turned.chain([newest, generation]).max().unwrap_or(newest);
        let next_lsn = next_lsn.saturating_add(LOST_END_JUMP);
        return End { generation, offset: 0, next_lsn, lost: true, last_head };
    }
    if let Some(turn) = head.table.iter().find(|d| d.kind == RecordKind::Turn) {
        return End { generation: turn.index, offset: 0, next_lsn, lost: false, last_head };
    }
    let offset = offset.unwrap_or(0) + head.batch_len().unwrap_or(PAGE);
    End { generation, offset, next_lsn, lost: false, last_head }
}

/// Whether the page behind the end holds the beginning of the batch that would come next: for the report.
fn torn_head(
    disk: &dyn Disk,
    file: Option<&FileId>,
    end: &End,
) -> Result<Option<TornTail>, WalError> {
    let Some(file) = file.filter(|_| !end.lost) else { return Ok(None) };
    let mut page = [0; 72];
    disk.read_at(*file, end.offset, &mut page)?;
    let ours = Head::is_marked(&page)
        && page.get(16..24) == Some(&end.generation.to_le_bytes())
        && page.get(24..32) == Some(&end.next_lsn.to_le_bytes());
    let End { generation, offset, next_lsn: lsn, .. } = *end;
    Ok(ours.then_some(TornTail { generation, offset, lsn }))
}

/// Takes up writing at `end`.
fn resume(
    disk: &dyn Disk,
    options: WalOptions,
    found: &Found,
    mut files: BTreeMap<u64, u64>,
    ledger: Ledger,
    end: End,
) -> Result<Wal, WalError> {
    let (mut spares, mut next_spare) = (found.spares.clone(), found.next_spare);
    // Files that were named and never written to: the crash came before the turn.
    let unused = if end.lost { BTreeMap::new() } else { files.split_off(&(end.generation + 1)) };
    for (generation, len) in unused {
        let path = log_path(generation);
        if len == options.file_size {
            next_spare += 1;
            disk.rename(&path, &spare_path(next_spare))?;
            spares.insert(next_spare);
        } else {
            disk.remove(&path)?;
        }
    }
    disk.sync_dir(DIR)?;
    let mut wal = Wal {
        options,
        ledger,
        current: Current {
            file: FileId(0),
            generation: end.generation,
            offset: end.offset,
            len: 0,
        },
        next_lsn: end.next_lsn,
        synced: end.next_lsn - 1,
        unsynced: None,
        announced: 0,
        last_head: end.last_head,
        sealed: false,
        files,
        spares,
        next_spare,
        spare_in_work: false,
        doomed: Vec::new(),
        seen: super::room::Seen::default(),
        poison: None,
    };
    wal.take_up(disk, end.lost)?;
    wal.seal(disk)?;
    wal.reclaim(disk)?;
    Ok(wal)
}

impl Wal {
    /// Opens the file that is gone on with, or begins one if that cannot be.
    fn take_up(&mut self, disk: &dyn Disk, lost: bool) -> Result<(), WalError> {
        let generation = self.current.generation;
        if lost {
            let generation = generation + 1;
            let (file, len) = self.begin_file(disk, generation, self.options.file_size)?;
            self.files.insert(generation, len);
            self.current = Current { file, generation, offset: 0, len };
            return Ok(());
        }
        let file = disk.open(&log_path(generation))?;
        let len = disk.len(file)?;
        self.current.file = file;
        self.current.len = len;
        Ok(())
    }
}
