//! Clients: what they ask for, and what they make of what they hear.

mod admin;
mod configs;
mod hear;
mod messages;

use std::collections::BTreeMap;

use flotilla_disk::Seeded;
use flotilla_host::MILLISECOND;
use flotilla_raft::GroupId;

use crate::history::History;
use crate::plan::Load;
use crate::world::{CallNumber, World};

/// The timer of clients.
pub const TIMER: u64 = 1;
/// The account of all clients.
pub(crate) const ACCOUNT: &str = "$G";

/// What a client waits to hear of.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// Of that name, and with so many replicas.
    CreateStream(String, u8),
    CreateConsumer {
        stream: GroupId,
        name: String,
    },
    DeleteStream(GroupId),
    DeleteConsumer,
    /// A limit for the stream of that name, of so many messages.
    Limit(String, u64),
    /// Of which stream, and which of its removals.
    Remove(GroupId, usize),
    LastSeq {
        stream: GroupId,
        known: u64,
    },
    Floor {
        consumer: GroupId,
        known: u64,
    },
    Nothing,
}

/// An acknowledgement that a client is about to send.
#[derive(Clone, Debug)]
struct Delivery {
    consumer: GroupId,
    seq: u64,
    consumer_seq: u64,
    deliveries: u64,
}

/// All clients.
pub struct Clients {
    load: Load,
    random: Seeded,
    /// What they know.
    pub history: History,
    /// The group of each name, as far as clients know.
    pub(crate) streams: BTreeMap<String, GroupId>,
    pub(crate) consumers: BTreeMap<(GroupId, String), GroupId>,
    pub(crate) asked: BTreeMap<CallNumber, Asked>,
    /// What was delivered and is to be acknowledged, by time.
    due: BTreeMap<u64, Vec<Delivery>>,
    pulls: u64,
    msg_ids: u64,
    /// The greatest floor that anybody was told of, by consumer.
    floors: BTreeMap<GroupId, u64>,
    /// Whether clients only finish what they began.
    pub finishing: bool,
}

impl Clients {
    /// Clients that work as `load` says.
    #[must_use]
    pub fn new(load: Load, seed: u64) -> Self {
        Self {
            load,
            random: Seeded::new(seed ^ 0xC11E_4775),
            history: History::default(),
            streams: BTreeMap::new(),
            consumers: BTreeMap::new(),
            asked: BTreeMap::new(),
            due: BTreeMap::new(),
            pulls: 0,
            msg_ids: 0,
            floors: BTreeMap::new(),
            finishing: false,
        }
    }

    /// Does something, and asks to be called again.
    pub fn act(&mut self, world: &mut World) {
        self.acknowledge(world);
        if !self.finishing {
            self.do_something(world);
        }
        let pause = if self.finishing { 20 * MILLISECOND } else { self.load.pause };
        let next = world.now + 1 + self.random.below(2 * pause);
        world.at(next, TIMER);
    }

    fn do_something(&mut self, world: &mut World) {
        let weights = self.load.weights;
        let all = [
            weights.publish,
            weights.pull,
            weights.info,
            weights.remove,
            weights.step_down,
            weights.create,
            weights.delete,
            weights.evict,
            weights.scale,
            weights.limit,
        ];
        let mut drawn = self.random.below(all.iter().sum());
        let chosen = all.iter().position(|weight| match drawn.checked_sub(*weight) {
            Some(rest) => {
                drawn = rest;
                false
            }
            None => true,
        });
        match chosen.unwrap_or(0) {
            0 => self.publish(world),
            1 => self.pull(world),
            2 => self.ask_how_it_is(world),
            3 => self.remove(world),
            4 => self.step_down(world),
            5 => self.create(world),
            6 => self.delete(world),
            7 => self.evict(world),
            8 => self.scale(world),
            _ => self.limit(world),
        }
    }

    fn draw<T>(&mut self, from: impl IntoIterator<Item = T>) -> Option<T> {
        let mut from: Vec<T> = from.into_iter().collect();
        let at = crate::plan::index(self.random.below(from.len() as u64));
        if from.is_empty() { None } else { Some(from.swap_remove(at)) }
    }

    fn some_stream(&mut self) -> Option<GroupId> {
        self.draw(self.streams.values().copied().collect::<Vec<_>>())
    }

    fn some_consumer(&mut self) -> Option<GroupId> {
        self.draw(self.consumers.values().copied().collect::<Vec<_>>())
    }
}
