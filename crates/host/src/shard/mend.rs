//! Damaged replicas are made whole again from their peers. They take no part in their groups meanwhile.
//!
//! One after the other: the state if it is lost, with the segments that belong to it; the entries of the log; what changed
//! is written; the machine is opened, and tells which segments are missing; these are fetched. Any member will do, whoever
//! leads, since all that is taken from it is committed or proven to be what was lost.

use flotilla_disk::{BaseRecord, SegmentSummary, Staging};
use flotilla_raft::{GroupId, ReplicaId, StoreId};

use super::Shard;
use super::fetching::Fetching;
use super::recover::Seat;
use crate::asset::{AssetKind, AssetRecord};
use crate::bundle::{Entries, Lack, Piece, Say, Segment, State};
use crate::mend::{Fragments, Part, Whole};
use crate::notice::Notice;
use crate::stream::{OpenError, staging};
use crate::time::{MILLISECOND, SECOND};
use crate::turn::After;

/// How long one peer is waited for before the next one is asked.
const PATIENCE: u64 = 300 * MILLISECOND;
/// How often peers are asked for one part before something else is tried.
const HASTY: u32 = 8;
/// How often they are asked at that pace; behind that it is done more slowly.
const EAGER: u32 = 10 * HASTY;
/// How long is waited then.
const SLOW: u64 = 2 * SECOND;

/// A replica that is being made whole.
pub(super) struct Mending {
    pub(super) fragments: Fragments,
    /// What is lost, in words.
    pub(super) reason: String,
    stage: Stage,
    /// Whom it asked last, and when.
    asked: Option<StoreId>,
    asked_at: u64,
    /// How often nobody gave anything.
    tries: u32,
    /// The segment that was put in its place last.
    placed: Option<SegmentSummary>,
    /// Whether what is left is not in the log, but set aside.
    pub(super) is_aside: bool,
}

/// What it waits for.
enum Stage {
    /// For a peer that has this.
    Asking(Part),
    /// For the segments of a state.
    Fetching(Fetching, Box<State>),
    /// For one segment.
    Replacing(Fetching, SegmentSummary),
    /// For the log.
    Writing,
}

impl Mending {
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.stage, Stage::Writing)
    }

    pub(super) fn replica(&self) -> ReplicaId {
        self.fragments.replica
    }

    /// 0 if it is lost.
    pub(super) fn incarnation(&self) -> u64 {
        self.fragments.incarnation
    }
}

impl Shard {
    /// Something of a replica is lost that its peers have.
    pub(super) fn begin_mending(
        &mut self,
        group: GroupId,
        fragments: Fragments,
        reason: String,
        is_aside: bool,
    ) {
        let replica = fragments.replica;
        let asset = AssetRecord::decode(&fragments.asset).map(|record| record.name());
        let asset = asset.unwrap_or_else(|_| format!("group {group}"));
        self.damages += 1;
        self.cx.notice(Notice::Damaged { asset, group, replica, what: reason.clone() });
        let (asked, asked_at, tries, placed) = (None, 0, 0, None);
        let stage = Stage::Writing;
        let mending =
            Mending { fragments, reason, stage, asked, asked_at, tries, placed, is_aside };
        self.mending.insert(group, mending);
        self.mend(group, None);
    }

    /// Does what comes next for a replica whose log may lack something. `from` has just given a part of it.
    fn mend(&mut self, group: GroupId, from: Option<StoreId>) {
        let Some(mending) = self.mending.get(&group) else { return };
        if let Some(part) = mending.fragments.lacks() {
            return self.ask_peer(group, part, from);
        }
        if mending.fragments.has_changed() {
            return self.write_mended(group);
        }
        self.take_up_mended(group);
    }

    /// Asks one peer for a part: `again`, or the next one in turn.
    fn ask_peer(&mut self, group: GroupId, part: Part, again: Option<StoreId>) {
        let Some(mending) = self.mending.get_mut(&group) else { return };
        mending.stage = Stage::Asking(part);
        mending.asked_at = self.cx.now.mono;
        let Some(peer) = again.or_else(|| self.cx.peers.next_alive(mending.asked, self.cx.store))
        else {
            return;
        };
        mending.asked = Some(peer);
        let lack = Lack { replica: mending.fragments.replica, part };
        self.cx.say(peer, group, &Say::Lack(lack));
    }

    /// A peer does not have the group: the next one is asked at the next tick.
    pub(super) fn mend_elsewhere(&mut self, from: StoreId, group: GroupId) {
        let asked = |m: &&mut Mending| m.asked == Some(from) && m.tries < EAGER;
        if let Some(mending) = self.mending.get_mut(&group).filter(asked) {
            mending.asked_at = 0;
        }
    }

