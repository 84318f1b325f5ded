//! What clients hear, and what it makes of the history.

use flotilla_host::{Answer, Publish};
use flotilla_raft::GroupId;
use flotilla_stream::AckSubject;

use super::{Asked, Clients};
use crate::history::{ConsumerLife, Outcome, StreamLife};
use crate::invariant::{Invariants, Seen, Violation};
use crate::trace::Trace;
use crate::world::CallNumber;

/// What a client was told, in few words, if it changes anything.
fn brief(asked: &Asked, answer: Option<&Answer>) -> Option<String> {
    let told = match answer {
        Some(Answer::Asset { group, created, .. }) => format!("group {group}, new: {created}"),
        Some(Answer::Error(error)) => error.description.to_string(),
        Some(Answer::Done) => "done".to_owned(),
        None => "nothing".to_owned(),
        Some(_) => return None,
    };
    Some(format!("a client is told of {asked:?}: {told}"))
}

impl Clients {
    /// A message for a client. `is_late` says of a consumer whether the sender leads it no longer.
    ///
    /// # Errors
    /// An invariant does not hold.
    pub fn hear(
        &mut self,
        publish: &Publish,
        is_late: impl Fn(GroupId) -> bool,
        now: u64,
        invariants: &mut Invariants,
    ) -> Result<(), Violation> {
        let to = String::from_utf8_lossy(&publish.to);
        let mut words = to.split('.');
        let mut number = |_: ()| words.next().and_then(|word| word.parse::<u64>().ok());
        match to.as_bytes().first() {
            Some(b'A') => {
                number(());
                let Some(id) = number(()) else { return Ok(()) };
                self.hear_ack(id, &publish.payload, now, invariants)
            }
            Some(b'D') => {
                number(());
                let Some(group) = number(()) else { return Ok(()) };
                let consumer = GroupId(group);
                self.hear_delivery(consumer, publish, is_late(consumer), now, invariants)
            }
            Some(b'C') => {
                number(());
                let (Some(group), Some(seq)) = (number(()), number(())) else { return Ok(()) };
                let consumer = GroupId(group);
                if let Some(life) = self.history.consumers.get_mut(&consumer) {
                    life.confirmed.insert(seq);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn hear_ack(
        &mut self,
        id: u64,
        payload: &[u8],
        now: u64,
        invariants: &mut Invariants,
    ) -> Result<(), Violation> {
        let said: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
        let at = usize::try_from(id).unwrap_or(usize::MAX);
        let Some(publication) = self.history.publications.get_mut(at) else { return Ok(()) };
        let seq = said["seq"].as_u64().filter(|_| said.get("error").is_none());
        let Some(seq) = seq else {
            publication.outcome = Outcome::Refused;
            return Ok(());
        };
        let duplicate = said["duplicate"].as_bool().unwrap_or(false);
        publication.outcome = Outcome::Stored { seq, duplicate, at: now };
        let stream = publication.stream;
        if !duplicate && let Some(life) = self.history.streams.get_mut(&stream) {
            life.acked.insert(seq, id);
        }
        invariants.see(&self.history, &Seen::Stored { id, seq, duplicate })
    }

    fn hear_delivery(
        &mut self,
        consumer: GroupId,
        publish: &Publish,
        late: bool,
        now: u64,
        invariants: &mut Invariants,
    ) -> Result<(), Violation> {
        // What has no reply is a status.
        let Some(reply) = &publish.reply else { return Ok(()) };
        let reply = String::from_utf8_lossy(reply);
        let Some(subject) = AckSubject::parse(&reply) else { return Ok(()) };
        let (seq, deliveries) = (subject.stream_seq, subject.deliveries);
        let payload = &publish.payload;
        let seen = Seen::Delivered { consumer, seq, deliveries, payload, late };
        invariants.see(&self.history, &seen)?;
        if let Some(life) = self.history.consumers.get_mut(&consumer) {
            life.delivered.insert(seq);
        }
        self.delivered((consumer, seq, subject.consumer_seq, deliveries), now);
        Ok(())
    }

    /// The answer to a call. Returns how many messages a consumer still has, if that was asked.
    ///
    /// # Errors
    /// An invariant does not hold.
    pub fn answer(
        &mut self,
        number: CallNumber,
        answer: Option<Answer>,
        now: u64,
        notes: &mut Trace,
        invariants: &mut Invariants,
    ) -> Result<Option<(GroupId, u64)>, Violation> {
        let Some(asked) = self.asked.remove(&number) else { return Ok(None) };
        if let Some(line) = brief(&asked, answer.as_ref()) {
            notes.note(now, || line);
        }
        match (asked, answer) {
            (Asked::CreateStream(name, replicas), Some(Answer::Asset { group, .. })) => {
                self.stream_is(&name, replicas, group);
            }
            (Asked::CreateConsumer { stream, name }, Some(Answer::Asset { group, .. })) => {
                self.consumer_is(stream, &name, group);
            }
            (Asked::DeleteStream(group), Some(Answer::Done)) => {
                let name = self.history.streams.get(&group).map(|life| life.name.clone());
                if let Some(open) = name.and_then(|name| self.history.deleting.get_mut(&name)) {
                    *open -= 1;
                }
            }
            (Asked::Limit(name, max), Some(answer)) => self.limit_is(&name, max, &answer),
            (Asked::Remove(group, removal), Some(Answer::Done | Answer::Purged(_))) => {
                let life = self.history.streams.get_mut(&group);
                if let Some(removal) = life.and_then(|life| life.removals.get_mut(removal)) {
                    removal.answered = Some(now);
                }
            }
            // Without a leader it is what one replica has, and says so.
            (Asked::LastSeq { stream, known }, Some(Answer::Stream(info)))
                if info.cluster.leader.is_some() =>
            {
                let last_seq = info.last_seq;
                invariants.see(&self.history, &Seen::LastSeq { stream, known, last_seq })?;
            }
            (Asked::Floor { consumer, known }, Some(Answer::Consumer(info)))
                if info.cluster.leader.is_some() =>
            {
                let floor = info.ack_floor.1;
                invariants.see(&self.history, &Seen::Floor { consumer, known, floor })?;
                let told = self.floors.entry(consumer).or_default();
                *told = (*told).max(floor);
                return Ok(Some((consumer, info.num_pending + info.num_ack_pending)));
            }
            _ => {}
        }
        Ok(None)
    }

    /// A limit was answered: the stream may be another one than that which was meant, or one that is not known yet.
    fn limit_is(&mut self, name: &str, max: u64, answer: &Answer) {
        if let Some(open) = self.history.limiting.get_mut(name)
            && let Some(at) = open.iter().position(|limit| *limit == max)
        {
            open.swap_remove(at);
        }
        let Answer::Asset { group, .. } = answer else { return };
        let met = self.history.limited.entry(*group).or_insert(max);
        *met = max.min(*met);
        if let Some(life) = self.history.streams.get_mut(group) {
            life.max_msgs = Some(life.max_msgs.map_or(max, |before| before.min(max)));
        }
    }

    fn stream_is(&mut self, name: &str, replicas: u8, group: GroupId) {
        let life = self.history.streams.entry(group).or_insert_with(|| StreamLife {
            name: name.to_owned(),
            acked: std::collections::BTreeMap::new(),
            removals: Vec::new(),
            max_msgs: None,
            single: false,
            end_asked: None,
            may_be_gone: false,
        });
        let open = self.history.limiting.get(name).into_iter().flatten();
        let met = self.history.limited.get(&group);
        life.max_msgs = open.chain(met).chain(&life.max_msgs).min().copied();
        life.single |= replicas == 1;
        life.may_be_gone |= self.history.deleting.get(name).is_some_and(|open| *open > 0);
        // An answer that came late may name a life whose end was asked for meanwhile.
        if life.end_asked.is_none() {
            self.streams.insert(name.to_owned(), group);
        }
    }

    fn consumer_is(&mut self, stream: GroupId, name: &str, group: GroupId) {
        let life = self.history.consumers.entry(group).or_insert_with(|| ConsumerLife {
            name: name.to_owned(),
            stream,
            delivered: std::collections::BTreeSet::new(),
            confirmed: std::collections::BTreeSet::new(),
            end_asked: false,
        });
        let lives = self.history.streams.get(&stream).is_some_and(|s| s.end_asked.is_none());
        if lives && !life.end_asked {
            self.consumers.insert((stream, name.to_owned()), group);
        }
    }
}
