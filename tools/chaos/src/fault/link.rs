//! Bad links, by the relay.

use std::time::Duration;

use anyhow::{Result, ensure};
use flotilla_relay::{Change, Pairs, Traffic};

use super::{Injected, State};
use crate::arena::Arena;
use crate::plan::Weather;

/// Directions that are bad, and what had gone through them before.
#[derive(Debug)]
pub(super) struct Bad {
    directions: Vec<(String, String, Traffic)>,
    weather: Weather,
}

pub(super) fn inject(arena: &mut Arena, server: usize, weather: Weather) -> Result<Injected> {
    let count = arena.cluster.servers().len();
    let name = arena.name(server)?;
    let others: Vec<String> = (0..count)
        .filter(|other| *other != server)
        .map(|other| arena.name(other))
        .collect::<Result<_>>()?;
    let next = arena.name((server + 1) % count)?;
    let pairs = match weather {
        Weather::Isolated | Weather::Lossy(_) | Weather::Slow(_) => vec![Pairs::around(&name)],
        Weather::Deaf => others.iter().map(|other| Pairs::one_way(other, &name)).collect(),
        Weather::Mute => others.iter().map(|other| Pairs::one_way(&name, other)).collect(),
        Weather::CutFromNext => vec![Pairs::between(&name, &next)],
    };
    let mut directions = Vec::new();
    for other in &others {
        let concerns = |from: &str, to: &str| match weather {
            Weather::Deaf => to == name,
            Weather::Mute => from == name,
            Weather::CutFromNext => from == next || to == next,
            _ => true,
        };
        for (from, to) in [(&name, other), (other, &name)] {
            if concerns(from, to) {
                directions.push((from.clone(), to.clone(), arena.relay.traffic(from, to)?));
            }
        }
    }
    let changes = match weather {
        Weather::Lossy(probability) => vec![
            Change::Loss(probability),
            Change::Duplicate(probability),
            Change::Reorder(probability),
        ],
        Weather::Slow(delay) => {
            let delay = Duration::from_millis(delay);
            vec![Change::Delay(delay), Change::Jitter(delay)]
        }
        _ => vec![Change::Cut],
    };
    for pairs in &pairs {
        for change in &changes {
            arena.relay.change(pairs, *change)?;
        }
    }
    let proof = format!("{name} {weather:?}");
    Ok(Injected { proof, state: State::Link(Bad { directions, weather }) })
}

pub(super) fn remove(arena: &mut Arena, bad: &Bad) -> Result<String> {
    let (mut sent, mut lost) = (0, 0);
    for (from, to, before) in &bad.directions {
        let traffic = arena.relay.traffic(from, to)?;
        sent += traffic.sent - before.sent;
        lost += traffic.lost - before.lost;
        arena.relay.change(&Pairs::one_way(from, to), Change::Heal)?;
    }
    // Delays lose nothing, and of few datagrams chance may spare all; that something was sent is enough.
    let met = if matches!(bad.weather, Weather::Slow(_) | Weather::Lossy(_)) { sent } else { lost };
    ensure!(met > 0, "no datagram met it: {sent} sent, {lost} lost");
    Ok(format!("{sent} datagrams met it, {lost} were lost"))
}
