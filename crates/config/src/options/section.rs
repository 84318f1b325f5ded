//! The table of options: what each section of a configuration may hold.
//!
//! The table feeds the reader, its suggestions, the reload rules and `docs/configuration.md`, so that no
//! option can be read and not be documented, or the reverse.

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name, in lower case; keys match in any case.
    pub name: &'static str,
    /// Other names of NATS for it.
    pub aliases: &'static [&'static str],
    /// What it takes, in words.
    pub kind: &'static str,
    /// Its value when absent: a value of the language in backquotes, or words.
    pub default: &'static str,
    /// Whether a reload can change it.
    pub reload: bool,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

/// A map of options.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// Where it stands, such as `cluster.tls`; empty for the outermost map. `*` is any name and `[]` any
    /// item of an array.
    pub path: &'static str,
    /// What it holds.
    pub keys: &'static [Key],
    /// Keys that NATS has here and Flotilla has not, aliases included.
    pub unsupported: &'static [&'static str],
}

/// What a key is to a section.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Lookup {
    /// An option.
    Known(&'static Key),
    /// A key of NATS that we do not have.
    Unsupported,
    /// Neither, and the known name most like it.
    Unknown(Option<&'static str>),
}

impl Section {
    /// Finds a key by its name or an alias, in any case.
    pub(crate) fn lookup(&self, name: &str) -> Lookup {
        let known = |key: &&Key| {
            key.name.eq_ignore_ascii_case(name)
                || key.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
        };
        if let Some(key) = self.keys.iter().find(known) {
            return Lookup::Known(key);
        }
        if self.unsupported.iter().any(|key| key.eq_ignore_ascii_case(name)) {
            return Lookup::Unsupported;
        }
        Lookup::Unknown(self.nearest(name))
    }

    /// The path of an option of this section.
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// The known name at the least edit distance, if it is near enough to be meant.
    fn nearest(&self, name: &str) -> Option<&'static str> {
        /// No key is longer, and the distance takes quadratic time.
        const LONGEST: usize = 40;
        if name.chars().count() > LONGEST {
            return None;
        }
        let name = name.to_ascii_lowercase();
        let candidates = self
            .keys
            .iter()
            .flat_map(|key| std::iter::once(key.name).chain(key.aliases.iter().copied()));
        candidates
            .map(|candidate| (edit_distance(&name, candidate), candidate))
            .filter(|(distance, candidate)| *distance * 3 <= candidate.len())
            .min()
            .map(|(_, candidate)| candidate)
    }
}

/// Characters to insert, remove or replace to make `left` into `right`.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, c) in left.chars().enumerate() {
        let mut above_left = index;
        let mut before = index + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(&right) {
            let replaced = above_left + usize::from(c != *other);
            above_left = *cell;
            before = replaced.min(before + 1).min(*cell + 1);
            *cell = before;
        }
        if let Some(first) = row.first_mut() {
            *first = index + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_single_edits() {
        for (left, right, distance) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("max_paylod", "max_payload", 1),
            ("prot", "port", 2),
        ] {
            assert_eq!(edit_distance(left, right), distance, "{left} {right}");
        }
    }
}
