//! One message to everyone it matches.

use std::sync::Arc;

use flotilla_proto::Delivery;
use flotilla_subject::{Matches, QueueGroup};
use rand::RngExt;
use rand::rngs::SmallRng;

use super::client::{ClientSubscription, Turn};
use super::staging::Staging;
use super::subscriptions::Target;
use super::{Deliver, Message, Origin, PeerId};

/// Among so many parts that got the last messages one is looked for; which is told twice has only less to do.
const REMEMBERED: usize = 8;

/// Which queue groups are to be served here.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Groups<'a> {
    /// All that match; a member may be on any server.
    All,
    /// Those for which the sending server chose this one; by a member here.
    Chosen(&'a [&'a str]),
}

/// What another server is sent: the message, and the groups it is to serve.
pub(crate) struct Forward {
    pub(crate) peer: PeerId,
    pub(crate) queues: Vec<Arc<str>>,
}

pub(crate) struct Fanout<'a, 'm> {
    message: Message<'m>,
    /// The message as clients get it, once one does.
    delivery: Option<Delivery<'m>>,
    staging: &'a mut Staging,
    random: &'a mut SmallRng,
    /// Collected for the caller.
    forwards: &'a mut Vec<Forward>,
    /// Subscriptions that had their last message; collected for the caller.
    expired: &'a mut Vec<Arc<ClientSubscription>>,
    /// Parts of the server that got something; collected for the caller.
    parts: &'a mut Vec<Arc<dyn Deliver>>,
}

impl<'a, 'm> Fanout<'a, 'm> {
    pub(crate) fn new(
        message: Message<'m>,
        staging: &'a mut Staging,
        random: &'a mut SmallRng,
        forwards: &'a mut Vec<Forward>,
        expired: &'a mut Vec<Arc<ClientSubscription>>,
        parts: &'a mut Vec<Arc<dyn Deliver>>,
    ) -> Self {
        staging.begin_message();
        Self { message, delivery: None, staging, random, forwards, expired, parts }
    }

    /// Hands the message to every plain subscriber and to one member of each queue group. Answers whether anyone
    /// got it.
    pub(crate) fn run(mut self, matches: &Matches<Target>, groups: Groups<'_>) -> bool {
        let mut reached = false;
        for target in &matches.plain {
            reached |= match target {
                Target::Remote(interest) => self.forward(interest.peer, None),
                local => self.deliver(local),
            };
        }
        for group in &matches.queues {
            reached |= match groups {
                Groups::Chosen(chosen) if chosen.contains(&&*group.name) => {
                    self.deliver_to_member(group)
                }
                Groups::Chosen(_) => false,
                Groups::All => self.deliver_to_member(group) || self.forward_to_member(group),
            };
        }
        reached
    }

    /// To a subscriber of this server, if it may have the message.
    fn deliver(&mut self, target: &Target) -> bool {
        match target {
            Target::Client(subscription) => self.deliver_to_client(subscription),
            Target::Internal(part) => {
                part.deliver(&self.message);
                let is_it = |other: &Arc<dyn Deliver>| Arc::ptr_eq(other, part);
                if !self.parts.iter().rev().take(REMEMBERED).any(is_it) {
                    self.parts.push(Arc::clone(part));
                }
                true
            }
            Target::Remote(_) => false,
        }
    }

    fn deliver_to_client(&mut self, subscription: &Arc<ClientSubscription>) -> bool {
        let client = &subscription.client;
        let is_unwanted_echo = matches!(
            self.message.origin,
            Origin::Client { connection, echo: false } if connection == client.id()
        );
        if is_unwanted_echo || client.outbox.is_closed() {
            return false;
        }
        match subscription.take_turn() {
            Turn::No => return false,
            Turn::Last => self.expired.push(Arc::clone(subscription)),
            Turn::Yes => {}
        }
        let message = &self.message;
        let delivery = self.delivery.get_or_insert_with(|| {
            let headers = message.headers.map(|headers| &headers[..]);
            Delivery::new(
                message.shown.unwrap_or(message.subject),
                message.reply,
                headers,
                message.payload,
            )
        });
        self.staging.message(client, message.size(), |out| {
            out.reserve(delivery.encoded_size(&subscription.sid));
            delivery.put(out, &subscription.sid, client.takes_headers());
        });
        true
    }

    /// To one member of this server, chosen at random.
    fn deliver_to_member(&mut self, group: &QueueGroup<Target>) -> bool {
        let members = &group.members;
        let [_, _, ..] = members.as_slice() else {
            return members.first().is_some_and(|only| self.deliver(only));
        };
        // A few throws find a member that takes the message, fairly among those that do, unless these are rare; then
        // all are asked in turn.
        for _ in 0..3 {
            let at = self.random.random_range(0..members.len());
            if self.deliver(&members[at]) {
                return true;
            }
        }
        let start = self.random.random_range(0..members.len());
        let (behind, before) = members.split_at(start);
        before.iter().chain(behind).any(|member| self.deliver(member))
    }

    /// To one server that has members, chosen at random by how many it has.
    fn forward_to_member(&mut self, group: &QueueGroup<Target>) -> bool {
        let remote = || {
            group.members.iter().filter_map(|member| match member {
                Target::Remote(interest) => Some((interest.peer, u64::from(interest.weight()))),
                _ => None,
            })
        };
        let total: u64 = remote().map(|(_, weight)| weight).sum();
        if total == 0 {
            return false;
        }
        let mut throw = self.random.random_range(0..total);
        let chosen = remote().find(|(_, weight)| match throw.checked_sub(*weight) {
            Some(left) => {
                throw = left;
                false
            }
            None => true,
        });
        chosen.is_some_and(|(peer, _)| self.forward(peer, Some(&group.name)))
    }

    /// Notes that `peer` gets the message; each peer gets it once, whatever it has for it.
    fn forward(&mut self, peer: PeerId, queue: Option<&Arc<str>>) -> bool {
        if matches!(self.message.origin, Origin::Peer(_)) {
            return false;
        }
        let place = match self.forwards.iter().position(|forward| forward.peer == peer) {
            Some(place) => place,
            None => {
                self.forwards.push(Forward { peer, queues: Vec::new() });
                self.forwards.len() - 1
            }
        };
        self.forwards[place].queues.extend(queue.cloned());
        true
    }
}
