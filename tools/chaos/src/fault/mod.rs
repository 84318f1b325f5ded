//! Faults: each is put in, with a proof that it is there, and taken away again.

mod damage;
mod disk;
mod kill;
mod link;
mod membership;
mod pause;
mod power;
mod rolling;

use anyhow::Result;
pub(crate) use damage::{damage, lead_elsewhere, victim_leads};

use crate::arena::Arena;
use crate::plan::{Act, Fault};

/// A fault that is there.
#[derive(Debug)]
pub(crate) struct Injected {
    /// What proves it, or what is needed to prove it in the end.
    pub(crate) proof: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// These servers are to be started.
    Down(Vec<usize>),
    Paused(pause::Paused),
    Link(link::Bad),
    Disk(disk::Sick),
    Damaged {
        server: usize,
    },
    Scaled {
        from: usize,
    },
    Over,
}

/// Puts a fault in.
///
/// # Errors
/// It is not there.
pub(crate) async fn inject(fault: &Fault, arena: &mut Arena) -> Result<Injected> {
    match fault.act {
        Act::Kill(whom) => kill::inject(arena, whom).await,
        Act::Pause(whom) => pause::inject(arena, whom).await,
        Act::Power(whom) => power::inject(arena, whom).await,
        Act::FullDisk(whom) => disk::fill(arena, whom).await,
        Act::HungDisk(whom) => disk::hang(arena, whom).await,
        Act::Link(server, weather) => link::inject(arena, server, weather),
        Act::Damage { class, harm, running } => {
            damage::inject(arena, class, harm, running, fault.hold).await
        }
        Act::Rolling => rolling::inject(arena).await,
        Act::RemovePeer => membership::remove_peer(arena).await,
        Act::Scale(replicas) => membership::scale(arena, replicas).await,
    }
}

/// Takes it away. Returns what more is known of it.
///
/// # Errors
/// It had not been there, or cannot be taken away.
pub(crate) async fn remove(injected: Injected, arena: &mut Arena) -> Result<String> {
    match injected.state {
        State::Down(servers) => {
            arena.start_servers(&servers)?;
            Ok(String::new())
        }
        State::Paused(paused) => pause::remove(arena, paused),
        State::Link(bad) => link::remove(arena, &bad),
        State::Disk(sick) => disk::remove(arena, sick),
        State::Damaged { server } => damage::remove(arena, server).await,
        State::Scaled { from } => membership::scale_back(arena, from).await,
        State::Over => Ok(String::new()),
    }
}

/// Names of servers, for people.
fn names(arena: &Arena, servers: &[usize]) -> String {
    let names: Vec<String> = servers.iter().filter_map(|server| arena.name(*server).ok()).collect();
    names.join(" ")
}
