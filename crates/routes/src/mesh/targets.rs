//! The addresses that are dialled.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use crate::dial::keep_dialing;
use crate::identity::PeerInfo;
use crate::options::{RouteUrl, is_host};
use crate::shared::Shared;
use crate::wire::Neighbour;

/// Targets learned by gossip, at most: peers are trusted, but not with all memory.
const MOST_HEARD: usize = 1024;

/// One dialling task for each target: seeds for ever, others for as long as somebody is linked to
/// them or was not long ago.
pub(super) struct Targets {
    shared: Arc<Shared>,
    known: BTreeMap<RouteUrl, Target>,
    dialing: JoinSet<()>,
}

struct Target {
    task: AbortHandle,
    /// `None` for a seed.
    heard: Option<Heard>,
}

/// What gossip says of a target.
struct Heard {
    server_name: String,
    last: Instant,
}

impl Targets {
    /// Starts with the seeds.
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let seeds = shared.options.seeds.clone();
        let mut targets = Self { shared, known: BTreeMap::new(), dialing: JoinSet::new() };
        for seed in seeds {
            if !targets.known.contains_key(&seed) {
                targets.dial(seed, None);
            }
        }
        targets
    }

    /// Dials a server that a peer is linked to.
    pub(super) fn hear(&mut self, neighbour: Neighbour) {
        let Neighbour { server_name, host, port } = neighbour;
        if !is_host(&host) {
            return;
        }
        let url = RouteUrl { host, port };
        let known = self.known.len();
        match self.known.get_mut(&url) {
            Some(Target { heard: None, .. }) => {}
            Some(Target { heard: Some(heard), .. }) if heard.server_name == server_name => {
                heard.last = Instant::now();
            }
            None if known >= self.shared.options.seeds.len() + MOST_HEARD => {
                log::debug!("route to {url}: too many servers to dial");
            }
            // Another server has the address now.
            Some(_) | None => {
                let heard = Heard { server_name, last: Instant::now() };
                self.dial(url, Some(heard));
            }
        }
    }

    /// Gives up targets that were neither linked nor heard of for long.
    pub(super) fn expire<'a>(&mut self, linked: impl Iterator<Item = &'a PeerInfo>) {
        let now = Instant::now();
        for info in linked {
            let (host, port) = info.advertised.clone();
            if let Some(target) = self.known.get_mut(&RouteUrl { host, port })
                && let Some(heard) = &mut target.heard
            {
                heard.last = now;
            }
        }
        let forget = self.shared.options.timing.forget;
        let given_up = self.known.extract_if(.., |_, target| {
            target.heard.as_ref().is_some_and(|heard| now.duration_since(heard.last) > forget)
        });
        for (url, target) in given_up {
            log::info!("route to {url} is given up");
            target.task.abort();
        }
        while self.dialing.try_join_next().is_some() {}
    }

    fn dial(&mut self, url: RouteUrl, heard: Option<Heard>) {
        let expected = heard.as_ref().map(|heard| heard.server_name.clone());
        let dialing = keep_dialing(self.shared.clone(), url.clone(), expected);
        let task = self.dialing.spawn(dialing);
        if let Some(replaced) = self.known.insert(url, Target { task, heard }) {
            replaced.task.abort();
        }
    }
}
