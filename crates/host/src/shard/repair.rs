//! Segments of a stream that takes part in its group: checked in the background, and replaced by a peer's where they are
//! damaged. The replica goes on voting and applying; what it cannot read it does not serve.

use flotilla_disk::{DamagedSegment, DiskError, SegmentSummary, Staging};
use flotilla_raft::{GroupId, StoreId};

use super::Shard;
use super::fetching::Fetching;
use crate::bundle::{Lack, Piece, Say, Segment};
use crate::mend::Part;
use crate::notice::Notice;
use crate::replica::Machine as _;
use crate::stream::staging;
use crate::time::{MILLISECOND, SECOND};

/// How long one peer is waited for before the next one is asked.
const PATIENCE: u64 = 300 * MILLISECOND;
/// So often all peers of a group are asked in turn before it is done more slowly.
const HASTY: u32 = 16;
/// How long is waited then.
const SLOW: u64 = 5 * SECOND;

/// A damaged segment, and its copy on the way here.
pub(super) struct Repair {
    wanted: DamagedSegment,
    fetching: Option<(Fetching, SegmentSummary)>,
    asked: Option<StoreId>,
    asked_at: u64,
    tries: u32,
}

impl Repair {
    /// What is damaged, in words.
    pub(super) fn reason(&self) -> String {
        let DamagedSegment { first_seq, through } = self.wanted;
        format!("its segment with the messages {first_seq} to {through} is damaged")
    }
}

/// Where the checks are.
#[derive(Debug, Default)]
pub(super) struct Scrubber {
    /// The last segment that was taken.
    at: Option<(GroupId, u64)>,
    pub(super) due: u64,
    /// The job that is on its way.
    busy: Option<(GroupId, u64)>,
    /// When this round began.
    began: u64,
}

impl Shard {
    /// A stream could not read something of its segments, or a check found it damaged.
    pub(super) fn begin_repair(&mut self, group: GroupId) {
        if self.repairs_of.contains_key(&group) {
            return;
        }
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
        let Some(wanted) = stream.machine.segments.damaged() else { return };
        let (fetching, asked, asked_at, tries) = (None, None, 0, 0);
        let repair = Repair { wanted, fetching, asked, asked_at, tries };
        let (asset, replica, what) = (stream.machine.name(), stream.raft.id(), repair.reason());
        self.damages += 1;
        self.cx.notice(Notice::Damaged { asset, group, replica, what });
        self.repairs_of.insert(group, repair);
        self.ask_for_segment(group);
    }

    /// Asks the next member for what is damaged.
    fn ask_for_segment(&mut self, group: GroupId) {
        let Some(repair) = self.repairs_of.get_mut(&group) else { return };
        let Some(stream) = self.replicas.streams.get_mut(&group) else {
            self.repairs_of.remove(&group);
            return;
        };
        if repair.tries > HASTY {
            // Perhaps nothing of it is left anywhere, and it only waits for a base to be given up.
            stream.wants_base = true;
            self.dirty.insert(group);
        }
        let Some(wanted) = stream.machine.segments.damaged() else {
            return self.repaired(group);
        };
        (repair.wanted, repair.fetching) = (wanted, None);
        repair.asked_at = self.cx.now.mono;
        repair.tries = repair.tries.saturating_add(1);
        let DamagedSegment { first_seq: seq, through } = wanted;
        let lack = Lack { replica: stream.raft.id(), part: Part::Segment { seq, through } };
        // The only copy has nobody to ask.
        let alone = stream.raft.membership().stores.len() < 2;
        let next = self.cx.peers.next_alive(repair.asked, self.cx.store).filter(|_| !alone);
        if let Some(peer) = next {
            repair.asked = Some(peer);
            self.cx.say(peer, group, &Say::Lack(lack));
        }
    }

    pub(super) fn take_repair(&mut self, from: StoreId, group: GroupId, given: Segment) {
        let Some(repair) = self.repairs_of.get_mut(&group).filter(|r| r.fetching.is_none()) else {
            return;
        };
        let here = self.replicas.get(group).is_some_and(|r| r.raft().id() == given.to);
        if !here || given.summary.first_seq != repair.wanted.first_seq {
            return;
        }
        let needed =
            staging::needed(&Staging::new(group), &*self.cx.disk, &[given.summary], |_| true);
        match needed {
            Ok(needed) => {
                let fetching = Fetching::begin(from, given.to, 0, needed);
                repair.fetching = Some((fetching, given.summary));
                self.repair_on(group);
            }
            Err(error) => self.repair_anew(group, &error),
        }
    }

    pub(super) fn take_repair_piece(&mut self, from: StoreId, group: GroupId, piece: &Piece) {
        let repair = self.repairs_of.get_mut(&group).and_then(|repair| repair.fetching.as_mut());
        let Some((fetching, _)) = repair.filter(|(fetching, _)| fetching.expects(from, piece))
        else {
            return;
        };
        match fetching.take(&*self.cx.disk, group, piece) {
            Ok(()) => self.repair_on(group),
            Err(error) => self.repair_anew(group, &error),
        }
    }