    pub(super) fn take_state(&mut self, from: StoreId, group: GroupId, state: Box<State>) {
        let disk = &*self.cx.disk;
        let Some(mending) = self.mending.get_mut(&group) else { return };
        let asked = matches!(mending.stage, Stage::Asking(Part::State | Part::Entries { .. }));
        if !asked || state.to != mending.fragments.replica {
            return;
        }
        match staging::needed(&Staging::new(group), disk, &state.files, |_| false) {
            Ok(needed) => {
                let fetching = Fetching::begin(from, state.to, state.base.index, needed);
                mending.stage = Stage::Fetching(fetching, state);
                self.fetch_on(group);
            }
            Err(error) => self.cannot_mend(group, &error),
        }
    }

    pub(super) fn take_entries(&mut self, from: StoreId, group: GroupId, given: Entries) {
        let Some(mending) = self.mending.get_mut(&group) else { return };
        if given.to == mending.fragments.replica
            && matches!(mending.stage, Stage::Asking(Part::Entries { .. }))
            && mending.fragments.take_entries(given.proof, given.entries)
        {
            self.mend(group, Some(from));
        }
    }

    pub(super) fn take_segment(&mut self, from: StoreId, group: GroupId, given: Segment) {
        let disk = &*self.cx.disk;
        let Some(mending) = self.mending.get_mut(&group) else {
            return self.take_repair(from, group, given);
        };
        let asked = matches!(mending.stage, Stage::Asking(Part::Segment { .. }));
        if !asked || given.to != mending.fragments.replica {
            return;
        }
        match staging::needed(&Staging::new(group), disk, &[given.summary], |_| true) {
            Ok(needed) => {
                let fetching = Fetching::begin(from, given.to, 0, needed);
                mending.stage = Stage::Replacing(fetching, given.summary);
                self.fetch_on(group);
            }
            Err(error) => self.cannot_mend(group, &error),
        }
    }

    pub(super) fn take_mending_piece(&mut self, from: StoreId, group: GroupId, piece: &Piece) {
        let Some(mending) = self.mending.get_mut(&group) else {
            return self.take_repair_piece(from, group, piece);
        };
        let (Stage::Fetching(fetching, _) | Stage::Replacing(fetching, _)) = &mut mending.stage
        else {
            return;
        };
        if !fetching.expects(from, piece) {
            return;
        }
        match fetching.take(&*self.cx.disk, group, piece) {
            Ok(()) => self.fetch_on(group),
            Err(error) => self.cannot_mend(group, &error),
        }
    }

    /// Asks for the next piece, or goes on when all of it is here.
    fn fetch_on(&mut self, group: GroupId) {
        let Some(mending) = self.mending.get_mut(&group) else { return };
        let (Stage::Fetching(fetching, _) | Stage::Replacing(fetching, _)) = &mut mending.stage
        else {
            return;
        };
        if fetching.ask(group, &mut self.cx) {
            return;
        }
        let from = fetching.from;
        let staging = Staging::new(group);
        let disk = &*self.cx.disk;
        let done = match std::mem::replace(&mut mending.stage, Stage::Writing) {
            Stage::Fetching(_, state) => {
                let State { incarnation, asset, base, files, .. } = *state;
                let record = AssetRecord::decode(&asset);
                let stream = record.is_ok_and(|r| matches!(r.kind, AssetKind::Stream { .. }));
                // What is in the files of a stream's state counts only once the log has its base.
                let ready = if stream && base.index > 0 {
                    staging.ready(disk, base.index, &files)
                } else {
                    Ok(())
                };
                ready.map(|()| mending.fragments.take_state(base, incarnation, &asset))
            }
            Stage::Replacing(_, summary) => {
                mending.placed = Some(summary);
                staging.place(disk, &summary)
            }
            _ => Ok(()),
        };
        match done {
            Ok(()) => self.mend(group, Some(from)),
            Err(error) => self.cannot_mend(group, &error.to_string()),
        }
    }

    /// What came was of no use: another peer is asked in a moment.
    fn cannot_mend(&mut self, group: GroupId, why: &str) {
        self.cx.notice(Notice::Text(format!("group {group}: a part is fetched anew: {why}")));
        let Some(mending) = self.mending.get_mut(&group) else { return };
        let part = match (&mending.stage, mending.fragments.lacks()) {
            (_, Some(part)) => part,
            (Stage::Replacing(_, summary), None) => {
                Part::Segment { seq: summary.first_seq, through: summary.last_seq }
            }
            _ => Part::State,
        };
        if part == Part::State {
            mending.fragments.forget_state();
        }
        mending.stage = Stage::Asking(part);
        mending.asked_at = self.cx.now.mono;
    }

