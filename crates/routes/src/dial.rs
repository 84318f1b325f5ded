//! Reaches for one target until told to stop.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::crypto::UNVERIFIED_NAME;
use crate::error::Refusal;
use crate::handshake::{Failure, establish};
use crate::options::{RouteUrl, Timing};
use crate::shared::Shared;

/// Addresses of one name that are dialled.
const MOST_ADDRESSES: usize = 64;

/// Longest wait for a name to be looked up.
const LOOKUP: Duration = Duration::from_secs(5);

/// What a dialled address has turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// The server of this name.
    Peer(String),
    /// This server.
    Oneself,
    /// A server that refuses, or is refused.
    Refused(Refusal),
}

/// Keeps a target linked: dials every address of its name that is not linked, with growing pauses
/// while one of them is missing. `expected` is the server said to be there, if gossip told of it.
pub(crate) async fn keep_dialing(shared: Arc<Shared>, url: RouteUrl, expected: Option<String>) {
    let timing = shared.options.timing;
    let mut dialer = Dialer { shared: shared.clone(), url, expected, found: BTreeMap::new() };
    let mut backoff = Backoff::new(&timing);
    let mut table = shared.table.subscribe();
    loop {
        table.mark_unchanged();
        if dialer.round().await {
            backoff = Backoff::new(&timing);
            // A name may get further addresses, so look again even if no link changes.
            let _ = timeout(timing.backoff_most, table.changed()).await;
        } else {
            sleep(backoff.next()).await;
        }
    }
}

struct Dialer {
    shared: Arc<Shared>,
    url: RouteUrl,
    expected: Option<String>,
    /// What was found where, so that linked servers are not dialled again.
    found: BTreeMap<SocketAddr, Found>,
}

impl Dialer {
    /// Dials what is missing, all addresses at a time; true if nothing is missing afterwards.
    async fn round(&mut self) -> bool {
        if self.expected.as_ref().is_some_and(|name| self.shared.table.borrow().has_name(name)) {
            return true;
        }
        let addrs = self.resolve().await;
        if addrs.is_empty() {
            return false;
        }
        self.found.retain(|addr, _| addrs.contains(addr));
        let mut attempts = JoinSet::new();
        for addr in addrs.iter().copied().filter(|addr| !self.satisfied(*addr)) {
            attempts.spawn(attempt(self.shared.clone(), self.url.clone(), addr));
        }
        while let Some(ended) = attempts.join_next().await {
            if let Ok((addr, result)) = ended {
                self.learn(addr, result);
            }
        }
        addrs.iter().all(|addr| self.satisfied(*addr))
    }

    /// Whether no link is missing at an address.
    fn satisfied(&self, addr: SocketAddr) -> bool {
        match self.found.get(&addr) {
            Some(Found::Oneself) => true,
            Some(Found::Peer(name)) => self.shared.table.borrow().has_name(name),
            Some(Found::Refused(_)) | None => self.shared.table.borrow().has_addr(addr),
        }
    }

    fn learn(&mut self, addr: SocketAddr, result: Result<String, Failure>) {
        let found = match result {
            Ok(name) | Err(Failure::Refused(Refusal::AlreadyLinked(name))) => Found::Peer(name),
            Err(Failure::Refused(Refusal::Oneself)) => Found::Oneself,
            Err(Failure::Refused(refusal)) => Found::Refused(refusal),
            Err(Failure::Lost(reason)) => {
                log::debug!("route to {} ({addr}): {reason}", self.url);
                return;
            }
        };
        if self.found.get(&addr) != Some(&found)
            && let Found::Refused(refusal) = &found
        {
            log::debug!("route to {} ({addr}): {refusal}", self.url);
            self.shared.report(addr, refusal.clone());
        }
        self.found.insert(addr, found);
    }

    async fn resolve(&self) -> Vec<SocketAddr> {
        let lookup = tokio::net::lookup_host((self.url.host.as_str(), self.url.port));
        let mut addrs: Vec<_> = match timeout(LOOKUP, lookup).await {
            Ok(Ok(addrs)) => addrs.take(MOST_ADDRESSES).collect(),
            Ok(Err(error)) => {
                log::debug!("route to {}: {error}", self.url);
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        addrs.sort_unstable();
        addrs.dedup();
        addrs
    }
}

async fn attempt(
    shared: Arc<Shared>,
    url: RouteUrl,
    addr: SocketAddr,
) -> (SocketAddr, Result<String, Failure>) {
    let name = if shared.verified { url.host.as_str() } else { UNVERIFIED_NAME };
    let result = match shared.endpoint.connect(addr, name) {
        Ok(connecting) => establish(&shared, connecting, true).await,
        Err(error) => Err(Failure::Lost(error.to_string())),
    };
    (addr, result)
}

/// Pauses that double, each shortened by up to a half at random so that servers which lost each
/// other at the same moment do not keep dialling at the same moment.
struct Backoff {
    pause: Duration,
    most: Duration,
}

impl Backoff {
    fn new(timing: &Timing) -> Self {
        Self { pause: timing.backoff_least, most: timing.backoff_most }
    }

    fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(self.most);
        pause.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit() {
        let timing = Timing::default();
        let mut backoff = Backoff::new(&timing);
        let mut expected = timing.backoff_least;
        for _ in 0..12 {
            let pause = backoff.next();
            assert!(pause <= expected && pause >= expected / 2, "{pause:?} of {expected:?}");
            expected = (expected * 2).min(timing.backoff_most);
        }
        assert_eq!(expected, timing.backoff_most);
    }
}
