//! How a stream lets its log go: messages to segments, then a base to the WAL, then the log may forget.

use flotilla_disk::DiskError;
use flotilla_mutation::{Mutation, is_on};
use flotilla_raft::Base;
use flotilla_stream::Stream;

use super::StreamMachine;
use crate::notice::Notice;
use crate::replica::{Machine, Replica};
use crate::time::SECOND;
use crate::turn::Cx;

/// After a flush failed, the next one begins this much later.
const RETRY: u64 = SECOND;

/// A checkpoint on its way: taken at an index, waiting for its segments to be synced.
#[derive(Default)]
pub(super) struct Checkpoint {
    flushing: Option<Flushing>,
    /// One failed, and is to be begun again then: the disk was full, or worse.
    again: Option<u64>,
}

struct Flushing {
    base: Base,
    /// The last sequence that the base knows of.
    last_seq: u64,
    /// Whether the WAL asked for it.
    forward: bool,
}

impl Replica<StreamMachine> {
    /// Begins a checkpoint when enough is unflushed, or when the WAL asks for it.
    pub(crate) fn checkpoint(&mut self, asked: bool, cx: &mut Cx) {
        let busy = self.machine.checkpoint.flushing.is_some()
            || self.writing_base.is_some()
            || self.installing
            || self.machine.checkpoint.again.is_some_and(|at| cx.now.mono < at);
        let new = self.raft.applied() > self.durable_base;
        let due = new && self.machine.segments.tail_bytes() >= cx.thresholds.stream_flush;
        if busy || !(asked || due) {
            return;
        }
        self.machine.checkpoint.again = None;
        let base = self.base_at_applied(self.machine.stream.base());
        let last_seq = self.machine.segments.last_seq();
        self.machine.checkpoint.flushing = Some(Flushing { base, last_seq, forward: asked });
        self.flush(cx);
    }

    /// Whether something waits for a state on stable storage in which it is removed.
    pub(crate) fn has_to_erase(&self) -> bool {
        !self.machine.erasures.is_empty()
    }

    /// Begins again what failed, if it is time. Returns when it is: the log may wait for it, and may not ask twice.
    pub(crate) fn retry_checkpoint(&mut self, cx: &mut Cx) -> Option<u64> {
        let at = self.machine.checkpoint.again?;
        if cx.now.mono >= at {
            self.checkpoint(true, cx);
        }
        // While something else is at work on the files, its end is what is waited for.
        self.machine.checkpoint.again.filter(|at| *at > cx.now.mono)
    }

    /// Flushes on, or writes the base when all that it knows of is flushed.
    fn flush(&mut self, cx: &mut Cx) {
        let Some(flushing) = &self.machine.checkpoint.flushing else { return };
        let unflushed = self.machine.segments.flushed_through() < flushing.last_seq;
        if unflushed {
            cx.out.jobs.extend(self.machine.segments.take_flush());
        }
        if unflushed && !is_on(Mutation::BaseBeforeSegments) {
            return;
        }
        if let Some(Flushing { base, forward, .. }) = self.machine.checkpoint.flushing.take() {
            self.write_base(base, forward, cx);
        }
    }

    /// A job on the segments ended.
    pub(crate) fn flushed(&mut self, job: u64, result: &Result<(), DiskError>, cx: &mut Cx) {
        self.machine.segments.finished(job, result);
        if let Err(error) = result {
            // The log still has everything; it is not let go, and this is tried again.
            let text = format!("{}: flushing failed: {error}", self.machine.name());
            cx.notice(Notice::Text(text));
            self.machine.forget_checkpoint();
            self.machine.checkpoint.again = Some(cx.now.mono + RETRY);
            return;
        }
        match self.machine.segments.take_late_erasures(&*cx.disk) {
            Ok(jobs) => cx.out.jobs.extend(jobs),
            Err(error) => {
                let text = format!("{}: an erasure failed: {error}", self.machine.name());
                cx.notice(Notice::Text(text));
            }
        }
        self.flush(cx);
    }

    /// The base is durable: the log may forget, and so may the disk what the base says is gone.
    pub(crate) fn stream_base_persisted(&mut self, index: u64, cx: &mut Cx) {
        if self.base_persisted(index, cx.thresholds.stream_log) {
            let first = Stream::extent_of_base(&self.base.state).map_or(0, |(first, ..)| first);
            let removed = first.saturating_sub(1);
            // One that was not sealed when its last message went may be by now, or damaged.
            self.machine.segments.remove_through(removed);
            cx.out.jobs.extend(self.machine.segments.take_removals(removed));
            self.machine.erase_through(index, cx);
            self.checkpoint(false, cx);
        }
    }
}

impl StreamMachine {
    /// A checkpoint on its way is void: the state was replaced.
    pub(super) fn forget_checkpoint(&mut self) {
        self.checkpoint = Checkpoint::default();
    }
}