    /// Writes the log of a replica that is whole again: a base, and every entry behind it.
    fn write_mended(&mut self, group: GroupId) {
        let Some(mending) = self.mending.get_mut(&group) else { return };
        let Some(whole) = mending.fragments.whole() else { return };
        let replica = mending.fragments.replica;
        let Whole { incarnation, asset, base, hard_state, entries } = &whole;
        let record = BaseRecord {
            group,
            replica,
            incarnation: *incarnation,
            asset,
            hard_state: *hard_state,
            base,
            // Nothing of what stands there now is needed.
            entries_from: u64::MAX,
        };
        let written = self.cx.wal.base(&record);
        let written = written.and_then(|()| self.cx.wal.entries(group, replica, entries));
        match written {
            Ok(()) => {
                mending.stage = Stage::Writing;
                mending.is_aside = false;
                mending.fragments.written();
                self.cx.after.push(After::Mended { group });
            }
            Err(error) => self.give_up(group, error.to_string()),
        }
    }

    /// Opens the machine of a replica whose log is whole, and lets it take part, unless segments are missing.
    pub(super) fn take_up_mended(&mut self, group: GroupId) {
        let Some(mending) = self.mending.get_mut(&group) else { return };
        let Some(whole) = mending.fragments.whole() else { return };
        let replica = mending.fragments.replica;
        let placed = mending.placed;
        let record = match AssetRecord::decode(&whole.asset) {
            Ok(record) => record,
            Err(error) => return self.give_up(group, error.to_string()),
        };
        match self.open_machine(group, &record, &whole.base) {
            Ok(machine) => {
                let start = whole.start();
                let Whole { incarnation, asset, .. } = whole;
                let seat = Seat { group, replica, incarnation, asset };
                match self.take_seat(seat, machine, start) {
                    Ok(()) => self.mended(group, &record),
                    Err(reason) => self.give_up(group, reason),
                }
            }
            Err(OpenError::Segment { seq, through }) => {
                let tried = placed.is_some_and(|s| (s.first_seq..=s.last_seq).contains(&seq));
                if tried && let Some(mending) = self.mending.get_mut(&group) {
                    // The file is what a peer has, and the base says otherwise.
                    mending.fragments.forget_state();
                    return self.mend(group, None);
                }
                self.ask_peer(group, Part::Segment { seq, through }, None);
            }
            Err(OpenError::State(_)) => {
                if let Some(mending) = self.mending.get_mut(&group) {
                    mending.fragments.forget_state();
                }
                self.mend(group, None);
            }
            Err(OpenError::Hopeless(reason)) => self.give_up(group, reason),
        }
    }

    fn mended(&mut self, group: GroupId, record: &AssetRecord) {
        let Some(mending) = self.mending.remove(&group) else { return };
        self.repairs += 1;
        let (asset, replica) = (record.name(), mending.fragments.replica);
        let what = mending.reason;
        self.cx.notice(Notice::Repaired { asset, group, replica, what });
        self.changed.insert(group);
        self.dirty.insert(group);
        // The consumers beside a stream may have waited for it.
        if matches!(record.kind, AssetKind::Stream { .. }) {
            self.dirty.extend(self.replicas.consumers_of.get(&group).into_iter().flatten());
        }
    }

    /// Nothing that a peer could give helps.
    fn give_up(&mut self, group: GroupId, reason: String) {
        let Some(mending) = self.mending.remove(&group) else { return };
        let Fragments { replica, incarnation, .. } = mending.fragments;
        self.end_recovered(group, replica, incarnation, reason);
    }

    /// Asks the next peer where the last one did not answer.
    pub(super) fn retry_mending(&mut self) {
        let now = self.cx.now.mono;
        let stale = |m: &Mending| match &m.stage {
            Stage::Asking(_) => {
                let patience = if m.tries < EAGER { PATIENCE } else { SLOW };
                now.saturating_sub(m.asked_at) > patience
            }
            Stage::Fetching(fetching, _) | Stage::Replacing(fetching, _) => fetching.is_late(now),
            Stage::Writing => false,
        };
        let due: Vec<GroupId> =
            self.mending.iter().filter(|(_, m)| stale(m)).map(|(group, _)| *group).collect();
        for group in due {
            self.ask_anew(group);
        }
    }

    /// The next peer, or another way: who has a state and none of its segments may take an older one and the entries behind
    /// it, where the others are not so far.
    fn ask_anew(&mut self, group: GroupId) {
        let Some(mending) = self.mending.get_mut(&group) else { return };
        mending.tries = mending.tries.saturating_add(1);
        let turn = mending.tries.is_multiple_of(HASTY);
        let segment = match &mending.stage {
            Stage::Asking(part @ Part::Segment { .. }) => Some(*part),
            Stage::Replacing(_, of) => {
                Some(Part::Segment { seq: of.first_seq, through: of.last_seq })
            }
            _ => None,
        };
        if segment.is_some() && turn {
            mending.fragments.doubt_state();
        } else if segment.is_none() && turn && mending.fragments.recall_state() {
            return self.take_up_mended(group);
        }
        match mending.fragments.lacks().or(segment) {
            Some(part) => self.ask_peer(group, part, None),
            None => self.mend(group, None),
        }
    }
}
