//! The trie itself: one node per token of the subscribed patterns.
//!
//! Nodes live in one vector and name each other by index, so that neither a search nor a drop recurses: a pattern
//! may have as many tokens as fit into a control line.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Found, Generations, Matches, QueueGroup};
use crate::grammar::{
    ANY, InvalidSubject, REST, SEPARATOR, check_subscribable, is_publishable, tokens,
};

/// Names one subscription of one [`Sublist`]; ids grow in the order of insertion and are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(u64);

/// A subscription as the list holds it, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a, T> {
    /// The pattern that was subscribed to.
    pub subject: String,
    /// The queue group, if the subscription is a member of one.
    pub queue: Option<&'a str>,
    /// What was inserted.
    pub value: &'a T,
}

type NodeIndex = usize;
const ROOT: NodeIndex = 0;

/// Values of one node in the order of insertion; ids ascend, so one is found by binary search.
type Members<T> = Vec<(EntryId, T)>;

#[derive(Debug)]
struct Node<T> {
    literals: BTreeMap<Box<str>, NodeIndex>,
    any: Option<NodeIndex>,
    rest: Option<NodeIndex>,
    plain: Members<T>,
    queues: BTreeMap<Arc<str>, Members<T>>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self {
            literals: BTreeMap::new(),
            any: None,
            rest: None,
            plain: Vec::new(),
            queues: BTreeMap::new(),
        }
    }
}

impl<T> Node<T> {
    fn is_unused(&self) -> bool {
        self.literals.is_empty()
            && self.any.is_none()
            && self.rest.is_none()
            && self.plain.is_empty()
            && self.queues.is_empty()
    }

    fn is_leaf(&self) -> bool {
        self.literals.is_empty() && self.any.is_none() && self.rest.is_none()
    }

    fn child(&self, token: &str) -> Option<NodeIndex> {
        match token {
            ANY => self.any,
            REST => self.rest,
            token => self.literals.get(token).copied(),
        }
    }

    fn set_child(&mut self, token: &str, child: Option<NodeIndex>) {
        match (token, child) {
            (ANY, child) => self.any = child,
            (REST, child) => self.rest = child,
            (token, Some(child)) => {
                self.literals.insert(token.into(), child);
            }
            (token, None) => {
                self.literals.remove(token);
            }
        }
    }
}

/// The subscriptions of one subject space. See the [module](super) for how readers share it.
#[derive(Debug)]
pub struct Sublist<T> {
    nodes: Vec<Node<T>>,
    /// Unused places in `nodes`.
    free: Vec<NodeIndex>,
    count: usize,
    next_id: u64,
    generations: Arc<Generations>,
}

impl<T> Default for Sublist<T> {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            free: Vec::new(),
            count: 0,
            next_id: 0,
            generations: Arc::default(),
        }
    }
}

impl<T> Sublist<T> {
    /// A list without subscriptions.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The counters that tell a [`MatchCache`](super::MatchCache) when to ask again.
    pub fn generations(&self) -> &Arc<Generations> {
        &self.generations
    }

    /// Adds a subscription of `value` to `subject`, as a member of `queue` if one is given.
    ///
    /// # Errors
    /// `subject` is no valid subscription subject; nothing changed.
    pub fn insert(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        value: T,
    ) -> Result<EntryId, InvalidSubject> {
        check_subscribable(subject)?;
        let mut at = ROOT;
        for token in tokens(subject) {
            at = match self.nodes[at].child(token) {
                Some(child) => child,
                None => self.add_child(at, token),
            };
        }
        let id = EntryId(self.next_id);
        self.next_id += 1;
        let node = &mut self.nodes[at];
        match queue {
            None => node.plain.push((id, value)),
            Some(queue) => match node.queues.get_mut(queue) {
                Some(members) => members.push((id, value)),
                None => {
                    node.queues.insert(queue.into(), vec![(id, value)]);
                }
            },
        }
        self.count += 1;
        self.generations.changed(subject);
        Ok(id)
    }

    /// Takes out the subscription that [`insert`](Self::insert) named `id`, under the same `subject` and `queue`.
    /// Answers `None`, and changes nothing, if there is no such subscription (any more).
    pub fn remove(&mut self, subject: &str, queue: Option<&str>, id: EntryId) -> Option<T> {
        let mut path = Vec::new();
        let mut at = ROOT;
        for token in tokens(subject) {
            path.push((at, token));
            at = self.nodes[at].child(token)?;
        }
        let value = self.nodes[at].take(queue, id)?;
        self.count -= 1;
        self.prune(path, at);
        self.generations.changed(subject);
        Some(value)
    }

