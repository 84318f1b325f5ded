//! The faults, one experiment each.

pub mod erased_entries;
pub mod lost_write;
pub mod uncommitted_applied;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use async_raft::Config;
use async_raft::raft::{
    AppendEntriesRequest, Entry, EntryConfigChange, EntryNormal, EntryPayload, MembershipConfig,
};

use tokio::time::{Instant, sleep};

use crate::log::{Log, Write};
use crate::network::{Network, Node};

/// A configuration whose timeouts lie between these, in milliseconds.
fn config(election_min: u64, election_max: u64) -> Result<Arc<Config>> {
    let config = Config::build("evidence".into())
        .heartbeat_interval(50)
        .election_timeout_min(election_min)
        .election_timeout_max(election_max)
        .validate()?;
    Ok(Arc::new(config))
}

/// A follower of the group {0, 1, 2} that never campaigns while the experiment lasts. The experiment speaks
/// for its leaders, and sends only what a correct leader may send.
fn follower() -> Result<(Node, Arc<Log>)> {
    Ok(Arc::new(Network::default()).start(1, &config(60_000, 90_000)?))
}

/// The same follower after a restart.
fn restarted(log: &Arc<Log>) -> Result<Node> {
    Ok(Arc::new(Network::default()).restart(1, &config(60_000, 90_000)?, log))
}

/// The group's first entry: its members.
fn members(index: u64, term: u64) -> Entry<Write> {
    let members: HashSet<u64> = [0, 1, 2].into();
    let membership = MembershipConfig { members, members_after_consensus: None };
    Entry { index, term, payload: EntryPayload::ConfigChange(EntryConfigChange { membership }) }
}

fn write(index: u64, term: u64) -> Entry<Write> {
    let data = Write(format!("write {index} of term {term}"));
    Entry { index, term, payload: EntryPayload::Normal(EntryNormal { data }) }
}

/// An append request of the leader of `term`: `entries` follow the entry `previous` (index, term).
fn append(
    term: u64,
    previous: (u64, u64),
    entries: Vec<Entry<Write>>,
    leader_commit: u64,
) -> AppendEntriesRequest<Write> {
    AppendEntriesRequest {
        term,
        // One leader in each term.
        leader_id: if term == 1 { 0 } else { 2 },
        prev_log_index: previous.0,
        prev_log_term: previous.1,
        entries,
        leader_commit,
    }
}

/// Waits until something is so, two seconds at most: the experiment then looks for itself.
async fn soon(so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(2);
    while !so() && Instant::now() < deadline {
        sleep(Duration::from_millis(10)).await;
    }
}
