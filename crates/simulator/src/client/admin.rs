//! Creating, changing and deleting assets, and moving who leads.

use flotilla_host::{ConsumerRequest, MetaRequest, Request, StreamRequest};
use flotilla_meta::ConsumerAction;
use flotilla_raft::{GroupId, StoreId};

use super::{ACCOUNT, Asked, Clients, configs};
use crate::history::{Removal, Removed};
use crate::world::World;

/// A request in few words.
fn brief(request: &MetaRequest) -> String {
    let mut text = format!("{request:?}");
    text.truncate(90);
    text
}

impl Clients {
    fn ask_meta(&mut self, request: MetaRequest, asked: Asked, world: &mut World) {
        let Some(leader) = world.leader(GroupId::META) else { return };
        world.trace.note(world.now, || {
            format!("a client asks {leader}: {asked:?} by {}", brief(&request))
        });
        let number = world.call(leader, GroupId::META, Request::Meta(request));
        self.asked.insert(number, asked);
    }

    pub(super) fn create(&mut self, world: &mut World) {
        if self.random.one_in(2) {
            let stream = self.some_stream();
            if let Some(stream) = stream.filter(|_| self.load.consumers > 0) {
                let name = format!("C{}", self.random.below(self.load.consumers));
                return self.create_consumer(stream, name, world);
            }
        }
        let name = format!("S{}", self.random.below(self.load.streams));
        if self.streams.contains_key(&name) {
            return;
        }
        let most = if world.stores().len() >= 5 { 3 } else { 2 };
        let replicas = [3, 1, 5][crate::plan::index(self.random.below(most))];
        let replicas = if self.random.one_in(3) { replicas } else { 3 };
        self.create_stream(name, replicas, world);
    }

    /// Asks for a stream.
    pub(crate) fn create_stream(&mut self, name: String, replicas: u8, world: &mut World) {
        let config = Box::new(configs::stream(&name, replicas));
        let account = ACCOUNT.to_owned();
        let request = MetaRequest::CreateStream { account, config, max_streams: None };
        self.ask_meta(request, Asked::CreateStream(name, replicas), world);
    }

    /// Asks for a consumer.
    pub(crate) fn create_consumer(&mut self, stream: GroupId, name: String, world: &mut World) {
        let Some(life) = self.history.streams.get(&stream) else { return };
        let request = MetaRequest::CreateConsumer {
            account: ACCOUNT.to_owned(),
            stream: life.name.clone(),
            config: Box::new(configs::consumer(&name)),
            action: ConsumerAction::CreateOrUpdate,
            max_consumers: None,
        };
        self.ask_meta(request, Asked::CreateConsumer { stream, name }, world);
    }

    pub(super) fn delete(&mut self, world: &mut World) {
        let account = ACCOUNT.to_owned();
        if self.random.one_in(2) {
            let Some(group) = self.some_consumer() else { return };
            let Some(life) = self.history.consumers.get_mut(&group) else { return };
            let Some(stream) = self.history.streams.get(&life.stream) else { return };
            life.end_asked = true;
            let request = MetaRequest::DeleteConsumer {
                account,
                stream: stream.name.clone(),
                consumer: life.name.clone(),
                group: Some(group),
            };
            let gone = (life.stream, life.name.clone());
            self.consumers.remove(&gone);
            return self.ask_meta(request, Asked::DeleteConsumer, world);
        }
        let Some(group) = self.some_stream() else { return };
        self.delete_stream(group, world);
    }

    /// Asks for the end of a stream.
    pub(crate) fn delete_stream(&mut self, group: GroupId, world: &mut World) {
        let account = ACCOUNT.to_owned();
        let Some(life) = self.history.streams.get_mut(&group) else { return };
        life.end_asked.get_or_insert(world.now);
        let stream = life.name.clone();
        let lives = self.history.streams.values_mut().filter(|life| life.name == stream);
        lives.for_each(|life| life.may_be_gone = true);
        *self.history.deleting.entry(stream.clone()).or_default() += 1;
        self.streams.remove(&stream);
        self.consumers.retain(|(of, _), _| *of != group);
        self.ask_meta(
            MetaRequest::DeleteStream { account, stream },
            Asked::DeleteStream(group),
            world,
        );
    }

