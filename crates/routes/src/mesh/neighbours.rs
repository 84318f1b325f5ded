//! What linked servers tell each other: changes of identity, and gossip.

use std::sync::Arc;

use super::Mesh;
use crate::error::{DownReason, Refusal};
use crate::event::Event;
use crate::handshake::judge_cluster_id;
use crate::identity::{Identity, PeerId, PeerInfo};
use crate::wire::{LinkFrame, Neighbour};

impl Mesh {
    /// Takes a frame from a peer's link stream.
    pub(super) async fn hear(&mut self, peer: PeerId, frame: LinkFrame) {
        match frame {
            LinkFrame::Identity(identity) => self.hear_identity(peer, *identity).await,
            LinkFrame::Gossip(neighbours) => {
                for neighbour in neighbours {
                    if neighbour.server_name != self.shared.name() {
                        self.targets.hear(neighbour);
                    }
                }
            }
            // The link's reader keeps goodbyes to itself.
            LinkFrame::Hello(_) | LinkFrame::Welcome | LinkFrame::Goodbye(_) => {
                let refusal = Refusal::Protocol("second Hello or Welcome".to_owned());
                self.end(peer, refusal);
            }
        }
    }

    async fn hear_identity(&mut self, peer: PeerId, newer: Identity) {
        let Some(linked) = self.links.get_mut(&peer) else { return };
        let mut identity = linked.info.identity.clone();
        identity.take_changes(newer);
        let malformed = |error: crate::OptionError| Refusal::Protocol(error.to_string());
        let judged = identity.check().map_err(malformed);
        let judged = judged.and_then(|()| judge_cluster_id(&self.identity.borrow(), &identity));
        if let Err(refusal) = judged {
            self.shared.report(linked.info.addr, refusal.clone());
            self.end(peer, refusal);
            return;
        }
        if identity != linked.info.identity {
            let info = PeerInfo { identity, ..PeerInfo::clone(&linked.info) };
            linked.info = Arc::new(info.clone());
            self.publish();
            self.emit(Event::PeerChanged(info)).await;
        }
    }

    fn end(&self, peer: PeerId, refusal: Refusal) {
        if let Some(linked) = self.links.get(&peer) {
            linked.link.end(DownReason::Refused(refusal));
        }
    }

    /// Tells all peers who this server is now, and ends links that have become impossible.
    pub(super) fn tell_identity(&self) {
        let identity = self.identity.borrow().clone();
        for linked in self.links.values() {
            match judge_cluster_id(&identity, &linked.info.identity) {
                Ok(()) => linked.link.tell(&LinkFrame::Identity(Box::new(identity.clone()))),
                Err(refusal) => {
                    self.shared.report(linked.info.addr, refusal.clone());
                    linked.link.end(DownReason::Refused(refusal));
                }
            }
        }
    }

    /// Tells all peers of all peers. Only of those linked here: an address outlives its server by
    /// no more than what each one remembers on its own.
    pub(super) fn spread_gossip(&self) {
        let neighbour = |info: &PeerInfo| Neighbour {
            server_name: info.identity.server_name.clone(),
            host: info.advertised.0.clone(),
            port: info.advertised.1,
        };
        let neighbours = self.links.values().map(|linked| neighbour(&linked.info)).collect();
        let gossip = LinkFrame::Gossip(neighbours);
        for linked in self.links.values() {
            linked.link.tell(&gossip);
        }
    }
}
