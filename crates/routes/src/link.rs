//! One established connection, and the lanes it carries.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use quinn::{Connection, ConnectionError, SendStream, VarInt, WriteError};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::error::{DownReason, Refusal, SendError};
use crate::identity::PeerId;
use crate::lane::{Lane, Purpose};
use crate::options::Limits;
use crate::outbox::{Outbox, Parts, PushError, length};
use crate::wire::{LINK_LIMIT, LinkFrame, code, printable};
use crate::writer;

/// How long a peer is given to take a goodbye.
pub(crate) const FAREWELL: Duration = Duration::from_millis(300);

/// The sending side of a link; [`crate::reader`] is the other.
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    /// Distinguishes this link from earlier ones to the same peer.
    pub(crate) number: u64,
    pub(crate) connection: Connection,
    pub(crate) limits: Limits,
    runtime: Handle,
    /// Frames of this crate.
    own: Arc<Outbox>,
    lanes: Mutex<Lanes>,
    /// Why the link ends, if it was not just lost.
    ended: OnceLock<DownReason>,
    /// The peer has received everything of `own`, which is finished.
    said: Arc<Notify>,
    /// Frames refused since a lane was full.
    refused: AtomicU64,
}

/// The lanes that have been sent on.
#[derive(Default)]
struct Lanes {
    open: BTreeMap<Lane, Arc<Outbox>>,
    closed: bool,
}

impl Link {
    /// Starts the writer of the link stream.
    pub(crate) fn new(
        peer: PeerId,
        number: u64,
        connection: Connection,
        mut outbound: SendStream,
        limits: Limits,
    ) -> Arc<Self> {
        let own = Arc::new(Outbox::new(LINK_LIMIT));
        let runtime = Handle::current();
        let said = Arc::new(Notify::new());
        let (waiting, all_said) = (own.clone(), said.clone());
        runtime.spawn(async move {
            if writer::write(&waiting, &mut outbound).await.is_ok() {
                all_said.notify_one();
            }
        });
        Arc::new(Self {
            peer,
            number,
            connection,
            limits,
            runtime,
            own,
            lanes: Mutex::default(),
            ended: OnceLock::new(),
            said,
            refused: AtomicU64::new(0),
        })
    }

    /// Queues a frame of this crate. A peer that takes none for so long that they do not fit learns
    /// the same from the next gossip, or from a new link.
    pub(crate) fn tell(&self, frame: &LinkFrame) {
        let frame = frame.encode();
        let length = frame.len();
        if self.own.push(Parts::from_iter([frame]), length).is_err() {
            log::debug!("route to {}: link stream is full", self.peer);
        }
    }

    /// Queues a frame of the server. The first one on a lane opens its stream.
    pub(crate) fn send(self: &Arc<Self>, lane: Lane, frame: Parts) -> Result<(), SendError> {
        let length = length(&frame);
        let limit = self.limits.frame;
        if length > limit {
            return Err(SendError::TooLarge { length, limit });
        }
        let outbox = self.outbox(lane)?;
        outbox.push(frame, length).map_err(|error| match error {
            PushError::Full { queued } => self.full(lane, queued),
            PushError::Finished if lane_ends(lane) => SendError::Finished(lane),
            PushError::Finished => SendError::NotConnected(self.peer),
        })
    }

    /// Bytes that wait on a lane.
    pub(crate) fn queued(&self, lane: Lane) -> usize {
        self.lanes().open.get(&lane).map_or(0, |outbox| outbox.queued())
    }

    /// Ends a transfer once all its frames have been received.
    pub(crate) fn finish(&self, transfer: u64) {
        if let Some(outbox) = self.lanes().open.get(&Lane::Bulk(transfer)) {
            outbox.finish();
        }
    }

