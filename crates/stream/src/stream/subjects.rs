//! The subjects of a stream's messages, each known by a small number.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use flotilla_subject::{grammar::tokens, matches};

/// A subject's number, valid while a message of the subject is in the stream, and given to another
/// subject after that. It depends on how a replica came to its state, so nothing outside may see it
/// or an order that follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubjectId(u32);

impl SubjectId {
    /// No subject: the message is gone.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// One of 64 bits, by which a scan passes over what cannot match; [`Self::NONE`] has none.
    pub(super) fn bit(self) -> u64 {
        if self == Self::NONE { 0 } else { 1 << (self.0 % 64) }
    }

    pub(super) fn place(self) -> usize {
        self.0 as usize
    }

    /// The number of this place.
    pub(super) fn at(place: usize) -> Self {
        Self(place as u32)
    }
}

/// What is known of one subject.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) name: Arc<str>,
    /// How many messages it has; 0 says that the number is free.
    pub(super) count: u64,
    /// The sequence of its last message.
    pub(super) last: u64,
    /// All its sequences, if the stream has a limit per subject.
    sequences: VecDeque<u64>,
}

/// The subjects that have messages.
///
/// A tree and not a hash map: its order is the listing's, a filter's literal beginning narrows a
/// search in it, and no choice of subjects makes it slow (a core has no secret to key a hash with).
#[derive(Debug, Default)]
pub(super) struct Subjects {
    by_name: BTreeMap<Arc<str>, SubjectId>,
    entries: Vec<Subject>,
    free: Vec<SubjectId>,
    /// Whether all sequences of each subject are kept, for the limit per subject.
    tracking: bool,
    /// The last numbers given out, the newest at the back.
    recent: VecDeque<SubjectId>,
    /// How many numbers were ever given out.
    given: u64,
}

impl Subjects {
    pub(super) fn new(tracking: bool) -> Self {
        Self { tracking, ..Self::default() }
    }

    /// How many subjects have messages.
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn id(&self, name: &str) -> Option<SubjectId> {
        self.by_name.get(name).copied()
    }

    pub(super) fn get(&self, id: SubjectId) -> Option<&Subject> {
        self.entries.get(id.place())
    }

    /// Counts a message of `name` at `seq`, the greatest there is.
    pub(super) fn add(&mut self, name: &str, seq: u64) -> SubjectId {
        let id = self.id(name).unwrap_or_else(|| self.intern(name));
        let entry = &mut self.entries[id.place()];
        entry.count += 1;
        entry.last = seq;
        if self.tracking {
            entry.sequences.push_back(seq);
        }
        id
    }

    fn intern(&mut self, name: &str) -> SubjectId {
        let name: Arc<str> = name.into();
        let entry = Subject { name: name.clone(), count: 0, last: 0, sequences: VecDeque::new() };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id.place()] = entry;
                id
            }
            None => {
                // Each entry takes more than 64 bytes, so there is no memory for 2^32 of them.
                self.entries.push(entry);
                SubjectId::at(self.entries.len() - 1)
            }
        };
        self.by_name.insert(name, id);
        self.recent.push_back(id);
        self.given += 1;
        // Past as many as there are subjects, looking at all of them is not more work.
        if self.recent.len() > self.by_name.len().max(1024) {
            self.recent.pop_front();
        }
        id
    }

    /// Forgets the message `seq` of `id`; `previous` finds the last one below a sequence.
    pub(super) fn remove(
        &mut self,
        id: SubjectId,
        seq: u64,
        previous: impl FnOnce() -> Option<u64>,
    ) {
        let entry = &mut self.entries[id.place()];
        entry.count -= 1;
        if entry.count == 0 {
            self.by_name.remove(&entry.name);
            entry.sequences = VecDeque::new();
            self.free.push(id);
            return;
        }
        if self.tracking
            && let Ok(place) = entry.sequences.binary_search(&seq)
        {
            entry.sequences.remove(place);
        }
        if entry.last == seq {
            let kept = entry.sequences.back().copied();
            entry.last = kept.or_else(previous).unwrap_or(0);
        }
    }

    /// Forgets all messages. Numbers stay given, so that what remembers them is brought up to date.
    pub(super) fn clear(&mut self) {
        for id in std::mem::take(&mut self.by_name).into_values() {
            let entry = &mut self.entries[id.place()];
            entry.count = 0;
            entry.sequences = VecDeque::new();
            self.free.push(id);
        }
    }

    /// The first message of `id`, if sequences are kept.
    pub(super) fn first(&self, id: SubjectId) -> Option<u64> {
        self.get(id)?.sequences.front().copied()
    }

    /// Begins to keep all sequences of each subject, from `messages` in their order, or stops to.
    pub(super) fn track(
        &mut self,
        tracking: bool,
        messages: impl Iterator<Item = (u64, SubjectId)>,
    ) {
        if self.tracking == tracking {
            return;
        }
        self.tracking = tracking;
        for entry in &mut self.entries {
            entry.sequences = VecDeque::new();
        }
        if tracking {
            for (seq, id) in messages {
                self.entries[id.place()].sequences.push_back(seq);
            }
        }
    }

    /// The subjects that `filter` matches, by name.
    pub(super) fn matching(&self, filter: &str) -> impl Iterator<Item = (SubjectId, &Subject)> {
        let (prefix, wild) = literal_prefix(filter);
        let end = if wild { Bound::Unbounded } else { Bound::Included(prefix) };
        self.by_name
            .range::<str, _>((Bound::Included(prefix), end))
            .take_while(move |(name, _)| name.starts_with(prefix))
            .filter(move |(name, _)| !wild || matches(filter, name))
            .map(|(_, id)| (*id, &self.entries[id.place()]))
    }

    /// All subjects, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SubjectId, &Subject)> {
        self.by_name.values().map(|id| (*id, &self.entries[id.place()]))
    }

    /// How many numbers were ever given out.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// The numbers given out after the first `seen`; `None` if they are not all remembered.
    pub(super) fn given_since(&self, seen: u64) -> Option<impl Iterator<Item = SubjectId>> {
        let new = usize::try_from(self.given.checked_sub(seen)?).ok()?;
        let known = self.recent.len().checked_sub(new)?;
        Some(self.recent.range(known..).copied())
    }
}

