//! A follower erases what it has acknowledged, because an old request arrives once more.
//!
//! The leader itself makes such duplicates: it sends a request again when the answer is late. Raft deletes
//! entries only where one conflicts with the leader's; this library deletes everything behind the request.

use anyhow::Result;

use super::{append, follower, members, write};
use crate::Verdict;

pub async fn run() -> Result<Verdict> {
    let (node, log) = follower()?;
    let first = node.append_entries(append(1, (0, 0), vec![members(1, 1)], 0)).await?;
    let second = node.append_entries(append(1, (1, 1), vec![write(2, 1)], 1)).await?;
    let rest = vec![write(3, 1), write(4, 1)];
    let third = node.append_entries(append(1, (2, 1), rest, 2)).await?;
    let before = log.held();
    let repeated = node.append_entries(append(1, (1, 1), vec![write(2, 1)], 1)).await?;
    let after = log.held();
    let acknowledged = first.success && second.success && third.success;
    Ok(Verdict {
        broken: acknowledged && after.len() < before.len(),
        seen: vec![
            format!("acknowledged by the follower (index/term): {}", before.join(" ")),
            format!("the request for entry 2 arrives a second time: success={}", repeated.success),
            format!("held now: {}", after.join(" ")),
        ],
    })
}
