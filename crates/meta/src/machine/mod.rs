//! The replicated state machine of the meta group.

mod census;
mod consumers;
mod members;
mod outcome;
mod reports;
mod rules;
mod servers;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use flotilla_raft::{GroupId, ReplicaId, Slot, StoreId};
use flotilla_stream::Timestamp;
use serde::{Deserialize, Serialize};

use crate::asset::{
    Asset, AssetGroup, AssetName, ConsumerAsset, Incarnation, Member, StreamAsset, Tombstone,
};
use crate::codec::{self, DamagedCommand};
use crate::command::Command;
use crate::error::MetaError;
use crate::server::{ClusterId, Server};

pub use census::StoreLoad;
pub use outcome::{AssetChange, AssetRef, Delta, Outcome, Reply};

/// Everything the meta group decided. Equal on every server that applied the same commands, as
/// [`state_hash`](Self::state_hash) shows.
///
/// The default is the state of a server that has not joined: no cluster, no servers; it waits for
/// its first base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    cluster_id: ClusterId,
    time: Timestamp,
    state_hash: u64,
    /// The last ids given away.
    last_group: GroupId,
    last_replica: ReplicaId,
    last_incarnation: Incarnation,
    servers: BTreeMap<StoreId, Server>,
    accounts: BTreeMap<String, BTreeMap<String, Box<StreamAsset>>>,
    tombstones: BTreeMap<GroupId, Tombstone>,
    /// Which asset a group is; derived, so not in the base.
    #[serde(skip)]
    groups: BTreeMap<GroupId, AssetName>,
    /// What is counted of all assets; derived, too.
    #[serde(skip)]
    census: census::Census,
}

/// Why a base cannot be taken up. All of these are damage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// It does not decode.
    #[error(transparent)]
    Damaged(#[from] DamagedCommand),
    /// One group belongs to two assets, or to a live and a deleted one.
    #[error("the meta base names group {0} twice")]
    GroupTwice(GroupId),
    /// An id in use was not given away yet.
    #[error(
        "the meta base uses group {group} or one of its replicas beyond the last one allocated"
    )]
    Unallocated {
        /// The group.
        group: GroupId,
    },
}

impl Meta {
    /// The founder's replica of the meta group; every other id is allocated.
    pub const FOUNDER: ReplicaId = ReplicaId(1);

    /// The state that a cluster begins with: nobody but the founder, whose name and limits follow
    /// when it registers. It is no command of the log, so it has to be in the first base, at an
    /// index above 0: those who join then receive it as a snapshot.
    #[must_use]
    pub fn found(cluster_id: ClusterId, founder: StoreId) -> Self {
        let mut meta = Self {
            cluster_id,
            last_group: GroupId::META,
            last_replica: Self::FOUNDER,
            ..Self::default()
        };
        meta.servers.insert(founder, Server::founder(founder));
        meta
    }

    /// Applies a committed entry's data, as [`Command::encode`] made it.
    ///
    /// A refused command is an outcome like any other, with nothing changed but the time.
    ///
    /// # Errors
    /// [`DamagedCommand`] when it does not decode; nothing was changed and this replica must stop.
    pub fn apply(&mut self, command: &[u8]) -> Result<Outcome, DamagedCommand> {
        let (time, decoded) = Command::decode(command)?;
        self.time = self.time.max(time);
        let mut deltas = Vec::new();
        let reply = self.carry_out(decoded, &mut deltas);
        let outcome = match reply {
            Ok(reply) => Outcome { reply, deltas },
            // Every command validates before it changes anything, so there are no deltas here.
            Err(error) => Outcome { reply: Reply::Error(error), deltas: Vec::new() },
        };
        self.state_hash = outcome::fold(self.state_hash, command, &outcome, self);
        Ok(outcome)
    }

