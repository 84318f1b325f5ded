//! From a request to commands: what needs a view of who lives is decided here, by the leader, and carried in
//! the command.

use std::collections::BTreeSet;

use flotilla_meta::{
    Command, Fleet, Meta, MetaError, Peer, PlacementRequest, Replacement, consumer_replicas, place,
    relocate, replace_peer, scale,
};
use flotilla_raft::StoreId;
use flotilla_stream::{ConsumerConfig, StreamConfig};

use super::MetaMachine;
use crate::replica::Replica;
use crate::request::MetaRequest;
use crate::turn::Cx;

impl Replica<MetaMachine> {
    /// The commands that carry out `request`, to be committed in this order; the first one's reply is the answer.
    pub(super) fn plan(
        &self,
        request: &MetaRequest,
        cx: &mut Cx,
    ) -> Result<Vec<Command>, MetaError> {
        let peers = self.peers(cx);
        let seed = cx.random.below(u64::MAX);
        let fleet = Fleet { peers: &peers, unique_tag: self.machine.unique_tag.as_deref(), seed };
        let meta = &self.machine.meta;
        let command = match request.clone() {
            MetaRequest::Register { info, rejoin } => Command::RegisterServer { info, rejoin },
            MetaRequest::Renew { store, loss, after } => {
                Command::RenewReplica { store, loss, after }
            }
            MetaRequest::CreateStream { account, config, max_streams } => {
                return create_stream(meta, account, *config, max_streams, &fleet).map(|c| vec![c]);
            }
            MetaRequest::UpdateStream { account, config } => {
                self.update_stream(account, *config, &fleet)?
            }
            MetaRequest::DeleteStream { account, stream } => {
                Command::DeleteStream { account, stream, group: None }
            }
            MetaRequest::CreateConsumer { account, stream, config, action, max_consumers } => {
                let (stores, preferred) =
                    consumer_stores(meta, &account, &stream, &config, &fleet)?;
                let config = *config;
                Command::CreateConsumer {
                    account,
                    stream,
                    config,
                    action,
                    stores,
                    preferred,
                    max_consumers,
                }
            }
            MetaRequest::DeleteConsumer { account, stream, consumer, group } => {
                Command::DeleteConsumer { account, stream, consumer, group }
            }
            MetaRequest::RemovePeer { account, stream, store } => {
                let replacement = replace_peer(meta, &account, &stream, store, &fleet)?;
                return Ok(commands(replacement));
            }
            MetaRequest::RemoveServer { store } => Command::RemoveServer { store },
            MetaRequest::Report { group, report } => Command::ReportMembers { group, report },
            MetaRequest::ConfirmDestroyed { store, replicas } => {
                Command::ConfirmDestroyed { store, replicas }
            }
            MetaRequest::Barrier
            | MetaRequest::Ids
            | MetaRequest::Info
            | MetaRequest::ReportLost { .. }
            | MetaRequest::StepDown { .. } => {
                return Ok(Vec::new());
            }
        };
        Ok(vec![command])
    }

    fn update_stream(
        &self,
        account: String,
        config: StreamConfig,
        fleet: &Fleet<'_>,
    ) -> Result<Command, MetaError> {
        let asset = self.machine.meta.stream(&account, &config.name);
        let asset = asset.ok_or(MetaError::StreamNotFound)?;
        let scales = config.replicas != asset.config.replicas;
        let moves = config.placement != asset.config.placement;
        let changes = match (scales, moves) {
            (true, true) => return Err(MetaError::MoveAndScale),
            (true, false) => {
                // Online members first: these are what a smaller group should be made of.
                let mut ranked: Vec<StoreId> = asset.group.stores().collect();
                ranked.sort_by_key(|s| (!fleet.is_online(*s), *s != asset.group.preferred));
                scale(asset, &config, &ranked, fleet)?.changes
            }
            (false, true) => relocate(asset, &config, fleet)?.changes,
            (false, false) => Vec::new(),
        };
        Ok(Command::UpdateStream { account, config, changes })
    }

    /// The fleet as this leader sees it now.
    pub(super) fn peers(&self, cx: &Cx) -> Vec<Peer> {
        let servers = self.machine.meta.servers().filter(|s| s.is_member());
        servers
            .map(|server| {
                let load = self.machine.meta.load(server.store);
                let left = |limit: Option<u64>, reserved| limit.map(|l| l.saturating_sub(reserved));
                Peer {
                    store: server.store,
                    name: server.name.clone(),
                    cluster: server.cluster.clone(),
                    tags: server.tags.clone(),
                    jetstream: server.limits.jetstream,
                    online: server.store == cx.store || !cx.peers.is_dead(server.store),
                    has_room: cx.peers.has_room(server.store),
                    file_available: left(server.limits.max_file_store, load.reserved_file),
                    memory_available: left(server.limits.max_memory_store, load.reserved_memory),
                    assets: load.assets,
                    ha_assets: load.ha_assets,
                    max_ha_assets: server.limits.max_ha_assets,
                    leaders: load.preferred,
                }
            })
            .collect()
    }
}

fn create_stream(
    meta: &Meta,
    account: String,
    config: StreamConfig,
    max_streams: Option<u64>,
    fleet: &Fleet<'_>,
) -> Result<Command, MetaError> {
    let exclude = BTreeSet::new();
    let request = PlacementRequest {
        replicas: usize::from(config.replicas),
        placement: config.placement.as_ref(),
        cluster: None,
        keep: &[],
        exclude: &exclude,
        storage: config.storage,
        max_bytes: config.max_bytes,
    };
    // A stream that exists is found by applying, wherever a new one would go.
    let (stores, preferred) = match meta.stream(&account, &config.name) {
        Some(asset) => (asset.group.stores().collect(), asset.group.preferred),
        // As the reference server says it where there is nothing to choose from.
        None if matches!(fleet.peers, [Peer { has_room: false, .. }]) => {
            return Err(MetaError::NoStorage);
        }
        None => place(&request, fleet).map(|placed| (placed.stores, placed.preferred))?,
    };
    Ok(Command::CreateStream { account, config, stores, preferred, max_streams })
}

/// What is lost ends first; then the others get their new members.
pub(super) fn commands(replacement: Replacement) -> Vec<Command> {
    let Replacement { losses, changes } = replacement;
    let changes = (!changes.is_empty()).then_some(Command::SetMembers { changes });
    losses.into_iter().chain(changes).collect()
}

/// A consumer lives on stores of its stream: on all of them, or on the least loaded living ones.
fn consumer_stores(
    meta: &Meta,
    account: &str,
    stream: &str,
    config: &ConsumerConfig,
    fleet: &Fleet<'_>,
) -> Result<(Vec<StoreId>, StoreId), MetaError> {
    let asset = meta.stream(account, stream).ok_or(MetaError::StreamNotFound)?;
    if let Some(existing) = asset.consumers.get(&config.name) {
        return Ok((existing.group.stores().collect(), existing.group.preferred));
    }
    let mut stores: Vec<StoreId> = asset.group.stores().collect();
    let load = |s: &StoreId| fleet.peer(*s).map_or(u32::MAX, |p| p.assets);
    stores.sort_by_key(|s| (!fleet.is_online(*s), load(s), *s));
    stores.truncate(usize::from(consumer_replicas(&asset.config, config)));
    let preferred = fleet.least_leading(&stores).ok_or(MetaError::StreamNotFound)?;
    Ok((stores, preferred))
}
