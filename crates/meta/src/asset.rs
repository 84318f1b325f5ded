//! Streams and consumers as assets: their configuration, their group, and who belongs to it.

use std::collections::BTreeMap;

use flotilla_raft::{GroupId, Membership, ReplicaId, StoreId};
use flotilla_stream::{ConsumerConfig, Retention, StreamConfig, Timestamp};
use serde::{Deserialize, Serialize};

/// One life of an asset: allocated at creation, never used again. A stream deleted and created anew
/// under its old name has another, and another group: files and messages belong to these, never to
/// names.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Incarnation(pub u64);

impl std::fmt::Display for Incarnation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One seat in a group: a replica and the store that it lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The replica, allocated for this group and store.
    pub replica: ReplicaId,
    /// The store.
    pub store: StoreId,
}

/// What the leader of an asset's group last said about its committed configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The configuration.
    pub membership: Membership,
    /// The index in the group's log at which it was read; 0 is the founding configuration.
    pub index: u64,
    /// The epoch of the desired members that the leader worked towards.
    pub epoch: u64,
}

/// The group of one asset: its ids, and its members as wanted and as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetGroup {
    /// The group.
    pub id: GroupId,
    /// The asset's life.
    pub incarnation: Incarnation,
    /// Counts the changes of `desired`, from 1.
    pub epoch: u64,
    /// The voters that the group began with. Every replica starts from this configuration, the late
    /// ones too.
    pub founding: Vec<Member>,
    /// Who should be a voter; ascending by replica.
    pub desired: Vec<Member>,
    /// Who is.
    pub actual: Reported,
    /// Dropped replicas whose stores have not confirmed that they destroyed them.
    pub former: Vec<Member>,
    /// Whose replica should lead when there is no reason against it.
    pub preferred: StoreId,
}

impl AssetGroup {
    /// A group that begins with `members`.
    pub(crate) fn found(
        id: GroupId,
        incarnation: Incarnation,
        members: Vec<Member>,
        preferred: StoreId,
    ) -> Self {
        let membership = founding_membership(&members);
        let actual = Reported { membership, index: 0, epoch: 1 };
        Self {
            id,
            incarnation,
            epoch: 1,
            founding: members.clone(),
            desired: members,
            actual,
            former: vec![],
            preferred,
        }
    }

    /// The configuration that every replica of this group starts from, at index 0.
    #[must_use]
    pub fn founding_membership(&self) -> Membership {
        founding_membership(&self.founding)
    }

    /// Whether the last change is done and reported, so that the next may begin.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let Membership { voters, learners, voters_outgoing, .. } = &self.actual.membership;
        self.actual.epoch == self.epoch
            && learners.is_empty()
            && voters_outgoing.is_empty()
            && voters.len() == self.desired.len()
            && self.desired.iter().all(|m| voters.contains(&m.replica))
    }

    /// The desired member on `store`.
    #[must_use]
    pub fn member_on(&self, store: StoreId) -> Option<Member> {
        self.desired.iter().copied().find(|m| m.store == store)
    }

    /// The stores of the desired members.
    pub fn stores(&self) -> impl Iterator<Item = StoreId> {
        self.desired.iter().map(|m| m.store)
    }

    /// Whether `replica` should be a voter.
    #[must_use]
    pub fn desires(&self, replica: ReplicaId) -> bool {
        self.desired.iter().any(|m| m.replica == replica)
    }

    /// Whether it is recorded that `replica`, which was a member once, is out: it is not desired,
    /// and a leader that knew so has reported a committed configuration without it. An older report
    /// could come from before it was added.
    pub(crate) fn excludes(&self, replica: ReplicaId) -> bool {
        !self.desires(replica)
            && self.actual.epoch == self.epoch
            && !self.actual.membership.contains(replica)
    }

    /// The replicas that the group needs on `store`: the desired one, and what the actual
    /// configuration still counts on.
    pub fn needed_on(&self, store: StoreId) -> impl Iterator<Item = Member> {
        let desired = self.member_on(store);
        let counted = self
            .actual
            .membership
            .stores
            .iter()
            .map(|(&replica, &store)| Member { replica, store });
        let counted = counted
            .filter(move |m| m.store == store && Some(*m) != desired)
            .filter(|m| self.actual.membership.contains(m.replica));
        desired.into_iter().chain(counted)
    }

    /// The replica that may have files on `store`. A store holds one of a group: where there were several, the older ones
    /// were lost before their successors came.
    pub(crate) fn holder_on(&self, store: StoreId) -> Option<ReplicaId> {
        self.held().filter(|(_, on)| *on == store).map(|(replica, _)| replica).max()
    }

    /// The store of `replica`, if the actual configuration counts on it.
    pub(crate) fn counted_store_of(&self, replica: ReplicaId) -> Option<StoreId> {
        let membership = &self.actual.membership;
        membership.contains(replica).then(|| membership.store_of(replica)).flatten()
    }

    /// Every replica that may have files somewhere.
    #[must_use]
    pub fn holders(&self) -> BTreeMap<ReplicaId, StoreId> {
        self.held().collect()
    }

    /// Whether a replica may have files on `store`.
    pub(crate) fn is_held_on(&self, store: StoreId) -> bool {
        self.held().any(|(_, on)| on == store)
    }

    /// The [`holders`](Self::holders) in no order, some of them twice.
    fn held(&self) -> impl Iterator<Item = (ReplicaId, StoreId)> {
        let listed = self.desired.iter().chain(&self.former).map(|m| (m.replica, m.store));
        let counted =
            self.actual.membership.stores.iter().map(|(&replica, &store)| (replica, store));
        listed.chain(counted)
    }
}