/// The part of `filter` before its first wildcard, which begins every subject it matches, and whether
/// there is a wildcard at all.
fn literal_prefix(filter: &str) -> (&str, bool) {
    let mut start = 0;
    for token in tokens(filter) {
        if token == "*" || token == ">" {
            return (&filter[..start], true);
        }
        start += token.len() + 1;
    }
    (filter, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names<'a>(subjects: &'a Subjects, filter: &str) -> Vec<&'a str> {
        subjects.matching(filter).map(|(_, subject)| &*subject.name).collect()
    }

    #[test]
    fn a_filter_finds_its_subjects_in_order() {
        let mut subjects = Subjects::new(false);
        for (seq, name) in ["b.1", "a.2.x", "a.1", "a", "a.10", "ab.1"].into_iter().enumerate() {
            subjects.add(name, seq as u64);
        }
        assert_eq!(names(&subjects, "a.*"), ["a.1", "a.10"]);
        assert_eq!(names(&subjects, "a.>"), ["a.1", "a.10", "a.2.x"]);
        assert_eq!(names(&subjects, "*.1"), ["a.1", "ab.1", "b.1"]);
        assert_eq!(names(&subjects, "a.1"), ["a.1"]);
        assert_eq!(names(&subjects, "c"), [""; 0]);
        assert_eq!(names(&subjects, ">").len(), 6);
    }

    #[test]
    fn a_number_is_given_again_and_the_newest_are_remembered() {
        let mut subjects = Subjects::new(true);
        let first = subjects.add("a", 1);
        subjects.remove(first, 1, || None);
        assert_eq!(subjects.add("b", 2), first);
        assert_eq!(subjects.len(), 1);
        assert_eq!(subjects.given_since(1).unwrap().collect::<Vec<_>>(), [first]);

        for seq in 0..2000 {
            subjects.add(&format!("c.{seq}"), seq + 3);
        }
        assert!(subjects.given_since(1).is_some());
        for seq in 0..2000 {
            let id = subjects.id(&format!("c.{seq}")).unwrap();
            subjects.remove(id, seq + 3, || None);
            subjects.add(&format!("d.{seq}"), seq + 2003);
        }
        assert!(subjects.given_since(0).is_none(), "forgotten, so that memory is bounded");
        assert_eq!(subjects.given_since(subjects.given() - 2000).unwrap().count(), 2000);
    }

    #[test]
    fn the_first_and_last_of_a_subject_follow_removals() {
        let mut subjects = Subjects::new(true);
        for seq in [3, 5, 9] {
            subjects.add("a", seq);
        }
        let id = subjects.id("a").unwrap();
        subjects.remove(id, 9, || unreachable!("all sequences are kept"));
        assert_eq!((subjects.first(id), subjects.get(id).unwrap().last), (Some(3), 5));
        subjects.track(false, std::iter::empty());
        subjects.remove(id, 5, || Some(3));
        assert_eq!((subjects.first(id), subjects.get(id).unwrap().last), (None, 3));
    }
}
