//! What a committed entry of a stream does.

use bytes::Bytes;
use flotilla_disk::{SegmentRecord, SegmentSummary};
use flotilla_jsapi::ErrorKind;
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::{Base, Entry};
use flotilla_stream::{
    ChangeError, ChangeOutcome, Record, SequenceRange, Stream, StreamChange, StreamCommand,
    Timestamp,
};

use super::compare::Comparison;
use super::{Owed, StreamMachine, open};
use crate::notice::Notice;
use crate::replica::{Machine, Replica};
use crate::request::{Answer, CallId};
use crate::time::MILLISECOND;
use crate::turn::Cx;

impl Machine for StreamMachine {
    fn name(&self) -> String {
        format!("stream '{} > {}'", self.account, self.stream.config().name)
    }

    fn apply(&mut self, entry: &Entry, leads: bool, cx: &mut Cx) {
        self.pass(entry.index, cx);
        let mut applied = std::mem::take(&mut cx.applied);
        applied.clear();
        if let Err(error) = self.stream.apply(&entry.data, &mut applied) {
            // Committed bytes that no version of ours writes: every replica passes over them alike.
            let reason = format!("{}: entry {}: {error}", self.name(), entry.index);
            cx.notice(Notice::Text(reason));
        }
        self.removed.extend_from_slice(&applied.removed);
        self.touched |= !applied.stored.is_empty() || !applied.removed.is_empty();
        for record in applied.stored.drain(..) {
            self.store(record, cx);
        }
        self.remove(&applied, entry.index);
        if let Some(owed) = self.settle(entry, leads, cx) {
            match owed {
                Owed::Acks { replies, bytes, at } => {
                    let most = cx.thresholds.stream_in_flight;
                    self.pace.committed(bytes, at, cx.now.mono, most);
                    self.acknowledge(replies, &applied.outcomes, cx);
                }
                Owed::Answer(call) => {
                    let answer = applied.change.as_ref().map_or(Answer::Done, change_answer);
                    cx.out.answers.push((call, answer));
                }
                Owed::Nothing => {}
            }
        }
        if applied.change.is_some() {
            self.expiring = false;
            self.updating = false;
        }
        cx.applied = applied;
    }

    fn state_hash(&self) -> u64 {
        self.stream.hash()
    }

    fn differs(&self) -> bool {
        self.comparison.differs()
    }

    fn rest(&mut self) {
        self.queue.shrink_to_fit();
        self.removed.shrink_to_fit();
        self.segments.rest();
    }

    fn take_lead(&mut self, _term: u64, cx: &mut Cx) {
        self.led_since = Some(cx.now.wall);
        self.expiring = false;
        self.updating = false;
        self.touched = true;
    }

    fn lose_lead(&mut self, cx: &mut Cx) {
        self.led_since = None;
        self.forget_queue();
        self.pending_bytes = 0;
        if is_on(Mutation::AckByIndexAlone) {
            return;
        }
        for (_, (_, owed)) in std::mem::take(&mut self.pending) {
            if let Owed::Answer(call) = owed {
                cx.out.answers.push((call, Answer::NotLeader));
            }
        }
    }

    fn files(&mut self, base: &Base, cx: &mut Cx) -> Option<Vec<SegmentSummary>> {
        let (first, last, _) = Stream::extent_of_base(&base.state).ok()?;
        // What was removed since may be gone from the segments, while the base still counts on it.
        if self.stream.first_seq() > first {
            return None;
        }
        match self.segments.manifest(&*cx.disk, last, &|_| true) {
            Ok(files) => Some(files),
            // Known, and being repaired.
            Err(_) if self.segments.damaged().is_some() => {
                self.unreadable = true;
                None
            }
            Err(error) => {
                let text = format!("{}: its segments cannot be offered: {error}", self.name());
                cx.notice(Notice::Text(text));
                None
            }
        }
    }

    fn spare(&mut self, seq: u64, through: u64, cx: &mut Cx) -> Option<SegmentSummary> {
        let spare = self.segments.spare(&*cx.disk, seq, through);
        self.unreadable |= spare.is_none() && self.segments.damaged().is_some();
        spare
    }

    fn restore(&mut self, state: &Bytes, index: u64, cx: &mut Cx) -> Result<(), String> {
        self.forget_checkpoint();
        let opened = open(&*cx.disk, self.group, index, state, cx.thresholds.segments);
        let opened = opened.map_err(|e| e.to_string())?;
        (self.stream, self.segments) = opened;
        self.comparison = Comparison::default();
        self.unreadable = false;
        self.touched = true;
        // Whoever counts on messages hears which there are not any more.
        self.removed.extend(SequenceRange::new(1, self.stream.first_seq().saturating_sub(1)));
        self.removed.extend(self.stream.deleted());
        Ok(())
    }
}

