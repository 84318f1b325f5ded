//! Which servers come into question.

use std::collections::BTreeSet;

use flotilla_stream::{Placement, StorageKind};

use super::{Peer, PlacementRequest, Reason};

/// A server with this tag takes no assets that it does not hold already.
const NO_JETSTREAM_TAG: &str = "!jetstream";

/// The tags that a placement asks for. NATS compares tags in lower case.
pub(super) struct TagRules {
    required: Vec<String>,
    forbidden: Vec<String>,
}

impl TagRules {
    pub(super) fn new(placement: Option<&Placement>) -> Self {
        let tags = placement.map_or(&[][..], |p| &p.tags);
        let (forbidden, required): (Vec<_>, Vec<_>) =
            tags.iter().map(|t| t.to_lowercase()).partition(|t| t.starts_with('!'));
        let forbidden = forbidden.iter().map(|t| t.trim_start_matches('!').to_owned()).collect();
        Self { required, forbidden }
    }

    fn refusal(&self, peer: &Peer) -> Option<Vec<Reason>> {
        if self.forbidden.iter().any(|tag| has_tag(peer, tag)) {
            return Some(vec![Reason::ExcludeTag]);
        }
        let missing = self.required.iter().filter(|tag| !has_tag(peer, tag));
        let missing: Vec<_> = missing.map(|tag| Reason::TagsNotMatched(tag.clone())).collect();
        (!missing.is_empty()).then_some(missing)
    }
}

fn has_tag(peer: &Peer, tag: &str) -> bool {
    peer.tags.iter().any(|t| t.to_lowercase() == *tag)
}

/// The bytes that `peer` has left for this kind of storage.
pub(super) fn available(peer: &Peer, storage: StorageKind) -> Option<u64> {
    match storage {
        StorageKind::File => peer.file_available,
        StorageKind::Memory => peer.memory_available,
    }
}

/// Why `peer` does not come into question, or `None` when it does. Being offline is judged later:
/// some may be.
pub(super) fn refusal(
    request: &PlacementRequest<'_>,
    rules: &TagRules,
    peer: &Peer,
) -> Option<Vec<Reason>> {
    let wanted = request.placement.and_then(|p| p.cluster.as_deref()).or(request.cluster);
    if wanted.is_some_and(|cluster| cluster != peer.cluster) {
        return Some(vec![Reason::OtherCluster(peer.cluster.clone())]);
    }
    if !peer.jetstream {
        return Some(vec![Reason::NoJetStream]);
    }
    if request.exclude.contains(&peer.store) {
        return Some(vec![Reason::Excluded(peer.name.clone())]);
    }
    if has_tag(peer, NO_JETSTREAM_TAG) {
        return Some(vec![Reason::ExcludeTag]);
    }
    if let Some(reasons) = rules.refusal(peer) {
        return Some(reasons);
    }
    let room = available(peer, request.storage);
    let is_full = !peer.has_room && request.storage == StorageKind::File;
    if is_full || request.max_bytes.is_some_and(|bytes| room.is_some_and(|room| bytes > room)) {
        return Some(vec![Reason::NoStorage]);
    }
    if request.replicas > 1 && peer.max_ha_assets.is_some_and(|max| peer.ha_assets >= max) {
        return Some(vec![Reason::MaxHaAssets]);
    }
    None
}

/// The zones that have a replica already. A server without any tag of the prefix is in no zone and
/// gets none.
pub(super) struct UniqueTags {
    prefix: Option<String>,
    taken: BTreeSet<String>,
}

impl UniqueTags {
    /// A placement that names a zone itself means it: the rule does not apply then.
    pub(super) fn new(prefix: Option<&str>, rules: &TagRules) -> Self {
        let prefix = prefix.map(str::to_lowercase).filter(|p| !p.is_empty());
        let prefix =
            prefix.filter(|p| !rules.required.iter().any(|tag| tag.starts_with(p.as_str())));
        Self { prefix, taken: BTreeSet::new() }
    }

    fn zone(&self, peer: &Peer) -> Option<String> {
        let prefix = self.prefix.as_deref()?;
        peer.tags.iter().map(|t| t.to_lowercase()).find(|t| t.starts_with(prefix))
    }

    pub(super) fn admits(&self, peer: &Peer) -> bool {
        self.prefix.is_none() || self.zone(peer).is_some_and(|zone| !self.taken.contains(&zone))
    }

    pub(super) fn take(&mut self, peer: &Peer) {
        self.taken.extend(self.zone(peer));
    }
}
