//! All servers are restarted as an operator does it: stopped, started, and waited for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flotilla_tests::eventually;

use super::{Injected, State};
use crate::arena::Arena;

/// How long the operator waits for a server before going on to the next; beside another fault it may not become
/// healthy.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn inject(arena: &mut Arena) -> Result<Injected> {
    let (mut restarted, mut unwell) = (0, 0);
    for index in 0..arena.cluster.servers().len() {
        let server = arena.cluster.servers_mut().get_mut(index).context("no such server")?;
        let before = server.id();
        if server.has_ended()? || !server.is_running() {
            continue;
        }
        server.stop().await?;
        server.start()?;
        ensure!(server.id() != before, "{} has the process id it had", server.name());
        restarted += 1;
        let healthy = eventually(PATIENCE, "it to be healthy", async || {
            let health = server.health().await;
            Ok(health.filter(|health| health.get(8..12) == Some(" 200")))
        });
        unwell += usize::from(healthy.await.is_err());
    }
    ensure!(restarted > 0, "nobody was there to be restarted");
    let proof =
        format!("restarted {restarted}, of which {unwell} were not healthy in {PATIENCE:?}");
    Ok(Injected { proof, state: State::Over })
}