    pub(super) fn remove(&mut self, world: &mut World) {
        let Some(group) = self.some_stream() else { return };
        let Some(life) = self.history.streams.get(&group) else { return };
        let last = life.acked.last_key_value().map_or(1, |(seq, _)| *seq);
        let request = if self.random.one_in(4) {
            let keep = Some(self.random.below(20));
            StreamRequest::Purge { filter: None, up_to: None, keep }
        } else {
            let seq = 1 + self.random.below(last);
            let erase = self.random.one_in(2);
            StreamRequest::Delete { seq, erase }
        };
        self.remove_by(group, request, world);
    }

    /// Asks a stream to remove messages.
    pub(crate) fn remove_by(&mut self, group: GroupId, request: StreamRequest, world: &mut World) {
        let Some(leader) = world.leader(group) else { return };
        let Some(life) = self.history.streams.get_mut(&group) else { return };
        let what = match &request {
            StreamRequest::Delete { seq, .. } => Removed::One(*seq),
            _ => Removed::Any,
        };
        let removal = life.removals.len();
        life.removals.push(Removal { what, answered: None });
        let number = world.call(leader, group, Request::Stream(request));
        self.asked.insert(number, Asked::Remove(group, removal));
    }

    pub(super) fn step_down(&mut self, world: &mut World) {
        let stores = world.stores();
        let preferred = self.draw(stores);
        let preferred = preferred.filter(|_| self.random.one_in(2));
        match self.random.below(4) {
            0 => self.ask_meta(MetaRequest::StepDown { preferred }, Asked::Nothing, world),
            1 => {
                let Some(group) = self.some_consumer() else { return };
                let request = Request::Consumer(ConsumerRequest::StepDown { preferred });
                self.ask_leader(group, request, world);
            }
            _ => {
                let Some(group) = self.some_stream() else { return };
                self.hand_over(group, preferred, world);
            }
        }
    }

    /// Asks a stream's leader to let another one lead.
    pub(crate) fn hand_over(&mut self, group: GroupId, to: Option<StoreId>, world: &mut World) {
        let request = Request::Stream(StreamRequest::StepDown { preferred: to });
        self.ask_leader(group, request, world);
    }

    fn ask_leader(&mut self, group: GroupId, request: Request, world: &mut World) {
        let Some(leader) = world.leader(group) else { return };
        let number = world.call(leader, group, request);
        self.asked.insert(number, Asked::Nothing);
    }

    pub(super) fn evict(&mut self, world: &mut World) {
        let Some(group) = self.some_stream() else { return };
        let Some(store) = self.draw(world.stores()) else { return };
        let Some(life) = self.history.streams.get_mut(&group) else { return };
        // Whoever takes away the only replica, on a server that is not there, has the stream begin anew.
        life.may_be_gone |= life.single;
        let (account, stream) = (ACCOUNT.to_owned(), life.name.clone());
        self.ask_meta(MetaRequest::RemovePeer { account, stream, store }, Asked::Nothing, world);
    }

    pub(super) fn scale(&mut self, world: &mut World) {
        let Some(group) = self.some_stream() else { return };
        let replicas = [1, 3, 3, 5][crate::plan::index(self.random.below(4))];
        self.scale_to(group, replicas, world);
    }

    /// Asks for another number of replicas.
    pub(crate) fn scale_to(&mut self, group: GroupId, replicas: u8, world: &mut World) {
        let Some(life) = self.history.streams.get_mut(&group) else { return };
        life.single |= replicas == 1;
        if usize::from(replicas) > world.stores().len() {
            return;
        }
        let (name, max) = (life.name.clone(), life.max_msgs);
        let mut config = configs::stream(&name, replicas);
        config.max_msgs = max;
        let asked = max.map_or(Asked::Nothing, |max| self.limiting(name, max));
        let (account, config) = (ACCOUNT.to_owned(), Box::new(config));
        self.ask_meta(MetaRequest::UpdateStream { account, config }, asked, world);
    }

    pub(super) fn limit(&mut self, world: &mut World) {
        let Some(group) = self.some_stream() else { return };
        let max = 20 + self.random.below(200);
        let Some(life) = self.history.streams.get_mut(&group) else { return };
        life.max_msgs = Some(life.max_msgs.map_or(max, |before| before.min(max)));
        let name = life.name.clone();
        let mut config = configs::stream(&name, 3);
        config.max_msgs = Some(max);
        let (account, config) = (ACCOUNT.to_owned(), Box::new(config));
        let asked = self.limiting(name, max);
        self.ask_meta(MetaRequest::UpdateStream { account, config }, asked, world);
    }

    /// A limit is about to be asked for.
    fn limiting(&mut self, name: String, max: u64) -> Asked {
        self.history.limiting.entry(name.clone()).or_default().push(max);
        Asked::Limit(name, max)
    }
}
