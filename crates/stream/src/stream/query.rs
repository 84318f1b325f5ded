//! What consumers and the API ask a stream, all without reading a body.

use std::collections::BTreeSet;

use super::{filter::FilterSet, machine::Stream};
use crate::{SequenceRange, Timestamp};

/// A stream's state, as `STREAM.INFO` reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// How many messages there are.
    pub messages: u64,
    /// The sum of their [`message_size`](crate::message_size)s.
    pub bytes: u64,
    /// The first message's sequence; of an empty stream `last_seq + 1`, or 0 when it never held any.
    pub first_seq: u64,
    /// When the first message was stored.
    pub first_time: Option<Timestamp>,
    /// The greatest sequence given out.
    pub last_seq: u64,
    /// When it was stored.
    pub last_time: Option<Timestamp>,
    /// How many subjects have messages.
    pub num_subjects: u64,
    /// How many sequences between the first and the last have no message.
    pub num_deleted: u64,
}

/// What the index knows of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInfo<'a> {
    /// Its sequence.
    pub seq: u64,
    /// When it was stored.
    pub time: Timestamp,
    /// Its subject.
    pub subject: &'a str,
    /// Its [`message_size`](crate::message_size).
    pub size: u32,
}

impl Stream {
    /// The state; constant time.
    #[must_use]
    pub fn state(&self) -> StreamState {
        StreamState {
            messages: self.messages.len(),
            bytes: self.messages.bytes,
            first_seq: self.messages.first_seq,
            first_time: self.messages.first_time(),
            last_seq: self.messages.last_seq,
            last_time: self.messages.last_time,
            num_subjects: self.messages.subjects.len() as u64,
            num_deleted: self.messages.gap_count(),
        }
    }

