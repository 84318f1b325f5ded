//! What a consumer delivers next, as far as its leader has planned.

use std::collections::VecDeque;

use super::machine::Consumer;
use crate::{DeliverPolicy, FilterSet, SequenceRange, Stream, consumer::command::Start};

/// The messages not planned yet: first the last one of each subject, if the policy says so, then all
/// that match from the cursor on. It runs ahead of the committed cursor.
#[derive(Debug)]
pub(super) struct Upcoming {
    filter: FilterSet,
    /// The next sequence to consider.
    cursor: u64,
    /// With last-per-subject: what is left of the first part, and where that ends.
    first_part: Option<(VecDeque<u64>, u64)>,
    /// How many are upcoming, of those up to `counted_to`; `None` when it must be counted again.
    count: Option<u64>,
    counted_to: u64,
}

impl Upcoming {
    /// From the committed cursor of `state`.
    pub(super) fn new(state: &Consumer, stream: &Stream) -> Self {
        let mut filter = FilterSet::new(state.config().filters.clone());
        let cursor = state.cursor();
        let first_part = state.resume().map(|resume| {
            let range = SequenceRange { first: cursor, last: resume };
            (VecDeque::from(stream.last_per_subject_in(&mut filter, range)), resume)
        });
        Self { filter, cursor, first_part, count: None, counted_to: 0 }
    }

    /// Goes on with the filters of a new configuration.
    pub(super) fn refilter(&mut self, state: &Consumer) {
        self.filter = FilterSet::new(state.config().filters.clone());
        self.count = None;
    }

    /// The next sequence to consider; all below is planned or does not match.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next message; passes over what does not match.
    pub(super) fn peek(&mut self, stream: &Stream) -> Option<u64> {
        if let Some((left, resume)) = &mut self.first_part {
            while let Some(seq) = left.front().copied() {
                if stream.contains(seq) {
                    return Some(seq);
                }
                left.pop_front();
                self.count = self.count.map(|count| count.saturating_sub(1));
            }
            self.cursor = self.cursor.max(*resume + 1);
            self.first_part = None;
        }
        let next = stream.next_match(&mut self.filter, self.cursor);
        self.cursor = self.cursor.max(next.unwrap_or(stream.last_seq() + 1));
        next
    }

    /// Counts `seq`, just seen by [`Self::peek`], as planned.
    pub(super) fn take(&mut self, seq: u64) {
        if let Some((left, _)) = &mut self.first_part {
            left.pop_front();
        }
        self.cursor = self.cursor.max(seq + 1);
        self.count = self.count.map(|count| count.saturating_sub(1));
    }

    /// How many are upcoming. Counts what is new in the stream, and all of it only after a removal.
    pub(super) fn count(&mut self, stream: &Stream) -> u64 {
        let (listed, from) = match &self.first_part {
            Some((left, resume)) => (left.len() as u64, self.cursor.max(*resume + 1)),
            None => (0, self.cursor),
        };
        let last = stream.last_seq();
        // The stream's replica here may be another one meanwhile, which is not that far yet.
        let counted = self.count.filter(|_| last >= self.counted_to);
        let count = match counted {
            None => listed + stream.count_matching(&mut self.filter, from),
            Some(count) if last > self.counted_to => {
                let from = from.max(self.counted_to + 1);
                count + stream.matches_from(&mut self.filter, from).count() as u64
            }
            Some(count) => count,
        };
        self.counted_to = last;
        self.count = Some(count);
        count
    }

    /// The stream removed `ranges`.
    pub(super) fn shrank(&mut self, ranges: &[SequenceRange]) {
        if ranges.iter().any(|range| range.last >= self.cursor) {
            self.count = None;
        }
    }
}

/// Where a consumer of `stream` begins, as its policy says. NATS's rules: a start beyond the end is
/// kept only when the client gave the sequence, and one before the first message moves up to it.
pub(super) fn resolve_start(state: &Consumer, stream: &Stream) -> Start {
    let (first, last) = (stream.first_seq().max(1), stream.last_seq());
    let mut filter = FilterSet::new(state.config().filters.clone());
    let at = |cursor: u64| Start { cursor: cursor.max(first), resume: None };
    match state.config().deliver {
        DeliverPolicy::All => at(first),
        DeliverPolicy::Last => at(stream.last_match(&mut filter).unwrap_or(first)),
        DeliverPolicy::New => at(last + 1),
        DeliverPolicy::ByStartSequence(seq) => at(seq.min(crate::sequence::MAX_JUMP)),
        DeliverPolicy::ByStartTime(time) => at(stream.seq_at_time(time)),
        DeliverPolicy::LastPerSubject if stream.config().max_msgs_per_subject == Some(1) => {
            at(first)
        }
        DeliverPolicy::LastPerSubject => match stream.last_per_subject(&mut filter).first() {
            Some(cursor) => Start { resume: Some(last), ..at(*cursor) },
            None => at(last + 1),
        },
    }
}