impl StreamMachine {
    /// What is owed for the entry applied now. Another entry at its index, of another term, means that what was
    /// proposed is lost: nobody is told that it is stored.
    fn settle(&mut self, entry: &Entry, leads: bool, cx: &mut Cx) -> Option<Owed> {
        let mut owed = None;
        while let Some(first) = self.pending.first_entry().filter(|p| *p.key() <= entry.index) {
            let (index, (term, this)) = first.remove_entry();
            if let Owed::Acks { bytes, .. } = &this {
                self.pending_bytes = self.pending_bytes.saturating_sub(*bytes);
            }
            let ours = term == entry.term && leads;
            if index == entry.index && (ours || is_on(Mutation::AckByIndexAlone)) {
                owed = Some(this);
            } else if let Owed::Answer(call) = this {
                cx.out.answers.push((call, Answer::NotLeader));
            }
        }
        owed
    }

    fn remove(&mut self, applied: &flotilla_stream::Applied, index: u64) {
        let first = self.stream.first_seq();
        if !applied.removed.is_empty() && first > 0 {
            self.segments.remove_through(first - 1);
        }
        if let Some(ChangeOutcome::Deleted { seq, erase: true }) = applied.change {
            self.erasures.push((index, seq));
        }
    }

    /// Erases what the state at `index`, which is on stable storage, does not name any more. Not before: a crash within or
    /// behind the erasure would leave a state that names a message which is not there.
    pub(super) fn erase_through(&mut self, index: u64, cx: &mut Cx) {
        let later = self.erasures.partition_point(|(removed_at, _)| *removed_at <= index);
        for (_, seq) in self.erasures.drain(..later) {
            match self.segments.erase(&*cx.disk, seq) {
                Ok(job) => cx.out.jobs.extend(job),
                Err(error) => {
                    let text =
                        format!("group {}: message {seq} is not erased: {error}", self.group);
                    cx.notice(Notice::Text(text));
                }
            }
        }
    }

    /// Gives a record to the segments. It is there already when the log is applied again behind an older base.
    fn store(&mut self, record: Record, cx: &mut Cx) {
        let Record { seq, time: Timestamp(time), body, subject_len, headers_len } = record;
        let headers_len = u32::from(headers_len);
        let record = SegmentRecord { seq, time, body, subject_len, headers_len };
        if let Err(error) = self.segments.append(record) {
            cx.notice(Notice::Text(format!("{}: {error}", self.name())));
        }
    }
}

fn change_answer(outcome: &ChangeOutcome) -> Answer {
    match outcome {
        ChangeOutcome::NotFound { seq } => {
            Answer::Error(ErrorKind::SequenceNotFound.with(&[("seq", seq)]))
        }
        ChangeOutcome::Purged { messages } => Answer::Purged(*messages),
        ChangeOutcome::Deleted { .. } | ChangeOutcome::Updated | ChangeOutcome::Expired => {
            Answer::Done
        }
        ChangeOutcome::Refused(ChangeError::Sealed) => {
            Answer::Error(ErrorKind::StreamSealed.error())
        }
        ChangeOutcome::Refused(error @ ChangeError::PurgeDenied) => {
            Answer::Error(ErrorKind::StreamPurgeFailed.because(error))
        }
        ChangeOutcome::Refused(error) => {
            Answer::Error(ErrorKind::StreamMsgDeleteFailed.because(error))
        }
    }
}

impl Replica<StreamMachine> {
    /// Proposes a change; `call` is answered when it is applied, or told that this is not the leader. Returns whether it
    /// is on its way.
    pub(crate) fn propose_change_of_stream(
        &mut self,
        change: StreamChange,
        call: Option<CallId>,
        cx: &mut Cx,
    ) -> bool {
        let data = StreamCommand { time: self.machine.now(cx), change }.encode();
        match self.raft.propose(data) {
            Ok((index, term)) => {
                let owed = call.map_or(Owed::Nothing, Owed::Answer);
                self.machine.pending.insert(index, (term, owed));
                true
            }
            Err(_) => {
                cx.out.answers.extend(call.map(|id| (id, Answer::NotLeader)));
                false
            }
        }
    }

    /// What time asks of a leader: messages that are too old go by a committed entry. Returns
    /// when to look again.
    pub(crate) fn expire(&mut self, cx: &mut Cx) -> Option<u64> {
        let age = self.machine.stream.config().max_age?;
        let first = self.machine.stream.state().first_time?;
        if !self.serves() {
            return None;
        }
        let due = first.after(age);
        let now = self.machine.now(cx);
        if due > now {
            return Some(cx.now.mono + due.since(now).max(MILLISECOND));
        }
        if !self.machine.expiring {
            self.wake();
            self.machine.expiring = self.propose_change_of_stream(StreamChange::Expire, None, cx);
        }
        None
    }
}
