//! Keeping a stream within its limits.

use super::{machine::Stream, outcome::Applied, subjects::SubjectId};
use crate::{Discard, Timestamp};

impl Stream {
    /// When the first message becomes too old. The leader proposes an
    /// [`Expire`](crate::StreamChange::Expire) then; messages go by its time, not by a clock.
    #[must_use]
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let max_age = self.config.max_age?;
        Some(self.messages.first_time()?.after(max_age))
    }

    /// Drops what is `max_age` old or older at the applied time.
    pub(super) fn drop_aged(&mut self, out: &mut Applied) {
        while self.next_expiry().is_some_and(|expiry| expiry <= self.applied_time) {
            self.remove(self.messages.first_seq, out);
        }
    }

    /// With [`Discard::Old`]: drops the oldest until messages and bytes are within the limits.
    pub(super) fn drop_above_limits(&mut self, out: &mut Applied) {
        if self.config.discard == Discard::New {
            return;
        }
        let max_msgs = self.config.max_msgs.unwrap_or(u64::MAX);
        let max_bytes = self.config.max_bytes.unwrap_or(u64::MAX);
        while self.messages.len() > max_msgs || self.messages.bytes > max_bytes {
            self.remove(self.messages.first_seq, out);
        }
    }

    /// The subject, if it holds as many messages as one subject may.
    pub(super) fn subject_at_limit(&self, subject: &str) -> Option<SubjectId> {
        let limit = self.config.max_msgs_per_subject?;
        let id = self.messages.subjects.id(subject)?;
        (self.messages.subjects.get(id)?.count >= limit).then_some(id)
    }

    /// Drops the oldest of `subject` until it is within the limit per subject.
    pub(super) fn drop_above_subject_limit(&mut self, subject: &str, out: &mut Applied) {
        if let Some(id) = self.messages.subjects.id(subject) {
            self.drop_above_limit_of(id, out);
        }
    }

    /// The same for all subjects, in the order of their names.
    pub(super) fn drop_above_subject_limits(&mut self, out: &mut Applied) {
        let Some(limit) = self.config.max_msgs_per_subject else { return };
        let above: Vec<SubjectId> = self
            .messages
            .subjects
            .iter()
            .filter(|(_, subject)| subject.count > limit)
            .map(|(id, _)| id)
            .collect();
        for id in above {
            self.drop_above_limit_of(id, out);
        }
    }

    fn drop_above_limit_of(&mut self, id: SubjectId, out: &mut Applied) {
        let Some(limit) = self.config.max_msgs_per_subject else { return };
        while self.messages.subjects.get(id).is_some_and(|subject| subject.count > limit)
            && let Some(first) = self.messages.subjects.first(id)
        {
            self.remove(first, out);
        }
    }
}
