//! What a [`Routes`](crate::Routes) service reports.

use std::net::SocketAddr;

use bytes::Bytes;

use crate::credit::Credit;
use crate::error::{DownReason, Refusal};
use crate::identity::{PeerId, PeerInfo};
use crate::lane::Lane;

/// Something that happened on the routes, in order per peer.
///
/// The receiver must be drained without delay: when it is full (1,024 events) nothing more is read
/// from any peer, and QUIC's flow control stops the senders.
#[derive(Clone, Debug)]
pub enum Event {
    /// A link to this server exists; frames may be sent to it.
    PeerUp(PeerInfo),
    /// A linked server changed what it says about itself.
    PeerChanged(PeerInfo),
    /// The link is gone. Frames sent and not yet received are lost.
    PeerDown {
        /// The server that was linked.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// Frames arrived: all that one read completed, in order, at least one.
    Frames {
        /// The sender.
        peer: PeerId,
        /// The lane they were sent on.
        lane: Lane,
        /// Slices of one read buffer; copy a small frame that is to be kept.
        frames: Vec<Bytes>,
        /// To be kept for as long as the frames wait: see [`Limits::reported`](crate::Limits::reported).
        credit: Credit,
    },
    /// A beat arrived. Beats may be lost, repeated never, and may overtake frames.
    Beat {
        /// The sender.
        peer: PeerId,
        /// What it passed to [`Handle::beat`](crate::Handle::beat).
        payload: Bytes,
    },
    /// The TCP connection to a linked server that tells of the end of its process is cut, and there is none to be had
    /// anew: the process has ended, or something in between lets TCP through no more. Said again and again for a while.
    LifelineCut {
        /// The server that is linked.
        peer: PeerId,
    },
    /// This server and another would not have each other. Of equal refusals at a dialled address
    /// only the first is reported. Dropped if the receiver is full.
    Refused {
        /// The other's address.
        addr: SocketAddr,
        /// Why, and who refused.
        reason: Refusal,
    },
}
