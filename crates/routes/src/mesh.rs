//! Owns the links: decides which connection becomes one, notices which is gone, and spreads word of
//! them.

mod neighbours;
mod targets;

use std::collections::BTreeMap;
use std::sync::Arc;

use quinn::VarInt;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::error::{DownReason, Refusal};
use crate::event::Event;
use crate::handshake::{Candidate, address, judge_cluster_id};
use crate::identity::{Identity, PeerId, PeerInfo};
use crate::link::{FAREWELL, Link};
use crate::reader;
use crate::shared::{Command, Entry, Phase, Shared, Table};
use crate::transport;
use crate::wire::{LinkFrame, code, refuse};
use targets::Targets;

/// Remote servers whose [`PeerId`] is remembered while they are not linked.
const REMEMBERED: usize = 4096;

/// The task that owns all links.
pub(crate) struct Mesh {
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    identity: watch::Receiver<Identity>,
    links: BTreeMap<PeerId, Linked>,
    /// Reads one link each; a link is in `links` from before its task starts until after it ended.
    readers: JoinSet<()>,
    targets: Targets,
    /// By server name and server id.
    peers: BTreeMap<(String, String), PeerId>,
    next_peer: u64,
    next_link: u64,
}

struct Linked {
    link: Arc<Link>,
    info: Arc<PeerInfo>,
    reader: AbortHandle,
}

impl Mesh {
    pub(crate) fn new(shared: Arc<Shared>, commands: mpsc::Receiver<Command>) -> Self {
        Self {
            commands,
            identity: shared.identity.subscribe(),
            links: BTreeMap::new(),
            readers: JoinSet::new(),
            targets: Targets::new(shared.clone()),
            peers: BTreeMap::new(),
            next_peer: 1,
            next_link: 1,
            shared,
        }
    }