    /// Ends the link from this side, and tells the peer why. The first reason is the true one.
    pub(crate) fn end(self: &Arc<Self>, reason: DownReason) {
        let text = reason.to_string();
        // Nobody is there any more to say goodbye to a replaced link.
        let at_once = reason == DownReason::Replaced;
        if self.ended.set(reason).is_err() && !at_once {
            return;
        }
        if at_once {
            self.connection.close(VarInt::from_u32(code::REPLACED), text.as_bytes());
            return;
        }
        self.tell(&LinkFrame::Goodbye(text.clone()));
        self.own.finish();
        let link = self.clone();
        self.runtime.spawn(async move {
            tokio::select! {
                _ = link.connection.closed() => {}
                () = link.said.notified() => {}
                () = sleep(FAREWELL) => {}
            }
            link.connection.close(VarInt::from_u32(code::ENDED), text.as_bytes());
        });
    }

    /// The peer ends the link and has said why.
    pub(crate) fn ended_by_peer(&self, why: &str) {
        let _ = self.ended.set(DownReason::Remote(printable(why.as_bytes())));
        self.connection.close(VarInt::from_u32(code::ENDED), b"");
    }

    /// Frees what waits to be sent; to be called when the connection is gone.
    pub(crate) fn close(&self) {
        self.own.close();
        let mut lanes = self.lanes();
        lanes.closed = true;
        for (_, outbox) in std::mem::take(&mut lanes.open) {
            outbox.close();
        }
    }

    /// Why the link is down.
    pub(crate) fn down_reason(&self) -> DownReason {
        if let Some(reason) = self.ended.get() {
            return reason.clone();
        }
        match self.connection.close_reason() {
            Some(ConnectionError::ApplicationClosed(close)) => {
                DownReason::Remote(printable(&close.reason))
            }
            Some(error) => DownReason::Lost(error.to_string()),
            None => DownReason::Lost("link task ended".to_owned()),
        }
    }

    /// Frames refused since a lane was full.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn outbox(self: &Arc<Self>, lane: Lane) -> Result<Arc<Outbox>, SendError> {
        let mut lanes = self.lanes();
        if let Some(outbox) = lanes.open.get(&lane) {
            return Ok(outbox.clone());
        }
        if lanes.closed {
            return Err(SendError::NotConnected(self.peer));
        }
        let bulk = lanes.open.keys().filter(|lane| lane_ends(**lane)).count();
        if lane_ends(lane) && bulk >= self.limits.bulk_lanes {
            return Err(self.full(lane, 0));
        }
        let outbox = Arc::new(Outbox::new(self.lane_limit(lane)));
        lanes.open.insert(lane, outbox.clone());
        drop(lanes);
        self.runtime.spawn(self.clone().run_lane(lane, outbox.clone()));
        Ok(outbox)
    }

    /// Carries a lane for as long as it is open.
    async fn run_lane(self: Arc<Self>, lane: Lane, outbox: Arc<Outbox>) {
        match self.write_lane(lane, &outbox).await {
            Ok(()) => {
                let mut lanes = self.lanes();
                if !lanes.closed {
                    lanes.open.remove(&lane);
                }
            }
            // A lane that silently carries nothing would be worse than no link.
            Err(WriteError::Stopped(_)) => {
                let refusal = Refusal::Protocol(format!("lane {lane} was stopped by its reader"));
                self.end(DownReason::Refused(refusal));
            }
            // The connection is gone, and its reader has noticed.
            Err(_) => {}
        }
    }

    async fn write_lane(&self, lane: Lane, outbox: &Outbox) -> Result<(), WriteError> {
        let mut stream = self.connection.open_uni().await?;
        let _ = stream.set_priority(lane.priority());
        stream.write_all(&Purpose::Lane(lane).encode()).await?;
        writer::write(outbox, &mut stream).await
    }

    fn full(&self, lane: Lane, queued: usize) -> SendError {
        self.refused.fetch_add(1, Ordering::Relaxed);
        SendError::Full { lane, queued }
    }

    fn lane_limit(&self, lane: Lane) -> usize {
        match lane {
            Lane::Control => self.limits.control,
            Lane::Messages => self.limits.messages,
            Lane::Raft(_) => self.limits.raft,
            Lane::Bulk(_) => self.limits.bulk,
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a lane may end before its link.
pub(crate) fn lane_ends(lane: Lane) -> bool {
    matches!(lane, Lane::Bulk(_))
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link {} to {}", self.number, self.peer)
    }
}