fn founding_membership(members: &[Member]) -> Membership {
    Membership {
        voters: members.iter().map(|m| m.replica).collect(),
        stores: members.iter().map(|m| (m.replica, m.store)).collect(),
        ..Membership::default()
    }
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamAsset {
    /// When it was created; what `StreamInfo.created` says.
    pub created: Timestamp,
    /// Its configuration.
    pub config: StreamConfig,
    /// The one that its group began with, if that was another one: a late replica that gets the whole log must start
    /// where the others did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_config: Option<Box<StreamConfig>>,
    /// Its group.
    pub group: AssetGroup,
    /// Its consumers, by name. In boxes: most streams have one or two, and a node of the map has room for eleven.
    pub consumers: BTreeMap<String, Box<ConsumerAsset>>,
}

/// A consumer. Its members live on stores of its stream: it serves from the local stream replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerAsset {
    /// When it was created; what `ConsumerInfo.created` says.
    pub created: Timestamp,
    /// Its configuration.
    pub config: ConsumerConfig,
    /// The one that its group began with, if that was another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_config: Option<Box<ConsumerConfig>>,
    /// Its group.
    pub group: AssetGroup,
}

/// How many replicas a consumer of that stream gets. Without a wish it takes the stream's number,
/// except that an ephemeral one on a stream with limits retention gets one, as in the reference
/// server.
#[must_use]
pub fn consumer_replicas(stream: &StreamConfig, consumer: &ConsumerConfig) -> u8 {
    match consumer.replicas {
        0 if !consumer.durable && stream.retention == Retention::Limits => 1,
        0 => stream.replicas,
        // A stream that was scaled down takes its consumers along.
        wished => wished.min(stream.replicas),
    }
}

/// Which asset a group belongs to, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AssetName {
    /// A stream.
    Stream {
        /// Its account.
        account: String,
        /// Its name.
        stream: String,
    },
    /// A consumer.
    Consumer {
        /// Its account.
        account: String,
        /// The stream that it reads.
        stream: String,
        /// Its name.
        consumer: String,
    },
}

/// An asset found by its group.
#[derive(Clone, Copy, Debug)]
pub enum Asset<'a> {
    /// A stream.
    Stream(&'a StreamAsset),
    /// A consumer.
    Consumer(&'a ConsumerAsset),
}

impl<'a> Asset<'a> {
    /// Its group.
    #[must_use]
    pub fn group(self) -> &'a AssetGroup {
        match self {
            Self::Stream(asset) => &asset.group,
            Self::Consumer(asset) => &asset.group,
        }
    }

    /// When it was created.
    #[must_use]
    pub fn created(self) -> Timestamp {
        match self {
            Self::Stream(asset) => asset.created,
            Self::Consumer(asset) => asset.created,
        }
    }
}

/// What is left of a deleted asset until every store that may hold a replica confirmed to have
/// destroyed it, or was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The life that was ended.
    pub incarnation: Incarnation,
    /// The replicas not confirmed destroyed, and their stores.
    pub holders: BTreeMap<ReplicaId, StoreId>,
    /// When it was deleted.
    pub deleted: Timestamp,
}
