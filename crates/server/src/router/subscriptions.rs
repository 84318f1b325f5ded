//! All subscriptions of one account: the trie, what peers are told of it, and what peers told us.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flotilla_subject::{EntryId, Found, Generations, InvalidSubject, Sublist};

use super::client::ClientSubscription;
use super::{Deliver, PeerId, Scope};

/// Where a matching message goes.
#[derive(Clone)]
pub(crate) enum Target {
    Client(Arc<ClientSubscription>),
    Internal(Arc<dyn Deliver>),
    Remote(Arc<RemoteInterest>),
}

/// The subscribers of another server to one subject, in one queue group or none.
pub(crate) struct RemoteInterest {
    pub(crate) peer: PeerId,
    /// How many there are. Changes without the trie's noticing.
    weight: AtomicU32,
}

impl RemoteInterest {
    pub(crate) fn weight(&self) -> u32 {
        self.weight.load(Ordering::Relaxed)
    }
}

/// Subject and queue group.
type InterestKey = (Box<str>, Option<Box<str>>);

fn key(subject: &str, queue: Option<&str>) -> InterestKey {
    (subject.into(), queue.map(Into::into))
}

#[derive(Default)]
pub(crate) struct Subscriptions {
    list: Sublist<Target>,
    /// How many subscribers of this server there are, as far as peers are to know.
    local: BTreeMap<InterestKey, u32>,
    remote: BTreeMap<(PeerId, InterestKey), (EntryId, Arc<RemoteInterest>)>,
}

impl Subscriptions {
    pub(crate) fn generations(&self) -> &Arc<Generations> {
        self.list.generations()
    }

    pub(crate) fn find(&self, subject: &str) -> Found<Target> {
        self.list.find(subject)
    }

    pub(crate) fn has_match(&self, subject: &str) -> bool {
        self.list.has_match(subject)
    }

    pub(crate) fn local_count(&self) -> usize {
        self.list.len() - self.remote.len()
    }

    /// Subject, queue group and weight of everything peers are to know.
    pub(crate) fn local_interest(&self) -> impl Iterator<Item = (&str, Option<&str>, u32)> {
        self.local.iter().map(|((subject, queue), count)| {
            (&**subject, queue.as_deref(), told_weight(queue.is_some(), *count))
        })
    }

    /// Adds a subscriber of this server. The second value is the weight to tell the peers, if that changed.
    pub(crate) fn add_local(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        scope: Scope,
        target: Target,
    ) -> Result<(EntryId, Option<u32>), InvalidSubject> {
        let entry = self.list.insert(subject, queue, target)?;
        if scope == Scope::Server {
            return Ok((entry, None));
        }
        let count = self.local.entry(key(subject, queue)).or_default();
        *count += 1;
        let is_news = queue.is_some() || *count == 1;
        Ok((entry, is_news.then(|| told_weight(queue.is_some(), *count))))
    }

    /// Takes a subscriber of this server out, if it is still there. Answers the weight to tell the peers, if that
    /// changed.
    pub(crate) fn remove_local(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        scope: Scope,
        entry: EntryId,
    ) -> Option<u32> {
        self.list.remove(subject, queue, entry)?;
        if scope == Scope::Server {
            return None;
        }
        let key = key(subject, queue);
        let count = self.local.get_mut(&key)?;
        *count -= 1;
        let count = *count;
        if count == 0 {
            self.local.remove(&key);
        }
        let is_news = queue.is_some() || count == 0;
        is_news.then(|| told_weight(queue.is_some(), count))
    }

    /// Notes that `peer` has `weight` subscribers of a kind now; zero if none is left.
    pub(crate) fn set_remote(
        &mut self,
        peer: PeerId,
        subject: &str,
        queue: Option<&str>,
        weight: u32,
    ) -> Result<(), InvalidSubject> {
        let key = (peer, key(subject, queue));
        match self.remote.get(&key) {
            Some((entry, _)) if weight == 0 => {
                self.list.remove(subject, queue, *entry);
                self.remote.remove(&key);
            }
            Some((_, interest)) => interest.weight.store(weight, Ordering::Relaxed),
            None if weight == 0 => {}
            None => {
                let interest = Arc::new(RemoteInterest { peer, weight: AtomicU32::new(weight) });
                let target = Target::Remote(Arc::clone(&interest));
                let entry = self.list.insert(subject, queue, target)?;
                self.remote.insert(key, (entry, interest));
            }
        }
        Ok(())
    }

    /// Forgets everything `peer` told us.
    pub(crate) fn forget_peer(&mut self, peer: PeerId) {
        let gone = self.remote.extract_if(.., |(of, _), _| *of == peer);
        for ((_, (subject, queue)), (entry, _)) in gone {
            self.list.remove(&subject, queue.as_deref(), entry);
        }
    }
}

/// Peers need to know of plain subscribers only whether there are any.
fn told_weight(is_queue: bool, count: u32) -> u32 {
    if is_queue { count } else { count.min(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nowhere;

    impl Deliver for Nowhere {
        fn deliver(&self, _: &super::super::Message<'_>) {}
    }

    fn target() -> Target {
        Target::Internal(Arc::new(Nowhere))
    }

    #[test]
    fn peers_hear_of_the_first_and_the_last_plain_subscriber_and_of_every_queue_member() {
        let mut all = Subscriptions::default();
        let (first, told) = all.add_local("a", None, Scope::Cluster, target()).unwrap();
        assert_eq!(told, Some(1));
        let (second, told) = all.add_local("a", None, Scope::Cluster, target()).unwrap();
        assert_eq!(told, None);
        let (member, told) = all.add_local("a", Some("q"), Scope::Cluster, target()).unwrap();
        assert_eq!(told, Some(1));
        let (_, told) = all.add_local("a", Some("q"), Scope::Cluster, target()).unwrap();
        assert_eq!(told, Some(2));
        let (_, told) = all.add_local("b", None, Scope::Server, target()).unwrap();
        assert_eq!(told, None);
        let interest: Vec<_> = all.local_interest().collect();
        assert_eq!(interest, [("a", None, 1), ("a", Some("q"), 2)]);
        assert_eq!(all.local_count(), 5);

        assert_eq!(all.remove_local("a", None, Scope::Cluster, first), None);
        assert_eq!(all.remove_local("a", None, Scope::Cluster, first), None, "already gone");
        assert_eq!(all.remove_local("a", None, Scope::Cluster, second), Some(0));
        assert_eq!(all.remove_local("a", Some("q"), Scope::Cluster, member), Some(1));
    }

    #[test]
    fn what_a_peer_says_replaces_what_it_said_before_and_goes_with_it() {
        let mut all = Subscriptions::default();
        let (one, two) = (PeerId(1), PeerId(2));
        all.set_remote(one, "a", Some("q"), 3).unwrap();
        all.set_remote(one, "a", Some("q"), 5).unwrap();
        all.set_remote(two, "a", None, 1).unwrap();
        all.set_remote(two, "b", None, 0).unwrap();
        assert!(all.set_remote(one, "a..b", None, 1).is_err());
        let found = all.find("a").matches;
        assert_eq!((found.plain.len(), found.queues[0].members.len()), (1, 1));
        let Target::Remote(interest) = &found.queues[0].members[0] else { panic!("remote") };
        assert_eq!((interest.peer, interest.weight()), (one, 5));
        assert_eq!(all.local_count(), 0);

        all.forget_peer(one);
        assert!(all.find("a").matches.queues.is_empty());
        all.set_remote(two, "a", None, 0).unwrap();
        assert!(!all.has_match("a"));
    }
}
