//! Publishing, pulling and acknowledging.

use std::sync::Arc;

use bytes::Bytes;
use flotilla_host::{
    ConsumerInput, ConsumerRequest, Inbound, Input, MILLISECOND, Request, SECOND, StreamRequest,
};
use flotilla_raft::{GroupId, StoreId};
use flotilla_stream::{Ack, AckKind, PullRequest};

use super::{Asked, Clients, Delivery};
use crate::history::{Outcome, Publication};
use crate::world::World;

impl Clients {
    /// Who is believed to lead a group: mostly rightly.
    fn leader(&mut self, group: GroupId, world: &World) -> Option<StoreId> {
        if self.random.one_in(10) {
            let claimants = world.claimants(group);
            return self.draw(claimants);
        }
        world.leader(group)
    }

    pub(super) fn publish(&mut self, world: &mut World) {
        let Some(group) = self.some_stream() else { return self.create(world) };
        let count = 1 + self.random.below(6);
        self.publish_to(group, count, world);
    }

    /// Publishes some messages at once.
    pub(crate) fn publish_to(&mut self, group: GroupId, count: u64, world: &mut World) {
        let Some(leader) = self.leader(group, world) else { return };
        let mut messages = Inbound::default();
        (0..count).for_each(|_| self.message(group, world.now, &mut messages));
        world.give(leader, Input::Publish { group, messages });
    }

    /// One message to one stream, for whoever wants to know that it takes some.
    pub fn probe(&mut self, group: GroupId, world: &mut World) -> Option<u64> {
        let leader = world.leader(group)?;
        let mut messages = Inbound::default();
        self.message(group, world.now, &mut messages);
        world.give(leader, Input::Publish { group, messages });
        Some(self.history.publications.len() as u64 - 1)
    }

    fn message(&mut self, group: GroupId, now: u64, into: &mut Inbound) {
        let id = self.history.publications.len() as u64;
        let Some(life) = self.history.streams.get(&group) else {
            unreachable!("clients know of no other streams")
        };
        let name = life.name.clone();
        let last = life.acked.last_key_value().map_or(0, |(seq, _)| *seq);
        let one_in = |random: &mut flotilla_disk::Seeded, n: u64| n > 0 && random.one_in(n);
        let msg_id = one_in(&mut self.random, self.load.with_id).then(|| {
            // Now and then one that was used already.
            if self.random.one_in(3) {
                self.msg_ids += 1;
            }
            format!("m{}", self.msg_ids.saturating_sub(self.random.below(3)))
        });
        let expecting = one_in(&mut self.random, self.load.expecting);
        let expected = expecting.then(|| last.saturating_sub(self.random.below(2)));
        let publication = Publication {
            id,
            stream: group,
            subject: format!("{name}.{}", self.random.below(5)),
            len: crate::plan::index(8 + self.random.below(self.load.payload)),
            msg_id,
            expected,
            at: now,
            outcome: Outcome::Unknown,
        };
        let (reply, headers) = (format!("A.{id}"), headers(&publication));
        into.push(&publication.subject, &reply, &headers, &publication.payload());
        self.history.publications.push(publication);
    }

    pub(super) fn pull(&mut self, world: &mut World) {
        let Some(group) = self.some_consumer() else { return };
        self.pull_from(group, world);
    }

    /// Asks a consumer for messages.
    pub fn pull_from(&mut self, group: GroupId, world: &mut World) {
        let Some(leader) = self.leader(group, world) else { return };
        self.pulls += 1;
        let reply: Arc<str> = format!("D.{}.{}", group.0, self.pulls).into();
        let pull = PullRequest {
            reply,
            // In the end all that is left is to come soon.
            batch: if self.finishing { 200 } else { 1 + self.random.below(20) },
            max_bytes: None,
            expires: Some((1 + self.random.below(3)) * SECOND),
            no_wait: self.random.one_in(5),
            idle_heartbeat: None,
        };
        world.give(leader, Input::Consumer { group, inputs: vec![ConsumerInput::Pull(pull)] });
    }

    /// Remembers to acknowledge what was delivered; sometimes a client forgets.
    pub(super) fn delivered(&mut self, delivery: (GroupId, u64, u64, u64), now: u64) {
        let (consumer, seq, consumer_seq, deliveries) = delivery;
        let delivery = Delivery { consumer, seq, consumer_seq, deliveries };
        if !self.finishing && self.random.one_in(12) {
            return;
        }
        let at = now + self.random.below(60) * MILLISECOND;
        self.due.entry(at).or_default().push(delivery);
    }

    pub(super) fn acknowledge(&mut self, world: &mut World) {
        let later = self.due.split_off(&(world.now + 1));
        let due = std::mem::replace(&mut self.due, later);
        for delivery in due.into_values().flatten() {
            let consumer = delivery.consumer;
            let Some(leader) = self.leader(consumer, world) else { continue };
            let naks = !self.finishing && self.random.one_in(10);
            let kind = if naks { AckKind::Nak { delay: 0 } } else { AckKind::Ack };
            let ack = Ack {
                stream_seq: delivery.seq,
                consumer_seq: delivery.consumer_seq,
                deliveries: delivery.deliveries,
                reply: (!naks).then(|| format!("C.{}.{}", consumer.0, delivery.seq).into()),
                kind,
            };
            let inputs = vec![ConsumerInput::Ack(ack)];
            world.give(leader, Input::Consumer { group: consumer, inputs });
        }
    }

    pub(super) fn ask_how_it_is(&mut self, world: &mut World) {
        if self.random.one_in(2) {
            let Some(consumer) = self.some_consumer() else { return };
            self.ask_consumer(consumer, world);
        } else if let Some(stream) = self.some_stream() {
            // Whoever says that it leads may be asked: one that was cut off says so for a while.
            let claimants = world.claimants(stream);
            let Some(leader) = self.draw(claimants) else { return };
            let known = self.history.streams.get(&stream);
            let known = known.and_then(|life| life.acked.last_key_value()).map_or(0, |(s, _)| *s);
            let info =
                StreamRequest::Info { deleted_details: false, subjects_filter: None, offset: 0 };
            let number = world.call(leader, stream, Request::Stream(info));
            self.asked.insert(number, Asked::LastSeq { stream, known });
        }
    }

    /// Asks a consumer how far it is.
    pub fn ask_consumer(&mut self, consumer: GroupId, world: &mut World) {
        let Some(leader) = self.leader(consumer, world) else { return };
        let known = self.floors.get(&consumer).copied().unwrap_or(0);
        let number = world.call(leader, consumer, Request::Consumer(ConsumerRequest::Info));
        self.asked.insert(number, Asked::Floor { consumer, known });
    }
}

fn headers(publication: &Publication) -> Bytes {
    let mut lines = String::new();
    if let Some(id) = &publication.msg_id {
        lines += &format!("Nats-Msg-Id: {id}\r\n");
    }
    if let Some(seq) = publication.expected {
        lines += &format!("Nats-Expected-Last-Sequence: {seq}\r\n");
    }
    if lines.is_empty() { Bytes::new() } else { format!("NATS/1.0\r\n{lines}\r\n").into() }
}
