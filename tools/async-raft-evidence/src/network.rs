//! A network in memory: it delivers every message once, in order, except to nodes that are cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use async_raft::async_trait::async_trait;
use async_raft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use async_raft::{Config, NodeId, Raft, RaftNetwork};

use crate::log::{Log, Write, Written};

/// A node of the library over this network and a log in memory.
pub type Node = Raft<Write, Written, Network, Log>;

/// Where the nodes find each other.
#[derive(Default)]
pub struct Network {
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    nodes: BTreeMap<NodeId, Node>,
    cut: BTreeSet<NodeId>,
}

impl Network {
    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a node with an empty log.
    pub fn start(self: &Arc<Self>, id: NodeId, config: &Arc<Config>) -> (Node, Arc<Log>) {
        let log = Arc::new(Log::new(id));
        (self.restart(id, config, &log), log)
    }

    /// Starts a node with the log it had.
    pub fn restart(self: &Arc<Self>, id: NodeId, config: &Arc<Config>, log: &Arc<Log>) -> Node {
        let node = Raft::new(id, config.clone(), self.clone(), log.clone());
        self.links().nodes.insert(id, node.clone());
        node
    }

    /// Cuts a node off: nothing reaches it any more.
    pub fn cut(&self, id: NodeId) {
        self.links().cut.insert(id);
    }

    async fn reach(&self, target: NodeId) -> Result<Node> {
        let node = {
            let links = self.links();
            let node = links.nodes.get(&target).filter(|_| !links.cut.contains(&target));
            node.cloned()
        };
        match node {
            Some(node) => Ok(node),
            None => {
                // Unreachable takes a while, as it does on a real network.
                tokio::time::sleep(Duration::from_millis(20)).await;
                bail!("node {target} is cut off")
            }
        }
    }
}

#[async_trait]
impl RaftNetwork<Write> for Network {
    async fn append_entries(
        &self,
        target: NodeId,
        rpc: AppendEntriesRequest<Write>,
    ) -> Result<AppendEntriesResponse> {
        Ok(self.reach(target).await?.append_entries(rpc).await?)
    }

    async fn install_snapshot(
        &self,
        target: NodeId,
        rpc: InstallSnapshotRequest,
    ) -> Result<InstallSnapshotResponse> {
        Ok(self.reach(target).await?.install_snapshot(rpc).await?)
    }

    async fn vote(&self, target: NodeId, rpc: VoteRequest) -> Result<VoteResponse> {
        Ok(self.reach(target).await?.vote(rpc).await?)
    }
}
