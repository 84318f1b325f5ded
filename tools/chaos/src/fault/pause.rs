//! SIGSTOP: a process whose time stands still, with all its connections open.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::{Injected, State, names};
use crate::arena::Arena;
use crate::plan::Whom;

/// Who is paused, and by which process ids: another fault may have ended them meanwhile.
#[derive(Debug)]
pub(super) struct Paused(Vec<(usize, u32)>);

/// How long the kernel may take to stop all threads of a process.
const STOPPING: Duration = Duration::from_secs(2);

pub(super) async fn inject(arena: &mut Arena, whom: Whom) -> Result<Injected> {
    let servers = arena.servers_of(whom).await;
    let mut paused = Vec::new();
    for &index in &servers {
        let server = &mut arena.cluster.servers_mut()[index];
        if server.has_ended()? || !server.is_running() {
            continue;
        }
        if let Some(id) = server.id() {
            server.pause()?;
            paused.push((index, id));
        }
    }
    ensure!(!paused.is_empty(), "nobody was there to be paused");
    for (_, id) in &paused {
        let deadline = Instant::now() + STOPPING;
        while state(*id)? != 'T' {
            ensure!(Instant::now() < deadline, "process {id} does not stop");
            sleep(Duration::from_micros(100)).await;
        }
    }
    let stopped: Vec<usize> = paused.iter().map(|(index, _)| *index).collect();
    let proof = format!("stopped {}", names(arena, &stopped));
    Ok(Injected { proof, state: State::Paused(Paused(paused)) })
}

pub(super) fn remove(arena: &mut Arena, paused: Paused) -> Result<String> {
    for (index, id) in paused.0 {
        let server = &mut arena.cluster.servers_mut()[index];
        if !server.has_ended()? && server.id() == Some(id) {
            server.resume()?;
        }
    }
    Ok(String::new())
}

/// The state of a process, as proc_pid_stat(5) has it: T is stopped.
fn state(id: u32) -> Result<char> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    Ok(state.unwrap_or('?'))
}
