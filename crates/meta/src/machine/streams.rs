//! Streams are created, changed and deleted.

use flotilla_raft::{GroupId, StoreId};
use flotilla_stream::StreamConfig;

use super::rules::check_stream_update;
use super::{AssetChange, AssetRef, Delta, Meta, Reply};
use crate::asset::{AssetName, StreamAsset, consumer_replicas};
use crate::command::SeatChange;
use crate::error::{MetaError, Stale};

/// A request to create a stream.
pub(super) struct Create {
    pub(super) config: StreamConfig,
    pub(super) stores: Vec<StoreId>,
    pub(super) preferred: StoreId,
    pub(super) max_streams: Option<u64>,
}

impl Meta {
    pub(super) fn create_stream(
        &mut self,
        account: String,
        create: Create,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let Create { config, stores, preferred, max_streams } = create;
        if let Some(asset) = self.stream(&account, &config.name) {
            let same = asset.config == config;
            return if same {
                Ok(Reply::Exists(stream_ref(asset)))
            } else {
                Err(MetaError::StreamNameExist)
            };
        }
        let streams = self.accounts.get(&account).map_or(0, |streams| streams.len() as u64);
        if max_streams.is_some_and(|max| streams >= max) {
            return Err(MetaError::MaximumStreams);
        }
        self.check_subjects(&account, &config)?;
        let on = (stores.as_slice(), preferred);
        self.check_stores(on, usize::from(config.replicas))?;
        let name = AssetName::Stream { account: account.clone(), stream: config.name.clone() };
        let group = self.found_group(on, self.freest_slot(preferred), name.clone());
        deltas.push(Delta::asset(AssetChange::Created, group.id, name, on.0));
        let asset = StreamAsset {
            created: self.time,
            config,
            first_config: None,
            group,
            consumers: [].into(),
        };
        let (reply, group) = (Reply::Created(stream_ref(&asset)), asset.group.id);
        self.accounts
            .entry(account)
            .or_default()
            .insert(asset.config.name.clone(), Box::new(asset));
        self.enters_census(group);
        Ok(reply)
    }

    /// A replica count needs its change of members in the same command, so that no one sees the one
    /// without the other.
    pub(super) fn update_stream(
        &mut self,
        account: &str,
        config: StreamConfig,
        changes: &[SeatChange],
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let asset = self.stream(account, &config.name).ok_or(MetaError::StreamNotFound)?;
        check_stream_update(&asset.config, &config)?;
        self.check_subjects(account, &config)?;
        let scaled = asset.config.replicas != config.replicas;
        let moved = asset.config.placement != config.placement;
        if scaled && moved {
            return Err(MetaError::MoveAndScale);
        }
        if (scaled || moved) && !asset.group.is_settled() {
            return Err(MetaError::MoveInProgress(config.name));
        }
        let planned = changes.iter().find(|c| c.group == asset.group.id);
        if scaled && planned.is_none_or(|c| c.seats.len() != usize::from(config.replicas)) {
            return Err(Stale::Update.into());
        }
        // Members are counted by what the configuration will be.
        let reseats = self.plan_reseats(changes, |group| {
            let consumer = asset.consumers.values().find(|c| c.group.id == group);
            let replicas = match consumer {
                Some(consumer) => consumer_replicas(&config, &consumer.config),
                None if group == asset.group.id => config.replicas,
                None => return None,
            };
            Some(usize::from(replicas))
        })?;
        let id = asset.group.id;
        self.leaves_census(id);
        self.put_stream_config(account, config, deltas);
        self.enters_census(id);
        self.reseat(reseats, deltas);
        let asset = self.asset(id).ok_or(MetaError::StreamNotFound)?;
        Ok(Reply::Updated(asset.into()))
    }

    fn put_stream_config(&mut self, account: &str, config: StreamConfig, deltas: &mut Vec<Delta>) {
        let asset =
            self.accounts.get_mut(account).and_then(|streams| streams.get_mut(&config.name));
        let Some(asset) = asset.filter(|asset| asset.config != config) else { return };
        let name = AssetName::Stream { account: account.to_owned(), stream: config.name.clone() };
        deltas.push(Delta::asset(
            AssetChange::Config,
            asset.group.id,
            name,
            asset.group.holders().values(),
        ));
        let before = std::mem::replace(&mut asset.config, config);
        asset.first_config.get_or_insert_with(|| Box::new(before));
    }

    pub(super) fn delete_stream(
        &mut self,
        account: &str,
        stream: &str,
        group: Option<GroupId>,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let found =
            self.stream(account, stream).filter(|asset| group.is_none_or(|g| g == asset.group.id));
        let found = found.ok_or(MetaError::StreamNotFound)?;
        let consumers = found.consumers.values().map(|consumer| consumer.group.id);
        let groups: Vec<GroupId> = consumers.chain([found.group.id]).collect();
        groups.into_iter().for_each(|group| self.leaves_census(group));
        let streams = self.accounts.get_mut(account).ok_or(MetaError::StreamNotFound)?;
        let asset = streams.remove(stream).ok_or(MetaError::StreamNotFound)?;
        if streams.is_empty() {
            self.accounts.remove(account);
        }
        for (consumer, asset) in &asset.consumers {
            let (account, stream, consumer) =
                (account.to_owned(), stream.to_owned(), consumer.clone());
            self.bury(&asset.group, AssetName::Consumer { account, stream, consumer }, deltas);
        }
        let (account, stream) = (account.to_owned(), stream.to_owned());
        self.bury(&asset.group, AssetName::Stream { account, stream }, deltas);
        Ok(Reply::Deleted(stream_ref(&asset)))
    }
}

fn stream_ref(asset: &StreamAsset) -> AssetRef {
    AssetRef::new(&asset.group, asset.created)
}
