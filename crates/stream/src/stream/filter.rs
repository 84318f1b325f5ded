//! Which subjects of a stream a consumer or a request asks for.

use flotilla_subject::matches;

use super::{
    chunk::Slot,
    subjects::{SubjectId, Subjects},
};

/// Filters, with a memory of which of the stream's subjects they match, so that a scan tests one bit
/// per message. Every query that takes it brings it up to date first.
///
/// It belongs to one [`Stream`](crate::Stream) value: make a new one after a restore.
#[derive(Clone, Debug)]
pub struct FilterSet {
    filters: Vec<String>,
    all: bool,
    /// A bit for each subject number.
    matching: Vec<u64>,
    /// All their [`SubjectId::bit`]s.
    mask: u64,
    /// How many of the numbers that were given out are accounted for.
    seen: u64,
}

impl FilterSet {
    /// What any of `filters` matches; everything when there is none.
    #[must_use]
    pub fn new(filters: Vec<String>) -> Self {
        let all = filters.is_empty() || filters.iter().any(|filter| filter == ">");
        Self { filters, all, matching: Vec::new(), mask: 0, seen: 0 }
    }

    /// Whether it matches every subject.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// The filters it was made of.
    #[must_use]
    pub fn filters(&self) -> &[String] {
        &self.filters
    }

    /// Whether `subject` is asked for.
    #[must_use]
    pub fn matches(&self, subject: &str) -> bool {
        self.all || self.filters.iter().any(|filter| matches(filter, subject))
    }

    /// Accounts for the subjects that appeared since the last call.
    pub(super) fn refresh(&mut self, subjects: &Subjects) {
        if self.all || self.seen == subjects.given() {
            return;
        }
        match subjects.given_since(self.seen) {
            // Numbers that were given again must lose what they had.
            Some(given) => {
                for id in given {
                    let name = subjects.get(id).filter(|subject| subject.count > 0);
                    let wanted = name.is_some_and(|subject| self.matches(&subject.name));
                    self.set(id, wanted);
                }
            }
            None => {
                self.matching.clear();
                self.mask = 0;
                for filter in std::mem::take(&mut self.filters) {
                    for (id, _) in subjects.matching(&filter) {
                        self.set(id, true);
                    }
                    self.filters.push(filter);
                }
            }
        }
        self.seen = subjects.given();
    }

    fn set(&mut self, id: SubjectId, wanted: bool) {
        let (word, bit) = (id.place() / 64, 1 << (id.place() % 64));
        if wanted {
            if self.matching.len() <= word {
                self.matching.resize(word + 1, 0);
            }
            self.matching[word] |= bit;
            self.mask |= id.bit();
        } else if let Some(word) = self.matching.get_mut(word) {
            *word &= !bit;
        }
    }

    /// The bits that a chunk must share to hold a message asked for.
    pub(super) fn mask(&self) -> u64 {
        if self.all { u64::MAX } else { self.mask }
    }

    /// Whether a message is asked for.
    pub(super) fn takes(&self, slot: &Slot) -> bool {
        self.all || self.takes_id(slot.subject)
    }

    fn takes_id(&self, id: SubjectId) -> bool {
        let word = self.matching.get(id.place() / 64).copied().unwrap_or(0);
        word & (1 << (id.place() % 64)) != 0
    }

    /// The numbers of the subjects asked for. It must not be asked when all are.
    pub(super) fn ids(&self) -> impl Iterator<Item = SubjectId> {
        self.matching.iter().enumerate().flat_map(|(place, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(SubjectId::at(place * 64 + bit as usize))
            })
        })
    }
}
