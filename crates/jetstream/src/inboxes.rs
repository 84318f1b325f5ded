//! The ways into this server's shards.

use std::sync::{Arc, OnceLock};

use flotilla_host::{Addressee, Input, addressed, shard_of};
use flotilla_raft::GroupId;

use crate::inbox::Inbox;

/// The inboxes of all shards, in their order. There is at least one.
pub(crate) struct Inboxes {
    inboxes: Vec<Arc<Inbox>>,
    /// Why they were closed, where a shard said so.
    why: OnceLock<String>,
}

impl Inboxes {
    /// For so many shards, of at least one; each takes so many bytes, as [`Inbox::new`] says.
    pub(crate) fn new(shards: usize, most_bytes: usize) -> Self {
        let inboxes = (0..shards.max(1)).map(|_| Arc::new(Inbox::new(most_bytes))).collect();
        Self { inboxes, why: OnceLock::new() }
    }

    /// The inbox of the shard that drives `group`.
    pub(crate) fn of(&self, group: GroupId) -> &Arc<Inbox> {
        &self.inboxes[shard_of(group, self.inboxes.len())]
    }

    /// Has turns taken for what was put into them quietly.
    pub(crate) fn offer(&self) {
        self.inboxes.iter().for_each(|inbox| inbox.offer());
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Inbox>> {
        self.inboxes.iter()
    }

    /// Gives an input to the shards that it is for. Returns whether all of them took it. What is the end of a shard's
    /// own doing goes into its inbox, and not here. Bundles wake nobody: [`offer`](Self::offer) follows the last of several.
    pub(crate) fn tell(&self, input: Input) -> bool {
        match input.addressee() {
            Addressee::Group(group) => self.of(group).push(input),
            Addressee::All => {
                let told = self.inboxes.iter().map(|inbox| inbox.push(input.clone()));
                told.fold(true, |all, taken| all & taken)
            }
            Addressee::Frame => match &input {
                Input::Bundle { frame, .. } => {
                    let mut all = true;
                    addressed(frame, self.inboxes.len(), &mut |shard: usize| {
                        all &= self.inboxes[shard].put(input.clone());
                    });
                    all
                }
                _ => false,
            },
            Addressee::Doer => false,
        }
    }

    /// Whether there is a shard that takes nothing any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.inboxes.iter().any(|inbox| inbox.is_closed())
    }

    /// Ends all shards' threads: one of them found out that this store must not go on.
    pub(crate) fn close_because(&self, why: String) {
        // The first reason is the one that counts.
        drop(self.why.set(why));
        self.close();
    }

    /// Why a shard closed them.
    pub(crate) fn why_closed(&self) -> Option<&str> {
        self.why.get().map(String::as_str)
    }

    /// Ends all shards' threads, each after the inputs that wait for it.
    pub(crate) fn close(&self) {
        self.inboxes.iter().for_each(|inbox| inbox.close());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flotilla_host::{Bundle, Inbound, Say, WalTicket};
    use flotilla_raft::StoreId;

    fn taken(inboxes: &Inboxes) -> Vec<usize> {
        let count = |inbox: &Arc<Inbox>| {
            let mut inputs = Vec::new();
            inbox.take(false, &mut inputs);
            inputs.len()
        };
        inboxes.iter().map(count).collect()
    }

    #[test]
    fn every_input_goes_to_the_shards_that_it_is_for_and_to_no_other() {
        let inboxes = Inboxes::new(3, 64 << 20);
        let (one, two) = (GroupId(0x101), GroupId(0x102));
        let publish = |group| Input::Publish { group, messages: Inbound::default() };
        assert!(inboxes.tell(publish(one)) && inboxes.tell(publish(two)));
        assert_eq!(taken(&inboxes), [0, 1, 1]);
        assert!(inboxes.tell(Input::Died(StoreId(7))));
        assert_eq!(taken(&inboxes), [1, 1, 1]);

        let mut bundle = Bundle::default();
        bundle.push(one, &Say::Wake);
        bundle.push(one, &Say::Wake);
        let frame = bundle.into_parts().concat().into();
        assert!(inboxes.tell(Input::Bundle { from: StoreId(7), frame }));
        assert_eq!(taken(&inboxes), [0, 1, 0]);

        assert!(!inboxes.tell(Input::Persisted(WalTicket(1))), "nobody knows whose it is");
        assert_eq!(taken(&inboxes), [0, 0, 0]);
    }

    #[test]
    fn they_end_together() {
        let inboxes = Inboxes::new(2, 64 << 20);
        inboxes.of(GroupId::META).close();
        assert!(inboxes.is_closed());
        assert!(!inboxes.tell(Input::HandOver), "not all took it");
        inboxes.close();
        assert!(inboxes.iter().all(|inbox| inbox.is_closed()));
    }
}
