//! Power loss: what was not synced is gone.

use anyhow::{Result, ensure};

use super::{Injected, State, names};
use crate::arena::Arena;
use crate::plan::Whom;

pub(super) async fn inject(arena: &mut Arena, whom: Whom) -> Result<Injected> {
    let servers = arena.servers_of(whom).await;
    let mut running = Vec::new();
    for &index in &servers {
        let server = &mut arena.cluster.servers_mut()[index];
        if !server.has_ended()? && server.is_running() {
            running.push(index);
        }
    }
    ensure!(!running.is_empty(), "nobody was there to lose power");
    arena.disks.cut_some(&mut arena.cluster, &running).await?;
    let proof = format!("{} went on with what was synced", names(arena, &running));
    Ok(Injected { proof, state: State::Down(servers) })
}
