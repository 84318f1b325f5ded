//! Which servers shall hold the replicas of an asset.
//!
//! A pure function of what is asked and of what the meta leader knows about its fleet at that
//! moment, after the reference server's peer selection: filter, sort by load, take the best. The
//! result is carried in the command.

mod filter;
mod reasons;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeSet;

use flotilla_raft::StoreId;
use flotilla_stream::{Placement, StorageKind};

use crate::quorum::quorum;
use crate::spread::spread;
use filter::{TagRules, UniqueTags};
pub use reasons::{NoPeers, Reason};

/// One server, as the meta leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its store.
    pub store: StoreId,
    /// `server_name`.
    pub name: String,
    /// `cluster.name`.
    pub cluster: String,
    /// `server_tags`.
    pub tags: Vec<String>,
    /// Whether JetStream is enabled.
    pub jetstream: bool,
    /// Whether it is heard from, healthy, and not about to leave (lame duck).
    pub online: bool,
    /// Whether its disk has room for more.
    pub has_room: bool,
    /// Bytes of file storage neither used nor reserved; `None` is unlimited or unknown.
    pub file_available: Option<u64>,
    /// Bytes of memory storage neither used nor reserved; `None` is unlimited or unknown.
    pub memory_available: Option<u64>,
    /// Replicas on it.
    pub assets: u32,
    /// Of these, the replicas of assets with more than one.
    pub ha_assets: u32,
    /// `limits.max_ha_assets`.
    pub max_ha_assets: Option<u32>,
    /// Groups that it leads.
    pub leaders: u32,
}

/// The servers to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    /// All members of the cluster, each once.
    pub peers: &'a [Peer],
    /// `jetstream.unique_tag`: replicas go to servers whose tags with this prefix differ, such as
    /// `az:`.
    pub unique_tag: Option<&'a str>,
    /// Spreads what is equal otherwise. Any number; the same one gives the same result.
    pub seed: u64,
}

impl<'a> Fleet<'a> {
    /// The peer with this store.
    #[must_use]
    pub fn peer(&self, store: StoreId) -> Option<&'a Peer> {
        self.peers.iter().find(|p| p.store == store)
    }

    /// Whether the peer with this store is known and online.
    #[must_use]
    pub fn is_online(&self, store: StoreId) -> bool {
        self.peer(store).is_some_and(|p| p.online)
    }

    /// Of `stores`, the online one that leads the fewest groups; among all when none is online.
    #[must_use]
    pub fn least_leading(&self, stores: &[StoreId]) -> Option<StoreId> {
        let leaders = |store: StoreId| self.peer(store).map_or(u32::MAX, |p| p.leaders);
        stores
            .iter()
            .copied()
            .min_by_key(|&s| (!self.is_online(s), leaders(s), spread(self.seed, s.0)))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PlacementRequest<'a> {
    /// How many replicas.
    pub replicas: usize,
    /// The cluster and tags that the stream's configuration asks for.
    pub placement: Option<&'a Placement>,
    /// The cluster of the client that asks; holds where `placement` names none.
    pub cluster: Option<&'a str>,
    /// Stores that have a replica already and keep it, whatever the filters say of them.
    pub keep: &'a [StoreId],
    /// Stores that get none.
    pub exclude: &'a BTreeSet<StoreId>,
    /// Where messages are kept.
    pub storage: StorageKind,
    /// The bytes that each replica reserves.
    pub max_bytes: Option<u64>,
}

/// Where the replicas go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// One store per replica, those kept first.
    pub stores: Vec<StoreId>,
    /// Which of them should lead: online, with the fewest leaders.
    pub preferred: StoreId,
}

/// Chooses stores.
///
/// A majority of them is online; servers that are known but offline may fill the rest, so that an
/// asset of three can be created with one server down.
///
/// # Errors
/// [`NoPeers`] with every reason why a server was passed over.
pub fn place(request: &PlacementRequest<'_>, fleet: &Fleet<'_>) -> Result<Placed, NoPeers> {
    let mut no_peers = NoPeers::default();
    let rules = TagRules::new(request.placement);
    let mut unique = UniqueTags::new(fleet.unique_tag, &rules);
    for kept in request.keep {
        fleet.peer(*kept).into_iter().for_each(|peer| unique.take(peer));
    }
    let mut candidates = Vec::new();
    for peer in fleet.peers.iter().filter(|p| !request.keep.contains(&p.store)) {
        match filter::refusal(request, &rules, peer) {
            None => candidates.push(peer),
            Some(reasons) => no_peers.extend(reasons),
        }
    }
    sort_by_load(&mut candidates, request, fleet.seed);
    let mut stores: Vec<_> = request.keep.to_vec();
    for peer in candidates {
        if stores.len() >= request.replicas {
            break;
        }
        // Taken in order of load, so that each zone is represented by its least loaded server.
        if unique.admits(peer) {
            unique.take(peer);
            stores.push(peer.store);
        } else {
            no_peers.add(Reason::UniqueTag);
        }
    }
    let online = stores.iter().filter(|s| fleet.is_online(**s)).count();
    if online < quorum(request.replicas) && fleet.peers.iter().any(|p| !p.online) {
        no_peers.add(Reason::Offline);
    }
    if stores.len() < request.replicas || online < quorum(request.replicas) {
        return Err(no_peers);
    }
    let Some(preferred) = fleet.least_leading(&stores) else { return Err(no_peers) };
    Ok(Placed { stores, preferred })
}

/// Online first. A replicated asset then goes where the fewest of its kind are, a single one where
/// the most room is; room counts in sixteenths of the roomiest, so that a few bytes do not outweigh
/// a thousand streams.
fn sort_by_load(candidates: &mut [&Peer], request: &PlacementRequest<'_>, seed: u64) {
    let room = |peer: &Peer| filter::available(peer, request.storage).unwrap_or(u64::MAX);
    let step = candidates.iter().map(|p| room(p) / 16).max().unwrap_or(0).max(1);
    let ha = |peer: &Peer| if request.replicas > 1 { peer.ha_assets } else { 0 };
    candidates.sort_by_key(|p| {
        (
            !p.online,
            ha(p),
            Reverse(room(p) / step),
            p.assets,
            Reverse(room(p)),
            spread(seed, p.store.0),
        )
    });
}
