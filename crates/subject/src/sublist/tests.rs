use proptest::prelude::*;

use super::*;
use crate::pattern;

/// What a sublist does, said in the plainest way.
#[derive(Default)]
struct Model {
    entries: Vec<(EntryId, String, Option<String>, u32)>,
}

impl Model {
    fn matches(&self, literal: &str) -> Matches<u32> {
        let mut found = Matches::default();
        for (_, subject, queue, value) in &self.entries {
            if !pattern::matches(subject, literal) {
                continue;
            }
            let Some(queue) = queue else {
                found.plain.push(*value);
                continue;
            };
            match found.queues.iter_mut().find(|group| *group.name == **queue) {
                Some(group) => group.members.push(*value),
                None => found
                    .queues
                    .push(QueueGroup { name: queue.as_str().into(), members: vec![*value] }),
            }
        }
        found
    }
}

#[derive(Debug, Clone)]
enum Step {
    Insert(String, Option<String>),
    /// Removes the n-th oldest (modulo the number) that is left.
    Remove(usize),
    Look(String),
}

fn subject(wildcards: bool) -> impl Strategy<Value = String> {
    let token = if wildcards { "[ab*]" } else { "[ab]" };
    (prop::collection::vec(token, 1..4), any::<bool>()).prop_map(move |(mut tokens, rest)| {
        if wildcards && rest {
            tokens.push(">".to_owned());
        }
        tokens.join(".")
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let queue = prop::option::of("[qr]");
    let step = prop_oneof![
        3 => (subject(true), queue).prop_map(|(subject, queue)| Step::Insert(subject, queue)),
        2 => any::<usize>().prop_map(Step::Remove),
        4 => subject(false).prop_map(Step::Look),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_trie_and_its_cache_agree_with_a_plain_list(steps in steps()) {
        let mut list = Sublist::new();
        let mut model = Model::default();
        let mut cache = MatchCache::new(12);
        for (number, step) in (0_u32..).zip(steps) {
            match step {
                Step::Insert(subject, queue) => {
                    let id = list.insert(&subject, queue.as_deref(), number).unwrap();
                    model.entries.push((id, subject, queue, number));
                }
                Step::Remove(_) if model.entries.is_empty() => {}
                Step::Remove(at) => {
                    let (id, subject, queue, value) = model.entries.remove(at % model.entries.len());
                    prop_assert_eq!(list.remove(&subject, queue.as_deref(), id), Some(value));
                    prop_assert_eq!(list.remove(&subject, queue.as_deref(), id), None);
                }
                Step::Look(literal) => {
                    let expected = model.matches(&literal);
                    prop_assert_eq!(list.has_match(&literal), !expected.is_empty());
                    prop_assert_eq!(&list.matches(&literal), &expected);
                    let generations = std::sync::Arc::clone(list.generations());
                    let cached = cache.get(&generations, &literal, || list.find(&literal));
                    prop_assert_eq!(cached, &expected);
                    prop_assert!(cache.len() <= 12);
                }
            }
            prop_assert_eq!(list.len(), model.entries.len());
            prop_assert_eq!(list.iter().count(), model.entries.len());
        }
    }
}

#[test]
fn a_remembered_match_is_found_without_the_list() {
    let mut list = Sublist::new();
    list.insert("orders.*", None, 1).unwrap();
    let generations = std::sync::Arc::clone(list.generations());
    let mut cache = MatchCache::new(8);
    assert_eq!(cache.get(&generations, "orders.eu", || list.find("orders.eu")).plain, [1]);
    let again = cache.get(&generations, "orders.eu", || unreachable!("nothing changed"));
    assert_eq!(again.plain, [1]);

    list.insert("orders.>", None, 2).unwrap();
    assert_eq!(cache.get(&generations, "orders.eu", || list.find("orders.eu")).plain, [1, 2]);
}

/// Acknowledgements and replies: each has a subject of its own.
#[test]
fn subjects_that_begin_alike_are_found_without_the_list_where_no_pattern_tells_them_apart() {
    let mut list = Sublist::new();
    list.insert("$JS.ACK.>", None, 1).unwrap();
    list.insert("_INBOX.a.*", None, 2).unwrap();
    list.insert("_INBOX.b.*", None, 3).unwrap();
    let generations = std::sync::Arc::clone(list.generations());
    let mut cache = MatchCache::new(8);
    for (first, others) in [
        ("$JS.ACK.S.C.1.1", &["$JS.ACK.S.C.1.2", "$JS.ACK.T.D.1.9"][..]),
        ("_INBOX.a.1", &["_INBOX.a.2"]),
    ] {
        let found = cache.get(&generations, first, || list.find(first)).clone();
        for other in others {
            assert_eq!(*cache.get(&generations, other, || unreachable!("{other}")), found);
            assert_eq!(list.matches(other), found);
        }
    }
    for (other, reached) in [
        ("_INBOX.a.1.x", &[][..]),
        ("_INBOX.b.1", &[3]),
        ("_INBOX.a", &[]),
        ("_INBOX.a.", &[]),
        ("$JS.ACK", &[]),
        ("$JS.ACK.S..1", &[]),
    ] {
        assert_eq!(cache.get(&generations, other, || list.find(other)).plain, reached, "{other}");
    }
    list.insert("$JS.ACK.S.D.>", None, 4).unwrap();
    for (ack, reached) in [("$JS.ACK.S.C.1.3", &[1][..]), ("$JS.ACK.S.D.1.3", &[1, 4])] {
        assert_eq!(cache.get(&generations, ack, || list.find(ack)).plain, reached);
    }
}

#[test]
fn text_that_is_no_subject_is_refused_or_reaches_nobody() {
    let mut list = Sublist::new();
    for subject in ["", "a..b", "a b", ">.a"] {
        assert!(list.insert(subject, None, 0).is_err(), "{subject:?}");
    }
    list.insert(">", None, 1).unwrap();
    for literal in ["", "a.", ".a", "a..b", "a b"] {
        assert!(list.matches(literal).is_empty(), "{literal:?}");
        assert!(!list.has_match(literal), "{literal:?}");
    }
    // A wildcard in a published subject is an ordinary token.
    list.insert("a", None, 2).unwrap();
    assert_eq!(list.matches("*").plain, [1]);
}

#[test]
fn an_empty_list_keeps_no_nodes_and_a_deep_one_does_not_recurse() {
    let deep = vec!["x"; 100_000].join(".");
    let mut list = Sublist::new();
    let id = list.insert(&deep, Some("q"), 7).unwrap();
    assert_eq!(list.matches(&deep).queues[0].members, [7]);
    assert!(list.iter().map(|entry| entry.subject).eq([deep.as_str()]));
    assert_eq!(list.remove(&deep, Some("q"), id), Some(7));
    assert!(list.is_empty());
    assert_eq!(list.iter().count(), 0);
    let id = list.insert("y", None, 8).unwrap();
    assert_eq!(list.remove("y", Some("q"), id), None, "another queue is another subscription");
    assert_eq!(list.remove("y", None, id), Some(8));
}

#[test]
fn listings_are_ordered_by_subject() {
    let mut list = Sublist::new();
    for (subject, queue) in
        [("b", None), ("a.>", None), ("a.*", Some("q")), ("a", None), ("a", Some("q"))]
    {
        list.insert(subject, queue, ()).unwrap();
    }
    let listed: Vec<_> = list.iter().map(|entry| (entry.subject, entry.queue)).collect();
    let expected = [("a", None), ("a", Some("q")), ("a.*", Some("q")), ("a.>", None), ("b", None)];
    assert_eq!(listed, expected.map(|(subject, queue)| (subject.to_owned(), queue)));
}