    /// Asks for the next piece, or puts the copy in its place once nothing is at work on the files.
    pub(super) fn repair_on(&mut self, group: GroupId) {
        let Some(repair) = self.repairs_of.get_mut(&group) else { return };
        let Some((fetching, summary)) = &mut repair.fetching else { return };
        if fetching.ask(group, &mut self.cx) {
            return;
        }
        let summary = *summary;
        if self.files.is_busy(group) || self.cx.out.jobs.iter().any(|job| job.group() == group) {
            return;
        }
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
        if stream.installing {
            return;
        }
        let segments = &mut stream.machine.segments;
        match segments.repair(&*self.cx.disk, &Staging::new(group), &summary) {
            Ok(()) => {
                self.repairs += 1;
                self.ask_for_segment(group);
            }
            Err(error) => self.repair_anew(group, &error.to_string()),
        }
    }

    fn repair_anew(&mut self, group: GroupId, why: &str) {
        self.cx.notice(Notice::Text(format!("group {group}: a segment is fetched anew: {why}")));
        if let Some(repair) = self.repairs_of.get_mut(&group) {
            repair.fetching = None;
            repair.asked_at = self.cx.now.mono;
        }
    }

    fn repaired(&mut self, group: GroupId) {
        let Some(repair) = self.repairs_of.remove(&group) else { return };
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return };
        stream.machine.unreadable = false;
        stream.machine.touched = true;
        let (asset, replica, what) = (stream.machine.name(), stream.raft.id(), repair.reason());
        self.cx.notice(Notice::Repaired { asset, group, replica, what });
        self.dirty.insert(group);
    }

    /// Asks the next member where the last one did not answer, and goes on where files were busy.
    pub(super) fn retry_repairs(&mut self) {
        let now = self.cx.now.mono;
        let groups: Vec<GroupId> = self.repairs_of.keys().copied().collect();
        for group in groups {
            let Some(repair) = self.repairs_of.get(&group) else { continue };
            let patience = if repair.tries > HASTY { SLOW } else { PATIENCE };
            match &repair.fetching {
                Some((fetching, _)) if fetching.is_done() => self.repair_on(group),
                Some((fetching, _)) if !fetching.is_late(now) => {}
                None if now.saturating_sub(repair.asked_at) <= patience => {}
                _ => self.ask_for_segment(group),
            }
        }
    }

    /// When the next check is due.
    pub(super) fn next_scrub(&self) -> Option<u64> {
        let any = self.cx.thresholds.scrub_rate > 0 && !self.replicas.streams.is_empty();
        (any && self.scrubber.busy.is_none()).then_some(self.scrubber.due)
    }

    /// Begins the next check, if it is time.
    pub(super) fn scrub(&mut self) {
        let rate = self.cx.thresholds.scrub_rate;
        if rate == 0 || self.scrubber.busy.is_some() || self.cx.now.mono < self.scrubber.due {
            return;
        }
        if self.scrubber.at.is_none() {
            self.scrubber.began = self.cx.now.mono;
        }
        let (first, after) = self.scrubber.at.unwrap_or_default();
        for (group, stream) in self.replicas.streams.range_mut(first..) {
            let after = if *group == first { after } else { 0 };
            if let Some(job) = stream.machine.segments.take_scrub(after) {
                self.scrubber.busy = Some((*group, job.id()));
                self.scrubber.at = Some((*group, after));
                self.cx.out.jobs.push(job);
                return;
            }
        }
        self.scrubber.at = None;
        let next_round = self.scrubber.began.saturating_add(self.cx.thresholds.scrub_pause);
        self.scrubber.due = next_round.max(self.cx.now.mono + SECOND);
    }

    /// A job ended. Returns whether it was a check.
    pub(super) fn take_scrubbed(
        &mut self,
        group: GroupId,
        job: u64,
        result: &Result<(), DiskError>,
    ) -> bool {
        if self.scrubber.busy.take_if(|busy| *busy == (group, job)).is_none() {
            return false;
        }
        // The stream may be gone, and with it what there was to check.
        let Some(stream) = self.replicas.streams.get_mut(&group) else { return true };
        let Some(scrubbed) = stream.machine.segments.scrubbed(job, result) else { return true };
        self.scrubber.at = Some((group, scrubbed.first_seq));
        self.scrubbed += scrubbed.bytes;
        let rate = self.cx.thresholds.scrub_rate.max(1);
        let takes = scrubbed.bytes.saturating_mul(SECOND) / rate;
        self.scrubber.due = self.cx.now.mono + takes;
        if scrubbed.damaged {
            stream.machine.unreadable = true;
            self.dirty.insert(group);
        } else if scrubbed.last_seq > 0 && stream.serves() {
            stream.have_compared(scrubbed.first_seq, scrubbed.last_seq, &mut self.cx);
        }
        true
    }
}