    fn carry_out(&mut self, command: Command, deltas: &mut Vec<Delta>) -> Result<Reply, MetaError> {
        match command {
            Command::RegisterServer { info, rejoin } => self.register_server(info, rejoin, deltas),
            Command::RenewReplica { store, loss, after } => {
                self.renew_replica(store, loss, after, deltas)
            }
            Command::UpdateServer { info } => self.update_server(info, deltas),
            Command::RemoveServer { store } => self.remove_server(store, deltas),
            Command::CreateStream { account, config, stores, preferred, max_streams } => {
                let create = streams::Create { config, stores, preferred, max_streams };
                self.create_stream(account, create, deltas)
            }
            Command::UpdateStream { account, config, changes } => {
                self.update_stream(&account, config, &changes, deltas)
            }
            Command::DeleteStream { account, stream, group } => {
                self.delete_stream(&account, &stream, group, deltas)
            }
            Command::CreateConsumer {
                account,
                stream,
                config,
                action,
                stores,
                preferred,
                max_consumers,
            } => {
                let create = consumers::Create { config, action, stores, preferred, max_consumers };
                self.create_consumer(&account, &stream, create, deltas)
            }
            Command::UpdateConsumer { account, stream, config, change } => {
                self.update_consumer(&account, &stream, config, change.as_slice(), deltas)
            }
            Command::DeleteConsumer { account, stream, consumer, group } => {
                self.delete_consumer(&account, &stream, &consumer, group, deltas)
            }
            Command::SetMembers { changes } => self.set_members(&changes, deltas),
            Command::Recreate { group, stores, preferred } => {
                self.recreate(group, (&stores, preferred), deltas)
            }
            Command::ReportMembers { group, report } => self.report_members(group, report, deltas),
            Command::ConfirmDestroyed { store, replicas } => {
                Ok(self.confirm_destroyed(store, &replicas, deltas))
            }
        }
    }

    /// All of it, for the group's base.
    #[must_use]
    pub fn base(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// The state that [`base`](Self::base) wrote.
    ///
    /// # Errors
    /// [`RestoreError`] when it does not decode or contradicts itself: this replica must not vote
    /// or lead, and has to fetch the state from its peers.
    pub fn restore(base: &[u8]) -> Result<Self, RestoreError> {
        let mut meta: Self = codec::decode("meta base", base)?;
        let mut groups = BTreeMap::new();
        for (account, stream, asset) in meta.streams() {
            let name = AssetName::Stream { account: account.to_owned(), stream: stream.to_owned() };
            meta.admit(&mut groups, &asset.group, name)?;
            for (consumer, asset) in &asset.consumers {
                let (account, stream, consumer) =
                    (account.to_owned(), stream.to_owned(), consumer.clone());
                meta.admit(
                    &mut groups,
                    &asset.group,
                    AssetName::Consumer { account, stream, consumer },
                )?;
            }
        }
        meta.groups = groups;
        let groups: Vec<GroupId> = meta.groups.keys().copied().collect();
        groups.into_iter().for_each(|group| meta.enters_census(group));
        Ok(meta)
    }

    fn admit(
        &self,
        groups: &mut BTreeMap<GroupId, AssetName>,
        group: &AssetGroup,
        name: AssetName,
    ) -> Result<(), RestoreError> {
        let replicas = group.holders().into_keys().max().unwrap_or_default();
        if group.id > self.last_group || replicas > self.last_replica {
            return Err(RestoreError::Unallocated { group: group.id });
        }
        if self.tombstones.contains_key(&group.id) || groups.insert(group.id, name).is_some() {
            return Err(RestoreError::GroupTwice(group.id));
        }
        Ok(())
    }
}

/// Questions.
impl Meta {
    /// The cluster; 0 before this server joined one.
    #[must_use]
    pub fn cluster_id(&self) -> ClusterId {
        self.cluster_id
    }

    /// The time of the last applied command; never goes back.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The running hash over what was applied and what came of it: equal on all servers at equal
    /// applied index.
    #[must_use]
    pub fn state_hash(&self) -> u64 {
        self.state_hash
    }

    /// All servers, the removed ones too.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    /// The server with this store, member or not.
    #[must_use]
    pub fn server(&self, store: StoreId) -> Option<&Server> {
        self.servers.get(&store)
    }

    /// The member with this name.
    #[must_use]
    pub fn member_named(&self, name: &str) -> Option<&Server> {
        self.servers().find(|s| s.is_member() && s.name == name)
    }

    /// Whether the server with this store belongs to the cluster.
    #[must_use]
    pub fn is_member(&self, store: StoreId) -> bool {
        self.server(store).is_some_and(Server::is_member)
    }

