//! SIGKILL.

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::{Injected, State, names};
use crate::arena::Arena;
use crate::plan::Whom;

pub(super) async fn inject(arena: &mut Arena, whom: Whom) -> Result<Injected> {
    let servers = arena.servers_of(whom).await;
    let killed = kill(arena, &servers).await?;
    ensure!(!killed.is_empty(), "nobody was there to be killed");
    Ok(Injected { proof: format!("killed {}", names(arena, &killed)), state: State::Down(servers) })
}

/// Kills those that run; all signals first, so that they die together. They are gone afterwards.
pub(super) async fn kill(arena: &mut Arena, servers: &[usize]) -> Result<Vec<usize>> {
    let mut killed = Vec::new();
    for &index in servers {
        let server = &mut arena.cluster.servers_mut()[index];
        if !server.has_ended()? && server.is_running() {
            server.signal(Signal::KILL)?;
            killed.push(index);
        }
    }
    for &index in &killed {
        arena.cluster.servers_mut()[index].kill().await?;
    }
    Ok(killed)
}
