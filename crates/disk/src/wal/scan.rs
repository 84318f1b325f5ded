//! From files to a sequence of batches and holes (docs/storage-format.md §2, reading it back, 1 to 3).

use flotilla_mutation::{Mutation, is_on};

use super::format::{Head, PAGE, RecordKind};

/// A batch that was found by its own head.
pub(super) struct Found {
    pub(super) offset: u64,
    pub(super) head: Head,
    /// The copy of the head of the batch before it, if it is whole.
    pub(super) previous: Option<Head>,
}

/// A file of the log and what is in it.
pub(super) struct Scanned {
    pub(super) generation: u64,
    pub(super) len: u64,
    pub(super) found: Vec<Found>,
}

/// A part of the log, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A batch whose table is known; without an offset, where its bodies are is not.
    Batch { generation: u64, offset: Option<u64>, head: Head },
    /// Records that were synced and of which not even the table is left.
    Hole(LostRange),
}

/// Log sequence numbers of which nothing is known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// The first one; unknown if the oldest file is missing.
    pub from: Option<u64>,
    /// The last one; unknown if the newest file is missing or cut short.
    pub to: Option<u64>,
}

/// Walks one file. A format version that is not ours is an error: it must not pass for damage.
pub(super) fn scan(bytes: &[u8], generation: u64, salt: u64) -> Result<Vec<Found>, u16> {
    let mut found: Vec<Found> = Vec::new();
    let mut at = 0_usize;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let expected = found.last().map_or(0, |batch| batch.head.next_lsn());
        let head = Head::decode(rest, salt).transpose()?;
        let fits = |head: &Head| {
            let current = head.generation == generation && head.first_lsn >= expected;
            (current || is_on(Mutation::StaleRecordReplayed))
                && head.batch_len().is_some_and(|len| len <= rest.len() as u64)
        };
        let step = match head.filter(fits) {
            Some(head) => {
                let copy = rest.get(head.len()..).unwrap_or_default();
                let copy = copy.get(..head.previous_len as usize).unwrap_or_default();
                let previous = Head::decode(copy, salt).transpose()?;
                let len = head.batch_len().unwrap_or(PAGE);
                found.push(Found { offset: at as u64, head, previous });
                len
            }
            None => PAGE,
        };
        at = at.saturating_add(usize::try_from(step).unwrap_or(usize::MAX));
    }
    Ok(found)
}

/// What pages look like, wherever they stand.
#[derive(Default)]
pub(super) struct Marks {
    /// How many look as if a batch began there.
    pub(super) marked: usize,
    /// In how many of them one of this store does.
    pub(super) ours: usize,
}

impl Marks {
    /// Looks at the pages of a file.
    pub(super) fn count(&mut self, bytes: &[u8], salt: u64) {
        let page = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let starts = (0..bytes.len()).step_by(page);
        for at in starts.filter_map(|at| bytes.get(at..)).filter(|at| Head::is_marked(at)) {
            self.marked += 1;
            self.ours += usize::from(Head::decode(at, salt).is_some());
        }
    }
}

/// Puts the files, ascending, into one sequence. Files that the log no longer needs are left out.
pub(super) fn stitch(mut files: Vec<Scanned>) -> Vec<Step> {
    let newest = files.iter().rev().find_map(|file| file.found.last());
    let Some(start) = newest.map(|batch| batch.head.start) else { return Vec::new() };
    files.retain(|file| file.generation >= start);
    let mut steps = Vec::new();
    let mut expected = None;
    let complete = files.first().is_some_and(|file| file.generation == start);
    let end = lost_end(&files);
    for (nth, file) in files.into_iter().enumerate() {
        let mut free_from = Some(0);
        for batch in file.found {
            let begins = nth == 0 && complete;
            let first_of_log = begins && batch.offset == 0;
            if !first_of_log && expected != Some(batch.head.first_lsn) {
                let free_from = free_from.filter(|_| begins || expected.is_some());
                close_gap(&mut steps, &batch, file.generation, expected, free_from);
            }
            expected = Some(batch.head.next_lsn());
            free_from = batch.head.batch_len().map(|len| batch.offset + len);
            let (offset, head) = (Some(batch.offset), batch.head);
            steps.push(Step::Batch { generation: file.generation, offset, head });
        }
    }
    steps.extend(end.map(Step::Hole));
    steps
}

/// Fills what is missing before `next` as far as the copy in it goes.
fn close_gap(
    steps: &mut Vec<Step>,
    next: &Found,
    generation: u64,
    expected: Option<u64>,
    free_from: Option<u64>,
) {
    // A batch of an older file that was cut when it was last read, and whose LSNs were given again.
    steps.retain(|step| match step {
        Step::Batch { head, .. } => head.first_lsn < next.head.first_lsn,
        Step::Hole(_) => true,
    });
    let copy = next.previous.as_ref().filter(|copy| copy.next_lsn() == next.head.first_lsn);
    let copy = copy.filter(|copy| expected.is_none_or(|expected| copy.first_lsn >= expected));
    let known_from = copy.map_or(next.head.first_lsn, |copy| copy.first_lsn);
    // Without an expectation the log's beginning is what is missing, unless the copy is that: in the file with which
    // the log begins (in another one `free_from` is not known then).
    let at = copy.and_then(|copy| {
        let at = next.offset.checked_sub(copy.batch_len()?)?;
        (copy.generation == generation && free_from.is_some_and(|free| at >= free)).then_some(at)
    });
    let begins_log = expected.is_none() && at == Some(0);
    let continues = expected.is_some_and(|expected| known_from <= expected);
    if !begins_log && !continues {
        let to = known_from.checked_sub(1);
        steps.push(Step::Hole(LostRange { from: expected, to }));
    }
    if let Some(head) = copy {
        steps.push(Step::Batch { generation: head.generation, offset: at, head: head.clone() });
    }
}

/// Whether the newest file is missing or shorter than it was made. Nothing but damage makes it so, and what it ends in may
/// be the beginning of a batch that was synced.
fn lost_end(files: &[Scanned]) -> Option<LostRange> {
    let (file, last) = files.iter().rev().find_map(|file| Some((file, file.found.last()?)))?;
    let lost = LostRange { from: Some(last.head.next_lsn()), to: None };
    if let Some(turn) = last.head.table.iter().find(|d| d.kind == RecordKind::Turn) {
        let next = files.iter().find(|file| file.generation == turn.index);
        return next.is_none_or(|next| next.len < turn.extra).then_some(lost);
    }
    (file.len < last.head.file_len).then_some(lost)
}
