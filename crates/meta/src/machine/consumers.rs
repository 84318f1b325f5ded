//! Consumers are created, changed and deleted.

use flotilla_raft::{GroupId, StoreId};
use flotilla_stream::ConsumerConfig;

use super::rules::{check_consumer_update, check_replicas, check_work_queue};
use super::{AssetChange, AssetRef, Delta, Meta, Reply};
use crate::asset::{AssetName, ConsumerAsset, StreamAsset, consumer_replicas};
use crate::command::{ConsumerAction, SeatChange};
use crate::error::{MetaError, Stale};

/// A request to create a consumer.
pub(super) struct Create {
    pub(super) config: ConsumerConfig,
    pub(super) action: ConsumerAction,
    pub(super) stores: Vec<StoreId>,
    pub(super) preferred: StoreId,
    pub(super) max_consumers: Option<u64>,
}

impl Meta {
    pub(super) fn create_consumer(
        &mut self,
        account: &str,
        stream: &str,
        create: Create,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let of = self.stream(account, stream).ok_or(MetaError::StreamNotFound)?;
        match of.consumers.get(&create.config.name) {
            Some(asset) if asset.config == create.config => {
                return Ok(Reply::Exists(consumer_ref(asset)));
            }
            Some(_) if create.action == ConsumerAction::Create => {
                return Err(MetaError::ConsumerAlreadyExists);
            }
            Some(_) => return self.update_consumer(account, stream, create.config, &[], deltas),
            None if create.action == ConsumerAction::Update => {
                return Err(MetaError::ConsumerDoesNotExist);
            }
            None => {}
        }
        check_replicas(&of.config, &create.config)?;
        check_limit(of, create.max_consumers)?;
        check_work_queue(of, &create.config)?;
        // A stream that is short of a replica takes consumers that are as short.
        let wanted =
            usize::from(consumer_replicas(&of.config, &create.config)).min(of.group.desired.len());
        let slot = of.group.id.slot();
        let on = (create.stores.as_slice(), create.preferred);
        self.check_stores(on, wanted)?;
        if let Some(&store) = create.stores.iter().find(|s| of.group.member_on(**s).is_none()) {
            return Err(Stale::OutsideStream { group: GroupId::default(), store }.into());
        }
        let consumer = create.config.name.clone();
        let (account, stream) = (account.to_owned(), stream.to_owned());
        let name =
            AssetName::Consumer { account: account.clone(), stream: stream.clone(), consumer };
        let group = self.found_group(on, slot, name.clone());
        deltas.push(Delta::asset(AssetChange::Created, group.id, name, on.0));
        let asset =
            ConsumerAsset { created: self.time, config: create.config, first_config: None, group };
        let (reply, group) = (Reply::Created(consumer_ref(&asset)), asset.group.id);
        if let Some(of) =
            self.accounts.get_mut(&account).and_then(|streams| streams.get_mut(&stream))
        {
            of.consumers.insert(asset.config.name.clone(), Box::new(asset));
        }
        self.enters_census(group);
        Ok(reply)
    }

    pub(super) fn update_consumer(
        &mut self,
        account: &str,
        stream: &str,
        config: ConsumerConfig,
        changes: &[SeatChange],
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let of = self.stream(account, stream).ok_or(MetaError::StreamNotFound)?;
        let asset = of.consumers.get(&config.name).ok_or(MetaError::ConsumerNotFound)?;
        check_consumer_update(&asset.config, &config)?;
        check_replicas(&of.config, &config)?;
        check_work_queue(of, &config)?;
        let id = asset.group.id;
        let wanted = usize::from(consumer_replicas(&of.config, &config));
        let scaled = wanted != usize::from(consumer_replicas(&of.config, &asset.config));
        if scaled && changes.is_empty() {
            return Err(Stale::Update.into());
        }
        let reseats = self.plan_reseats(changes, |group| (group == id).then_some(wanted))?;
        self.put_consumer_config(account, stream, config, deltas);
        self.reseat(reseats, deltas);
        let asset = self.asset(id).ok_or(MetaError::ConsumerNotFound)?;
        Ok(Reply::Updated(asset.into()))
    }

    fn put_consumer_config(
        &mut self,
        account: &str,
        stream: &str,
        config: ConsumerConfig,
        deltas: &mut Vec<Delta>,
    ) {
        let of = self.accounts.get_mut(account).and_then(|streams| streams.get_mut(stream));
        let asset = of.and_then(|of| of.consumers.get_mut(&config.name));
        let Some(asset) = asset.filter(|asset| asset.config != config) else { return };
        let (account, stream, consumer) =
            (account.to_owned(), stream.to_owned(), config.name.clone());
        let name = AssetName::Consumer { account, stream, consumer };
        deltas.push(Delta::asset(
            AssetChange::Config,
            asset.group.id,
            name,
            asset.group.holders().values(),
        ));
        let before = std::mem::replace(&mut asset.config, config);
        asset.first_config.get_or_insert_with(|| Box::new(before));
    }

    pub(super) fn delete_consumer(
        &mut self,
        account: &str,
        stream: &str,
        consumer: &str,
        group: Option<GroupId>,
        deltas: &mut Vec<Delta>,
    ) -> Result<Reply, MetaError> {
        let of = self.stream(account, stream).ok_or(MetaError::StreamNotFound)?;
        let found =
            of.consumers.get(consumer).filter(|asset| group.is_none_or(|g| g == asset.group.id));
        self.leaves_census(found.ok_or(MetaError::ConsumerNotFound)?.group.id);
        let of = self.accounts.get_mut(account).and_then(|streams| streams.get_mut(stream));
        let of = of.ok_or(MetaError::StreamNotFound)?;
        let asset = of.consumers.remove(consumer).ok_or(MetaError::ConsumerNotFound)?;
        let (account, stream, consumer) =
            (account.to_owned(), stream.to_owned(), consumer.to_owned());
        self.bury(&asset.group, AssetName::Consumer { account, stream, consumer }, deltas);
        Ok(Reply::Deleted(consumer_ref(&asset)))
    }
}

/// The account's limit and the stream's: the smaller one holds.
fn check_limit(stream: &StreamAsset, account: Option<u64>) -> Result<(), MetaError> {
    let limits = [account, stream.config.max_consumers];
    let reached =
        limits.into_iter().flatten().min().is_some_and(|max| stream.consumers.len() as u64 >= max);
    if reached { Err(MetaError::MaximumConsumers) } else { Ok(()) }
}

fn consumer_ref(asset: &ConsumerAsset) -> AssetRef {
    AssetRef::new(&asset.group, asset.created)
}
