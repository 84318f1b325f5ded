//! Who holds a group, in the words of the API.

use flotilla_host::ClusterAnswer;
use flotilla_jsapi::Time;
use flotilla_jsapi::cluster::{ClusterInfo, PeerInfo};
use flotilla_raft::StoreId;
use flotilla_stream::StorageKind;

use super::context::Context;
use crate::peer_id::peer_id;

/// What kind of asset a group is, as the first letter of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Stream,
    Consumer,
}

impl Context {
    /// A group's members, with their names. A server without a cluster has only itself to name.
    pub(super) fn cluster_info(
        &self,
        kind: Kind,
        storage: StorageKind,
        cluster: &ClusterAnswer,
    ) -> ClusterInfo {
        let leader = cluster.leader.map(|store| self.server_name(store));
        if self.options.cluster_name.is_none() {
            return ClusterInfo { leader, ..ClusterInfo::default() };
        }
        let replicas = cluster.members.iter().map(|member| {
            let name = self.server_name(member.store);
            PeerInfo {
                peer: peer_id(&name),
                name,
                current: member.current,
                offline: member.offline,
                active: member.active,
                lag: member.lag,
            }
        });
        ClusterInfo {
            name: self.options.cluster_name.clone(),
            raft_group: Some(group_name(kind, storage, cluster)),
            leader,
            leader_since: cluster.leader_since.map(Time::from),
            replicas: replicas.collect(),
            ..ClusterInfo::default()
        }
    }

    /// A server's name; of one that the directory does not know, its store.
    pub(super) fn server_name(&self, store: StoreId) -> String {
        if store == self.store {
            return self.options.server_name.clone();
        }
        let known = self.with(|meta| meta.server(store).map(|server| server.name.clone()));
        let known = known.ok().flatten().filter(|name| !name.is_empty());
        known.unwrap_or_else(|| format!("{:016x}", store.0))
    }
}

/// A group's name, as the reference server makes them: what it is, how many replicas, where they are, which one.
fn group_name(kind: Kind, storage: StorageKind, cluster: &ClusterAnswer) -> String {
    let kind = match kind {
        Kind::Stream => 'S',
        Kind::Consumer => 'C',
    };
    let storage = match storage {
        StorageKind::File => 'F',
        StorageKind::Memory => 'M',
    };
    let members = cluster.members.len() + usize::from(cluster.leader.is_some());
    format!("{kind}-R{members}{storage}-{}", cluster.group)
}