    /// All streams: account, name, asset.
    pub fn streams(&self) -> impl Iterator<Item = (&str, &str, &StreamAsset)> {
        self.accounts.iter().flat_map(|(account, streams)| {
            streams.iter().map(move |(name, asset)| (account.as_str(), name.as_str(), &**asset))
        })
    }

    /// The streams of one account, by name.
    pub fn streams_of(&self, account: &str) -> impl Iterator<Item = (&str, &StreamAsset)> {
        let streams = self.accounts.get(account).into_iter().flatten();
        streams.map(|(name, asset)| (name.as_str(), &**asset))
    }

    /// One stream.
    #[must_use]
    pub fn stream(&self, account: &str, stream: &str) -> Option<&StreamAsset> {
        self.accounts.get(account)?.get(stream).map(|asset| &**asset)
    }

    /// One consumer.
    #[must_use]
    pub fn consumer(&self, account: &str, stream: &str, consumer: &str) -> Option<&ConsumerAsset> {
        self.stream(account, stream)?.consumers.get(consumer).map(|asset| &**asset)
    }

    /// The name of the asset that a group belongs to.
    #[must_use]
    pub fn name_of(&self, group: GroupId) -> Option<&AssetName> {
        self.groups.get(&group)
    }

    /// The asset that a group belongs to.
    #[must_use]
    pub fn asset(&self, group: GroupId) -> Option<Asset<'_>> {
        match self.groups.get(&group)? {
            AssetName::Stream { account, stream } => {
                self.stream(account, stream).map(Asset::Stream)
            }
            AssetName::Consumer { account, stream, consumer } => {
                self.consumer(account, stream, consumer).map(Asset::Consumer)
            }
        }
    }

    /// The stream that a group is, or that the consumer of that group reads.
    #[must_use]
    pub fn stream_of(&self, group: GroupId) -> Option<&StreamAsset> {
        let (AssetName::Stream { account, stream } | AssetName::Consumer { account, stream, .. }) =
            self.groups.get(&group)?;
        self.stream(account, stream)
    }

    /// The groups of all assets, ascending.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, Asset<'_>)> {
        self.groups.keys().filter_map(|&group| Some((group, self.asset(group)?)))
    }

    /// The last replica id that was given away.
    #[must_use]
    pub fn last_replica(&self) -> ReplicaId {
        self.last_replica
    }

    /// What was deleted and is not confirmed by every store yet.
    #[must_use]
    pub fn tombstones(&self) -> &BTreeMap<GroupId, Tombstone> {
        &self.tombstones
    }
}

/// Ids and lookups for the commands.
impl Meta {
    fn group_mut(&mut self, group: GroupId) -> Option<&mut AssetGroup> {
        match self.groups.get(&group)? {
            AssetName::Stream { account, stream } => {
                Some(&mut self.accounts.get_mut(account)?.get_mut(stream)?.group)
            }
            AssetName::Consumer { account, stream, consumer } => {
                let stream = self.accounts.get_mut(account)?.get_mut(stream)?;
                Some(&mut stream.consumers.get_mut(consumer)?.group)
            }
        }
    }

    fn next_replica(&mut self) -> ReplicaId {
        self.last_replica.0 += 1;
        self.last_replica
    }

    /// A new group with a new replica on each of these stores.
    fn found_group(
        &mut self,
        (stores, preferred): (&[StoreId], StoreId),
        slot: Slot,
        name: AssetName,
    ) -> AssetGroup {
        self.last_group = self.last_group.next_in(slot);
        self.last_incarnation.0 += 1;
        let members =
            stores.iter().map(|&store| Member { replica: self.next_replica(), store }).collect();
        let group = AssetGroup::found(self.last_group, self.last_incarnation, members, preferred);
        self.groups.insert(group.id, name);
        group
    }

    /// Ends a group, which has left the census: what its replicas left is to be destroyed by every store that still belongs.
    fn bury(&mut self, group: &AssetGroup, name: AssetName, deltas: &mut Vec<Delta>) {
        self.groups.remove(&group.id);
        let mut holders = group.holders();
        holders.retain(|_, store| self.is_member(*store));
        deltas.push(Delta::asset(AssetChange::Deleted, group.id, name, holders.values()));
        if !holders.is_empty() {
            let tombstone =
                Tombstone { incarnation: group.incarnation, holders, deleted: self.time };
            self.tombstones.insert(group.id, tombstone);
        }
    }
}
