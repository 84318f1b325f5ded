//! The loop that takes what happens on the routes to those whom it concerns.

use std::collections::BTreeMap;
use std::sync::Arc;

use flotilla_host::WATCH_TICK;
use flotilla_routes::{Event, Lane, PeerId, PeerInfo};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::beats::Beating;
use crate::cluster::TellClientUrls;
use crate::links::Links;
use crate::members::Members;
use crate::messages::{Messages, Worker};

/// The loop's state.
pub(crate) struct Service {
    pub(crate) links: Arc<Links>,
    pub(crate) messages: Arc<Messages>,
    /// Absent without JetStream.
    pub(crate) members: Option<Members>,
    pub(crate) tell_client_urls: Option<TellClientUrls>,
    /// What was told last.
    pub(crate) client_urls: Vec<String>,
    pub(crate) workers: BTreeMap<PeerId, Worker>,
    /// Tasks of links that are gone.
    pub(crate) ending: BTreeMap<PeerId, JoinHandle<()>>,
    /// This server beats for as long as the loop runs.
    pub(crate) _beating: Option<Beating>,
}

impl Service {
    /// Runs until `stop` says so, or its sender is gone.
    pub(crate) async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut ticks = interval(WATCH_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = async move { drop(stop.wait_for(|stop| *stop).await) };
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.event(event),
                    None => return,
                },
                _ = ticks.tick() => {
                    if let Some(members) = &mut self.members {
                        let waiting = events.len();
                        members.tick(waiting, waiting >= events.max_capacity());
                    }
                    self.ending.retain(|_, task| !task.is_finished());
                }
                () = &mut stopped => return,
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::PeerUp(info) => self.up(&info),
            Event::PeerChanged(info) => self.changed(&info),
            Event::PeerDown { peer, reason } => {
                log::info!("Route to {} closed: {reason}", self.links.name_of(peer));
                self.down(peer);
            }
            Event::Frames { peer, lane: Lane::Messages, frames, credit } => {
                if let Some(worker) = self.workers.get(&peer) {
                    worker.take(frames, credit);
                }
            }
            Event::Frames { peer, lane, frames, .. } => {
                if let Some(members) = &self.members {
                    members.frames(peer, lane, frames);
                }
            }
            Event::Beat { peer, payload } => {
                if let Some(members) = &mut self.members {
                    members.beat(peer, &payload);
                }
            }
            Event::LifelineCut { peer } => {
                if let Some(members) = &mut self.members {
                    members.lifeline_cut(peer);
                }
            }
            Event::Refused { addr, reason } => log::warn!("Route with {addr} refused: {reason}"),
        }
        if let Some(members) = &mut self.members {
            members.event_done();
        }
    }

    fn up(&mut self, info: &PeerInfo) {
        log::info!("Route to {} at {} created", info.identity.server_name, info.addr);
        // The receiver reads it behind the interest that this server states first.
        let previous = self.ending.remove(&info.peer);
        let worker = Worker::start(self.messages.clone(), info.peer, previous);
        self.workers.insert(info.peer, worker);
        self.links.up(info);
        if let Some(members) = &mut self.members {
            members.up(info, true);
        }
        self.tell_client_urls();
    }

    fn changed(&mut self, info: &PeerInfo) {
        self.links.up(info);
        if let Some(members) = &mut self.members {
            members.up(info, false);
        }
        self.tell_client_urls();
    }

    fn down(&mut self, peer: PeerId) {
        self.messages.neighbours.forget(peer);
        if let Some(worker) = self.workers.remove(&peer) {
            self.ending.insert(peer, worker.end());
        }
        let store = self.links.store_of(peer);
        self.links.down(peer, self.members.is_some());
        if let (Some(members), Some((store, _))) = (&mut self.members, store) {
            members.down(peer, store);
        }
        self.tell_client_urls();
    }

    /// Clients learn of other servers, so that they find one when theirs is gone.
    fn tell_client_urls(&mut self) {
        let Some(tell) = &self.tell_client_urls else { return };
        let urls = self.links.client_urls();
        if urls != self.client_urls {
            self.client_urls.clone_from(&urls);
            tell(urls);
        }
    }
}
