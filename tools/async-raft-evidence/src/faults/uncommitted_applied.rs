//! A follower applies an entry that its leader does not have.
//!
//! The follower holds an uncommitted entry of an old leader at index 3 and restarts; meanwhile the group has
//! elected another leader, and committed another entry there. The new leader's heartbeat must be checked
//! against the log as any other request; here it is answered with success unchecked, its commit index is
//! believed, and the follower's own entry 3 is applied.

use anyhow::Result;

use super::{append, follower, members, restarted, soon, write};
use crate::Verdict;

pub async fn run() -> Result<Verdict> {
    let (node, log) = follower()?;
    let entries = vec![members(1, 1), write(2, 1), write(3, 1)];
    node.append_entries(append(1, (0, 0), entries, 2)).await?;
    soon(|| node.metrics().borrow().last_applied == 2).await;
    node.shutdown().await?;
    let node = restarted(&log)?;
    // The new leader's log is 1/t1 2/t1 3/t2, and 3/t2 is committed by it and the third member.
    let heartbeat = node.append_entries(append(2, (3, 2), Vec::new(), 3)).await?;
    soon(|| log.applied(3).is_some()).await;
    let applied = log.applied(3);
    let shown = applied.as_ref().map_or("nothing".to_owned(), |write| format!("{:?}", write.0));
    Ok(Verdict {
        broken: heartbeat.success && applied.is_some(),
        seen: vec![
            format!("the restarted follower holds {}, committed up to 2", log.held().join(" ")),
            format!(
                "the new leader's heartbeat after 3/t2, commit 3, is answered: success={}",
                heartbeat.success
            ),
            format!("applied at index 3: {shown}"),
        ],
    })
}
