//! What can be seen of a shard from outside, without asking it to do anything: for the simulator's invariants.

use flotilla_meta::Meta;
use flotilla_raft::{GroupId, HardState, Membership, ReplicaId, Role};
use flotilla_stream::{Consumer, Stream};

use super::Shard;
use crate::replica::{Machine, Replica};
use crate::request::{Answer, Get, StoredMessage};

/// One replica, as it stands after a turn.
#[derive(Clone, Debug)]
pub struct ReplicaView<'a> {
    /// Its group.
    pub group: GroupId,
    /// Its id.
    pub replica: ReplicaId,
    /// What it is to its group.
    pub role: Role,
    /// Whether it leads and has applied an entry of its term.
    pub serves: bool,
    /// Whether its time goes on.
    pub awake: bool,
    /// Whether it waits for its disk. If not, its term, its vote and its log are on stable storage.
    pub persisting: bool,
    /// Term, vote and commit.
    pub hard_state: HardState,
    /// The last entry that it has applied.
    pub applied: u64,
    /// The last entry of its log.
    pub last_index: u64,
    /// The running hash of what it has applied.
    pub state_hash: u64,
    /// The members, as far as it has applied.
    pub membership: &'a Membership,
    /// The state itself.
    pub state: StateView<'a>,
}

/// The state of a replica's machine.
#[derive(Clone, Copy, Debug)]
pub enum StateView<'a> {
    /// Of the meta group.
    Meta(&'a Meta),
    /// Of a stream.
    Stream(&'a Stream),
    /// Of a consumer.
    Consumer(&'a Consumer),
}

impl Shard {
    /// All replicas that take part, by group within each kind. One that is about to become a state that a peer gave is
    /// left out: its log and its machine do not belong together.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaView<'_>> {
        let meta = self.replicas.meta.iter().filter(|r| !r.installing);
        let meta = meta.map(|meta| view(meta, StateView::Meta(&meta.machine.meta)));
        let streams = self.replicas.streams.values().filter(|r| !r.installing);
        let streams =
            streams.map(|replica| view(replica, StateView::Stream(&replica.machine.stream)));
        let consumers = self.replicas.consumers.values().filter(|r| !r.installing);
        let consumers =
            consumers.map(|replica| view(replica, StateView::Consumer(&replica.machine.consumer)));
        meta.chain(streams).chain(consumers)
    }

    /// A message as the stream's replica here has it, whether or not it leads; `None` if it has none of this sequence.
    pub fn message(&mut self, stream: GroupId, seq: u64) -> Option<StoredMessage> {
        let replica = self.replicas.streams.get_mut(&stream)?;
        // What cannot be read is repaired.
        self.dirty.insert(stream);
        match replica.machine.get(&Get::Seq(seq), &mut self.cx) {
            Answer::Message(message) => Some(message),
            _ => None,
        }
    }
}

fn view<'a, M: Machine>(replica: &'a Replica<M>, state: StateView<'a>) -> ReplicaView<'a> {
    let raft = &replica.raft;
    ReplicaView {
        group: replica.group,
        replica: raft.id(),
        role: raft.role(),
        serves: replica.serves(),
        awake: replica.is_awake(),
        persisting: raft.is_persisting() || raft.has_ready(),
        hard_state: raft.hard_state(),
        // A state that came as a whole is the machine's before the log has it.
        applied: raft.applied().max(replica.base.index),
        last_index: raft.last_index(),
        state_hash: replica.machine.state_hash(),
        membership: raft.membership(),
        state,
    }
}
