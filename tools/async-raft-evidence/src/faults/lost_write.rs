//! A leader acknowledges a write that it alone holds.
//!
//! A group grows from one voter to three, the way the guide describes. The leader keeps the new voters among
//! its non-voters: it sees no voter to wait for, and takes its own log for the majority.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use async_raft::raft::ClientWriteRequest;
use async_raft::{RaftMetrics, State};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{config, soon};
use crate::Verdict;
use crate::log::Write;
use crate::network::Network;

const PATIENCE: Duration = Duration::from_secs(20);

pub async fn run() -> Result<Verdict> {
    let network = Arc::new(Network::default());
    let config = config(500, 1000)?;
    let (leader, leader_log) = network.start(0, &config);
    let (_one, one_log) = network.start(1, &config);
    let (_two, two_log) = network.start(2, &config);

    leader.initialize([0].into()).await.context("initialize")?;
    until(leader.metrics(), |metrics| metrics.state == State::Leader).await.context("election")?;
    leader.add_non_voter(1).await.context("add 1")?;
    leader.add_non_voter(2).await.context("add 2")?;
    let voters: HashSet<u64> = [0, 1, 2].into();
    leader.change_membership(voters.clone()).await.context("change membership")?;
    let metrics = until(leader.metrics(), |metrics| {
        metrics.membership_config.members == voters
            && metrics.membership_config.members_after_consensus.is_none()
    });
    let members = metrics.await.context("three voters")?.membership_config.members.len();
    let first = leader.client_write(request("while all are there")).await.context("first write")?;
    soon(|| one_log.last() >= first.index && two_log.last() >= first.index).await;

    network.cut(1);
    network.cut(2);
    let answer = timeout(Duration::from_secs(5), leader.client_write(request("alone"))).await;
    let acknowledged = match answer {
        Ok(Ok(written)) => Some(written.index),
        Ok(Err(_)) | Err(_) => None,
    };
    let held = [&leader_log, &one_log, &two_log].map(|log| log.last());
    let holders = acknowledged.map(|index| held.iter().filter(|&&last| last >= index).count());
    Ok(Verdict {
        broken: holders.is_some_and(|holders| holders < 2),
        seen: vec![
            format!(
                "the leader reports {members} voters and no change under way; \
                all hold index {}; then both others are cut off",
                held[1].min(held[2])
            ),
            match acknowledged {
                Some(index) => format!("the write at index {index} was acknowledged"),
                None => "the write was not acknowledged".to_owned(),
            },
            format!("last index held: leader {}, the others {} and {}", held[0], held[1], held[2]),
        ],
    })
}

fn request(text: &str) -> ClientWriteRequest<Write> {
    ClientWriteRequest::new(Write(text.to_owned()))
}

async fn until(
    mut metrics: watch::Receiver<RaftMetrics>,
    wanted: impl Fn(&RaftMetrics) -> bool,
) -> Result<RaftMetrics> {
    let wait = async {
        loop {
            let now = metrics.borrow_and_update().clone();
            if wanted(&now) {
                return Ok(now);
            }
            if metrics.changed().await.is_err() {
                bail!("the node has stopped")
            }
        }
    };
    timeout(PATIENCE, wait).await.context("not in time")?
}