    fn add_child(&mut self, parent: NodeIndex, token: &str) -> NodeIndex {
        let child = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::default());
            self.nodes.len() - 1
        });
        self.nodes[parent].set_child(token, Some(child));
        child
    }

    /// Gives back the nodes that lead nowhere, from the end of `path` upwards.
    fn prune(&mut self, path: Vec<(NodeIndex, &str)>, last: NodeIndex) {
        let mut at = last;
        for (parent, token) in path.into_iter().rev() {
            if !self.nodes[at].is_unused() {
                return;
            }
            self.nodes[parent].set_child(token, None);
            // What the node had reserved for members is given back too.
            self.nodes[at] = Node::default();
            self.free.push(at);
            at = parent;
        }
    }

    /// Calls `visit` with every node whose pattern the valid literal `literal` belongs to. Returns what [`Found`] says
    /// decided that; the first token does in any case.
    fn visit_matching<'a>(&'a self, literal: &str, mut visit: impl FnMut(&'a Node<T>)) -> usize {
        let mut decided_by = literal.find(SEPARATOR).map_or(literal.len(), |end| end + 1);
        // What is still to be walked: a node and the byte where the rest of the subject begins.
        let mut pending = vec![(ROOT, 0)];
        while let Some((at, start)) = pending.pop() {
            let node = &self.nodes[at];
            // Behind the last token lies one byte past the end, where its separator would be.
            let Some(remaining) = literal.get(start..) else {
                visit(node);
                continue;
            };
            if let Some(rest) = node.rest {
                visit(&self.nodes[rest]);
            }
            let token = tokens(remaining).next().unwrap_or_default();
            let next = start + token.len() + 1;
            // Of a token that is followed by nothing but a wildcard at the end it only matters that it is there.
            if !node.literals.is_empty() || node.any.is_some_and(|any| !self.nodes[any].is_leaf()) {
                decided_by = decided_by.max(next);
            }
            pending.extend(node.any.map(|any| (any, next)));
            pending.extend(node.literals.get(token).map(|child| (*child, next)));
        }
        decided_by.min(literal.len())
    }

    /// Does any subscription match `literal`?
    pub fn has_match(&self, literal: &str) -> bool {
        let mut found = false;
        if is_publishable(literal) {
            self.visit_matching(literal, |node| {
                found |= !node.plain.is_empty() || !node.queues.is_empty();
            });
        }
        found
    }

    /// Every subscription, ordered by subject, plain ones before queue groups, then by insertion.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_, T>> {
        let mut pending = vec![(ROOT, String::new())];
        std::iter::from_fn(move || {
            let (at, subject) = pending.pop()?;
            let node = &self.nodes[at];
            let below = |token: &str| match subject.as_str() {
                "" => token.to_owned(),
                head => format!("{head}.{token}"),
            };
            // The last one pushed is visited first.
            pending.extend(node.rest.map(|child| (child, below(REST))));
            pending.extend(node.any.map(|child| (child, below(ANY))));
            let literals = node.literals.iter().rev();
            pending.extend(literals.map(|(token, child)| (*child, below(token))));
            Some(node.entries(subject))
        })
        .flatten()
    }
}

impl<T: Clone> Sublist<T> {
    /// All that `literal` reaches, in the order of insertion. Wildcards in `literal` are ordinary tokens; text that
    /// is no publishable subject reaches nobody.
    pub fn matches(&self, literal: &str) -> Matches<T> {
        self.find(literal).matches
    }

    /// The same, with what decided it.
    pub fn find(&self, literal: &str) -> Found<T> {
        if !is_publishable(literal) {
            return Found { matches: Matches::default(), decided_by: literal.len() };
        }
        let mut plain: Members<T> = Vec::new();
        let mut groups: BTreeMap<&Arc<str>, Members<T>> = BTreeMap::new();
        let decided_by = self.visit_matching(literal, |node| {
            plain.extend_from_slice(&node.plain);
            for (name, members) in &node.queues {
                groups.entry(name).or_default().extend_from_slice(members);
            }
        });
        let mut queues: Vec<_> = groups
            .into_iter()
            .map(|(name, mut members)| {
                members.sort_unstable_by_key(|(id, _)| *id);
                (members.first().map(|(id, _)| *id), name, members)
            })
            .collect();
        plain.sort_unstable_by_key(|(id, _)| *id);
        queues.sort_unstable_by_key(|(oldest, ..)| *oldest);
        let queues = queues.into_iter().map(|(_, name, members)| QueueGroup {
            name: Arc::clone(name),
            members: values(members),
        });
        let matches = Matches { plain: values(plain), queues: queues.collect() };
        Found { matches, decided_by }
    }
}

fn values<T>(members: Members<T>) -> Vec<T> {
    members.into_iter().map(|(_, value)| value).collect()
}

impl<T> Node<T> {
    fn take(&mut self, queue: Option<&str>, id: EntryId) -> Option<T> {
        let Some(queue) = queue else { return take(&mut self.plain, id) };
        let members = self.queues.get_mut(queue)?;
        let value = take(members, id)?;
        if members.is_empty() {
            self.queues.remove(queue);
        }
        Some(value)
    }

    fn entries(&self, subject: String) -> impl Iterator<Item = Entry<'_, T>> {
        let plain = self.plain.iter().map(|member| (None, member));
        let queued = self
            .queues
            .iter()
            .flat_map(|(name, members)| members.iter().map(|member| (Some(&**name), member)));
        plain.chain(queued).map(move |(queue, (_, value))| Entry {
            subject: subject.clone(),
            queue,
            value,
        })
    }
}

fn take<T>(members: &mut Members<T>, id: EntryId) -> Option<T> {
    let place = members.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    Some(members.remove(place).1)
}