    /// The first message's sequence, as [`StreamState::first_seq`].
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.messages.first_seq
    }

    /// The greatest sequence given out.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.messages.last_seq
    }

    /// The sequences between the first and the last that have no message, as runs.
    #[must_use]
    pub fn deleted(&self) -> Vec<SequenceRange> {
        if self.messages.len() == 0 { Vec::new() } else { self.messages.gaps() }
    }

    /// The subjects that `filter` matches, with their numbers of messages, by name.
    pub fn subjects_matching<'a>(
        &'a self,
        filter: &'a str,
    ) -> impl Iterator<Item = (&'a str, u64)> + 'a {
        self.messages.subjects.matching(filter).map(|(_, subject)| (&*subject.name, subject.count))
    }

    /// Whether the message `seq` is there.
    #[must_use]
    pub fn contains(&self, seq: u64) -> bool {
        self.messages.index.get(seq).is_some()
    }

    /// What is known of the message `seq`.
    #[must_use]
    pub fn message(&self, seq: u64) -> Option<MessageInfo<'_>> {
        let slot = self.messages.index.get(seq)?;
        let subject = &*self.messages.subjects.get(slot.subject)?.name;
        Some(MessageInfo { seq, time: slot.time, subject, size: slot.size })
    }

    /// The subject of the message `seq`.
    #[must_use]
    pub fn subject_of(&self, seq: u64) -> Option<&str> {
        self.message(seq).map(|message| message.subject)
    }

    /// The first message at or behind `from` that `filter` asks for.
    pub fn next_match(&self, filter: &mut FilterSet, from: u64) -> Option<u64> {
        filter.refresh(&self.messages.subjects);
        self.messages
            .index
            .iter_masked_from(from, filter.mask())
            .find(|(_, slot)| filter.takes(slot))
            .map(|(seq, _)| seq)
    }

    /// The messages from `from` on that `filter` asks for, in order.
    pub fn matches_from<'a>(
        &'a self,
        filter: &'a mut FilterSet,
        from: u64,
    ) -> impl Iterator<Item = u64> + use<'a> {
        filter.refresh(&self.messages.subjects);
        let filter: &'a FilterSet = filter;
        self.messages
            .index
            .iter_masked_from(from, filter.mask())
            .filter(|(_, slot)| filter.takes(slot))
            .map(|(seq, _)| seq)
    }

    /// The last message that `filter` asks for.
    pub fn last_match(&self, filter: &mut FilterSet) -> Option<u64> {
        filter.refresh(&self.messages.subjects);
        if filter.is_all() {
            return self.messages.subjects.iter().map(|(_, subject)| subject.last).max();
        }
        let wanted = filter.ids().filter_map(|id| self.messages.subjects.get(id));
        wanted.filter(|subject| subject.count > 0).map(|subject| subject.last).max()
    }

    /// The last message on a subject that `filter` matches.
    #[must_use]
    pub fn last_by_subject(&self, filter: &str) -> Option<u64> {
        self.messages.subjects.matching(filter).map(|(_, subject)| subject.last).max()
    }

    /// The last message of each subject that `filter` asks for, in the order of sequences.
    pub fn last_per_subject(&self, filter: &mut FilterSet) -> Vec<u64> {
        filter.refresh(&self.messages.subjects);
        let subjects = self.messages.subjects.iter();
        let mut last: Vec<u64> = if filter.is_all() {
            subjects.map(|(_, subject)| subject.last).collect()
        } else {
            let wanted = filter.ids().filter_map(|id| self.messages.subjects.get(id));
            wanted.filter(|subject| subject.count > 0).map(|subject| subject.last).collect()
        };
        last.sort_unstable();
        last
    }

    /// The messages in `range` that are the last of their subject in it and that `filter` asks for, in
    /// order.
    pub fn last_per_subject_in(&self, filter: &mut FilterSet, range: SequenceRange) -> Vec<u64> {
        if range.last >= self.messages.last_seq {
            let mut last = self.last_per_subject(filter);
            last.retain(|seq| *seq >= range.first);
            return last;
        }
        filter.refresh(&self.messages.subjects);
        let mut met = BTreeSet::new();
        let mut last: Vec<u64> = self
            .messages
            .index
            .iter_masked_below(range.last + 1, filter.mask())
            .take_while(|(seq, _)| *seq >= range.first)
            .filter(|(_, slot)| filter.takes(slot) && met.insert(slot.subject.place()))
            .map(|(seq, _)| seq)
            .collect();
        last.reverse();
        last
    }

    /// How many messages from `from` on `filter` asks for. It takes the shorter way: over what is
    /// counted, or over what is not.
    pub fn count_matching(&self, filter: &mut FilterSet, from: u64) -> u64 {
        filter.refresh(&self.messages.subjects);
        let index = &self.messages.index;
        if filter.is_all() {
            return index.count_from(from);
        }
        let first = self.messages.first_seq;
        let (behind, ahead) = (
            from.saturating_sub(first),
            self.messages.last_seq.saturating_sub(from.saturating_sub(1)),
        );
        if ahead < behind {
            let ahead = index.iter_masked_from(from, filter.mask());
            return ahead.filter(|(_, slot)| filter.takes(slot)).count() as u64;
        }
        let wanted = filter.ids().filter_map(|id| self.messages.subjects.get(id));
        let all: u64 = wanted.map(|subject| subject.count).sum();
        if from <= first {
            return all;
        }
        let behind = index.iter_masked_below(from, filter.mask());
        all - behind.filter(|(_, slot)| filter.takes(slot)).count() as u64
    }

    /// The first message stored at or after `time`; the sequence after the last if there is none.
    #[must_use]
    pub fn seq_at_time(&self, time: Timestamp) -> u64 {
        self.messages.index.at_time(time).unwrap_or(self.messages.last_seq + 1)
    }

    /// The messages from `from` on, in order.
    pub fn messages_from(&self, from: u64) -> impl Iterator<Item = MessageInfo<'_>> {
        self.messages.index.iter_from(from).filter_map(|(seq, slot)| {
            let subject = &*self.messages.subjects.get(slot.subject)?.name;
            Some(MessageInfo { seq, time: slot.time, subject, size: slot.size })
        })
    }
}