    /// Runs until the service is stopped or nobody takes its events any more.
    pub(crate) async fn run(mut self) {
        let mut gossip = interval(self.shared.options.timing.gossip);
        gossip.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let shared = self.shared.clone();
        loop {
            tokio::select! {
                () = shared.reached(Phase::Stopping) => break,
                () = shared.events.closed() => break,
                Some(_) = self.readers.join_next() => self.reap().await,
                Some(command) = self.commands.recv() => self.handle(command).await,
                Ok(()) = self.identity.changed() => self.tell_identity(),
                _ = gossip.tick() => {
                    self.spread_gossip();
                    self.targets.expire(self.links.values().map(|linked| &*linked.info));
                }
            }
        }
        self.stop().await;
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Propose { candidate, verdict } => {
                let decided = self.consider(&candidate).await;
                match &decided {
                    Ok(()) => self.install(*candidate).await,
                    Err(refusal) => refuse(&candidate.connection, self.shared.name(), refusal),
                }
                // Whoever proposed may have given up: then the connection is closed, or linked and
                // as good as any.
                let _ = verdict.send(decided);
            }
            Command::Frame { peer, number, frame } => {
                if self.links.get(&peer).is_some_and(|linked| linked.link.number == number) {
                    self.hear(peer, frame).await;
                }
            }
        }
    }

    /// Whether a connection becomes the link to its peer; if so, an older one is gone afterwards.
    ///
    /// This side is asked only if it decides, or if the deciding side has already said Welcome. So a
    /// second connection with one and the same process is refused by the decider alone, and always
    /// taken by the other, who then knows that its older link is gone.
    async fn consider(&mut self, candidate: &Candidate) -> Result<(), Refusal> {
        let theirs = &candidate.hello.identity;
        judge_cluster_id(&self.identity.borrow(), theirs)?;
        let name = &theirs.server_name;
        let known = self.links.values().find(|linked| linked.info.identity.server_name == *name);
        if let Some(known) = known {
            let old = &known.info.identity;
            let alive = known.link.connection.close_reason().is_none();
            if alive && theirs.is_same_process(old) && candidate.deciding {
                return Err(Refusal::AlreadyLinked(name.clone()));
            }
            // A new boot of the same server ends the old link at once; a second server of the same
            // name must wait until the first is gone.
            let same_server = theirs.server_id == old.server_id
                || (theirs.store_id.is_some() && theirs.store_id == old.store_id)
                || advertised(candidate) == known.info.advertised;
            if alive && !same_server {
                return Err(Refusal::DuplicateName(name.clone()));
            }
            let peer = known.info.peer;
            self.replace(peer).await;
        }
        Ok(())
    }

    async fn install(&mut self, candidate: Candidate) {
        let advertised = advertised(&candidate);
        let Candidate { connection, hello, told, dialed, deciding, outbound, inbound } = candidate;
        let peer = self.peer_id(&hello.identity);
        let addr = address(&connection);
        let info = Arc::new(PeerInfo { peer, identity: hello.identity, addr, advertised, dialed });
        let limits = self.shared.options.limits;
        transport::admit(&connection, &limits);
        let link = Link::new(peer, self.next_link, connection, outbound, limits);
        self.next_link += 1;
        if deciding {
            link.tell(&LinkFrame::Welcome);
        }
        let identity = self.identity.borrow().clone();
        if told != identity {
            link.tell(&LinkFrame::Identity(Box::new(identity)));
        }
        log::info!("route to {} ({addr}) is up", info.identity.server_name);
        // The table first: whoever hears of the peer may send to it. The event before the reader:
        // nothing of the link may overtake it.
        let (shared, reading) = (self.shared.clone(), link.clone());
        let (begin, begun) = tokio::sync::oneshot::channel();
        let reader = self.readers.spawn(async move {
            if begun.await.is_ok() {
                reader::read(shared, reading, inbound).await;
            }
        });
        self.links.insert(peer, Linked { link, info: info.clone(), reader });
        self.publish();
        self.emit(Event::PeerUp(PeerInfo::clone(&info))).await;
        let _ = begin.send(());
        self.spread_gossip();
    }

    /// Ends a link whose peer is elsewhere by now, and waits until nothing can come from it any more.
    async fn replace(&mut self, peer: PeerId) {
        if let Some(linked) = self.links.get(&peer) {
            linked.link.end(DownReason::Replaced);
        }
        // Its reader sees the end, and is among those that are waited for.
        while self.links.contains_key(&peer) && self.readers.join_next().await.is_some() {
            self.reap().await;
        }
    }

    /// Reports the links whose reader has ended.
    async fn reap(&mut self) {
        let ended = self.links.extract_if(.., |_, linked| linked.reader.is_finished());
        let ended: Vec<_> = ended.map(|(_, linked)| linked).collect();
        if ended.is_empty() {
            return;
        }
        self.publish();
        for Linked { link, info, .. } in ended {
            link.close();
            let reason = link.down_reason();
            log::info!("route to {} ({}) is down: {reason}", info.identity.server_name, info.addr);
            self.emit(Event::PeerDown { peer: info.peer, reason }).await;
        }
    }

    /// Says goodbye to all peers, and closes everything.
    async fn stop(mut self) {
        for linked in self.links.values() {
            linked.link.end(DownReason::Shutdown);
        }
        let all_gone = async { while self.readers.join_next().await.is_some() {} };
        let _ = timeout(FAREWELL, all_gone).await;
        let goodbye = DownReason::Shutdown.to_string();
        self.shared.endpoint.close(VarInt::from_u32(code::SHUTDOWN), goodbye.as_bytes());
        self.readers.shutdown().await;
        for Linked { link, info, .. } in std::mem::take(&mut self.links).into_values() {
            link.close();
            let down = Event::PeerDown { peer: info.peer, reason: DownReason::Shutdown };
            let _ = self.shared.events.try_send(down);
        }
        self.publish();
        let _ = timeout(FAREWELL, self.shared.endpoint.wait_idle()).await;
        self.shared.phase.send_replace(Phase::Stopped);
    }

    /// Shows the links to handles and dialers.
    fn publish(&self) {
        let entry =
            |linked: &Linked| Entry { link: linked.link.clone(), info: linked.info.clone() };
        let links = self.links.iter().map(|(peer, linked)| (*peer, entry(linked))).collect();
        self.shared.table.send_replace(Arc::new(Table { links }));
    }

    async fn emit(&self, event: Event) {
        tokio::select! {
            // Without a receiver the run loop ends by itself.
            _ = self.shared.events.send(event) => {}
            // A receiver that is full, and not drained any more, does not hold up the end.
            () = self.shared.reached(Phase::Stopping) => {}
        }
    }

    fn peer_id(&mut self, identity: &Identity) -> PeerId {
        let key = (identity.server_name.clone(), identity.server_id.clone());
        if let Some(peer) = self.peers.get(&key) {
            return *peer;
        }
        if self.peers.len() >= REMEMBERED {
            // Servers that were gone when so many others had come since count as new ones.
            self.peers.retain(|_, peer| self.links.contains_key(peer));
        }
        let peer = PeerId(self.next_peer);
        self.next_peer += 1;
        self.peers.insert(key, peer);
        peer
    }
}

/// Where others reach a peer's routes.
fn advertised(candidate: &Candidate) -> (String, u16) {
    let seen = address(&candidate.connection);
    // A server dials from the socket that it listens on.
    let seen = || (seen.ip().to_string(), seen.port());
    candidate.hello.advertise.clone().unwrap_or_else(seen)
}
