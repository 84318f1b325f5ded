//! What meta has decided about single groups, as one store needs to know it: a shard works from these and not from the
//! whole machine.

use std::collections::BTreeMap;

use flotilla_raft::{GroupId, ReplicaId, StoreId};
use flotilla_stream::{ConsumerConfig, StreamConfig, Timestamp};

use crate::asset::{Asset, AssetGroup, AssetName, Tombstone};
use crate::machine::Meta;

/// How a group stands with meta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its asset lives.
    Live(Box<LiveAsset>),
    /// Its asset was deleted, and not every store has confirmed that nothing is left of it.
    Deleted(Tombstone),
    /// Meta does not know it: not any more, or, if this server lags, not yet.
    Unknown,
}

/// See [`Standing::Live`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAsset {
    /// Whose group it is.
    pub name: AssetName,
    /// The group of the stream: of itself, or of the one that the consumer reads.
    pub stream: GroupId,
    /// When it was created.
    pub created: Timestamp,
    /// Its configuration.
    pub config: AssetConfig,
    /// The one that its group began with, if that was another one.
    first_config: Option<Box<AssetConfig>>,
    /// Its members.
    pub group: AssetGroup,
    /// The last replica that was allocated when this was said.
    last_replica: ReplicaId,
}

/// The configuration of an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AssetConfig {
    /// Of a stream.
    Stream(StreamConfig),
    /// Of a consumer.
    Consumer(ConsumerConfig),
}

impl LiveAsset {
    /// The configuration that its group began with: every replica starts from it, the late ones too.
    #[must_use]
    pub fn founding_config(&self) -> &AssetConfig {
        self.first_config.as_deref().unwrap_or(&self.config)
    }

    /// Whether it is recorded that `replica` is out of the group. Only then may its store destroy it.
    ///
    /// A replica not allocated yet is never out: this server lags, as it may after a restart, and does not know that
    /// the replica will be added.
    #[must_use]
    pub fn excludes(&self, replica: ReplicaId) -> bool {
        replica <= self.last_replica && self.group.excludes(replica)
    }
}

impl Standing {
    /// Whether `store` has, had or shall have a replica.
    #[must_use]
    pub fn concerns(&self, store: StoreId) -> bool {
        match self {
            Self::Live(asset) => asset.group.is_held_on(store),
            Self::Deleted(tombstone) => tombstone.holders.values().any(|s| *s == store),
            Self::Unknown => false,
        }
    }
}

impl Meta {
    /// How a group stands.
    #[must_use]
    pub fn standing(&self, group: GroupId) -> Standing {
        self.live(group).map(|asset| Standing::Live(Box::new(asset))).unwrap_or_else(|| {
            let tombstone = self.tombstones().get(&group).cloned();
            tombstone.map_or(Standing::Unknown, Standing::Deleted)
        })
    }

    /// Every group that concerns `store`.
    #[must_use]
    pub fn standings(&self, store: StoreId) -> BTreeMap<GroupId, Standing> {
        let live = self.groups().map(|(group, _)| group);
        live.chain(self.tombstones().keys().copied())
            .map(|group| (group, self.standing(group)))
            .filter(|(_, standing)| standing.concerns(store))
            .collect()
    }

    fn live(&self, group: GroupId) -> Option<LiveAsset> {
        let name = self.name_of(group)?.clone();
        let stream = self.stream_of(group)?.group.id;
        let last_replica = self.last_replica();
        let asset = self.asset(group)?;
        let (config, first_config) = match asset {
            Asset::Stream(stream) => (
                AssetConfig::Stream(stream.config.clone()),
                stream.first_config.as_deref().cloned().map(AssetConfig::Stream),
            ),
            Asset::Consumer(consumer) => (
                AssetConfig::Consumer(consumer.config.clone()),
                consumer.first_config.as_deref().cloned().map(AssetConfig::Consumer),
            ),
        };
        let first_config = first_config.map(Box::new);
        let (created, group) = (asset.created(), asset.group().clone());
        Some(LiveAsset { name, stream, created, config, first_config, group, last_replica })
    }
}
