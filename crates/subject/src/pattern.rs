//! Comparing two subjects.
//!
//! All functions expect subjects that passed the [grammar](crate::grammar); on anything else they answer something,
//! without panicking.

use crate::grammar::{ANY, REST, tokens};

/// Does the literal subject `literal` belong to `pattern`? Tokens of `literal` are never taken as wildcards.
pub fn matches(pattern: &str, literal: &str) -> bool {
    let mut wanted = tokens(pattern);
    let mut given = tokens(literal);
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(REST), Some(token)) => return !token.is_empty(),
            (Some(ANY), Some(token)) if !token.is_empty() => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}

/// Is there a literal subject that belongs to both patterns?
pub fn overlap(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (tokens(a), tokens(b));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(REST), Some(_)) | (Some(_), Some(REST)) => return true,
            (Some(ANY), Some(_)) | (Some(_), Some(ANY)) => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// Does every literal subject of pattern `a` belong to pattern `b` too?
pub fn is_subset(a: &str, b: &str) -> bool {
    let (mut inner, mut outer) = (tokens(a), tokens(b));
    loop {
        match (inner.next(), outer.next()) {
            (None, None) => return true,
            (Some(_), Some(REST)) => return true,
            (Some(REST), Some(_)) => return false,
            (Some(_), Some(ANY)) => {}
            // An inner `*` is wider than any outer literal, so it falls through to "no" unless both are equal.
            (Some(inner), Some(outer)) if inner == outer => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matching_follows_the_reference_server() {
        let table = [
            ("foo", "foo", true),
            ("foo", "foo.bar", false),
            ("foo.bar", "foo", false),
            ("*", "foo", true),
            ("*", "foo.bar", false),
            ("foo.*", "foo.bar", true),
            ("foo.*", "foo", false),
            ("foo.*.baz", "foo.bar.baz", true),
            (">", "foo", true),
            (">", "foo.bar.baz", true),
            ("foo.>", "foo", false),
            ("foo.>", "foo.bar.baz", true),
            ("foo.*.>", "foo.bar", false),
            // In the literal wildcards are ordinary tokens.
            ("foo.bar", "foo.*", false),
            ("foo.*", "foo.*", true),
            ("foo.*", "foo.>", true),
            ("foo.*", "foo.", false),
            ("foo.>", "foo.", false),
        ];
        for (pattern, literal, expected) in table {
            assert_eq!(matches(pattern, literal), expected, "{pattern} against {literal}");
        }
    }

    #[test]
    fn overlap_and_subset_know_wildcards_on_both_sides() {
        assert!(overlap("foo.*", "*.bar"));
        assert!(overlap("foo.>", "*.*.baz"));
        assert!(!overlap("foo.>", "foo"));
        assert!(!overlap("foo.*", "foo.*.*"));
        assert!(is_subset("foo.bar", "foo.*"));
        assert!(is_subset("foo.*.*", "foo.>"));
        assert!(is_subset("foo.>", ">"));
        assert!(is_subset("foo.*", "foo.*"));
        assert!(!is_subset("foo.>", "foo.*"));
        assert!(!is_subset("*", "foo"));
        assert!(!is_subset("foo", "foo.>"));
    }

    fn literal() -> impl Strategy<Value = String> {
        prop::collection::vec("[ab]", 1..4).prop_map(|tokens| tokens.join("."))
    }

    fn pattern() -> impl Strategy<Value = String> {
        let token = prop_oneof![3 => "[ab]", 1 => Just("*".to_owned())];
        (prop::collection::vec(token, 0..4), any::<bool>()).prop_map(|(mut tokens, rest)| {
            if rest || tokens.is_empty() {
                tokens.push(">".to_owned());
            }
            tokens.join(".")
        })
    }

    /// All literals over the alphabet of the strategies, one token longer than any pattern.
    fn universe() -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut last = vec![String::new()];
        for _ in 0..5 {
            // `c` stands for every token that no pattern names.
            last = last
                .iter()
                .flat_map(|head| ["a", "b", "c"].map(|token| format!("{head}.{token}")))
                .collect();
            all.extend(last.iter().map(|subject| subject[1..].to_owned()));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn overlap_and_subset_agree_with_matching_every_literal(a in pattern(), b in pattern()) {
            let universe = universe();
            let shared = universe.iter().any(|s| matches(&a, s) && matches(&b, s));
            let inside = universe.iter().filter(|s| matches(&a, s)).all(|s| matches(&b, s));
            prop_assert_eq!(overlap(&a, &b), shared);
            prop_assert_eq!(overlap(&b, &a), shared);
            prop_assert_eq!(is_subset(&a, &b), inside);
        }

        #[test]
        fn a_literal_is_a_pattern_of_itself(a in literal(), b in literal()) {
            prop_assert_eq!(matches(&a, &b), a == b);
        }

        #[test]
        fn no_text_panics(a in ".*", b in ".*") {
            let _ = (matches(&a, &b), overlap(&a, &b), is_subset(&a, &b));
        }
    }
}
