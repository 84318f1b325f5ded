//! Reads everything that arrives on a link.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use quinn::RecvStream;
use tokio::io::AsyncReadExt;
use tokio::task::{JoinError, JoinSet};

use crate::credit::Credits;
use crate::error::{DownReason, Refusal};
use crate::event::Event;
use crate::frame::Deframer;
use crate::handshake::{Failure, Inbound};
use crate::lane::{Lane, PROLOGUE, Purpose};
use crate::lifeline;
use crate::link::{Link, lane_ends};
use crate::shared::{Command, Shared};
use crate::wire::LinkFrame;

/// The receiving side of a link.
#[derive(Clone)]
struct Reader {
    shared: Arc<Shared>,
    link: Arc<Link>,
    /// Lanes being read; a second stream for one of them would break its order.
    lanes: Arc<Mutex<BTreeSet<Lane>>>,
}

/// Reads until the connection is gone. After it returns, no event comes from this link.
///
/// A peer that breaks the protocol loses the connection.
pub(crate) async fn read(shared: Arc<Shared>, link: Arc<Link>, inbound: Inbound) {
    let reader = Reader { shared, link: link.clone(), lanes: Arc::default() };
    let mut tasks = JoinSet::new();
    tasks.spawn(reader.clone().read_link(inbound));
    tasks.spawn(reader.clone().read_beats());
    tasks.spawn(reader.clone().watch_lifeline());
    loop {
        tokio::select! {
            stream = link.connection.accept_uni() => match stream {
                Ok(stream) => { tasks.spawn(reader.clone().read_lane(stream)); }
                Err(_) => break,
            },
            Some(ended) = tasks.join_next() => {
                if let Some(refusal) = violation(ended) {
                    link.end(DownReason::Refused(refusal));
                }
            }
        }
    }
    tasks.shutdown().await;
}

/// What a reading task that ended has against the peer.
fn violation(ended: Result<Result<(), Failure>, JoinError>) -> Option<Refusal> {
    match ended {
        // A lost connection ends the caller's loop by itself.
        Ok(Ok(()) | Err(Failure::Lost(_))) => None,
        Ok(Err(Failure::Refused(refusal))) => Some(refusal),
        Err(error) => Some(Refusal::Protocol(format!("reading failed: {error}"))),
    }
}

impl Reader {
    async fn read_link(self, mut inbound: Inbound) -> Result<(), Failure> {
        loop {
            let frame = match inbound.next(&self.link.connection).await {
                Ok(frame) => frame,
                // The peer closed the connection, which is no breach.
                Err(_) if self.link.connection.close_reason().is_some() => return Ok(()),
                Err(breach) => return Err(breach),
            };
            if let LinkFrame::Goodbye(why) = frame {
                self.link.ended_by_peer(&why);
                return Ok(());
            }
            let command = Command::Frame { peer: self.link.peer, number: self.link.number, frame };
            if self.shared.commands.send(command).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn read_beats(self) -> Result<(), Failure> {
        loop {
            let Ok(payload) = self.link.connection.read_datagram().await else { return Ok(()) };
            if !self.emit(Event::Beat { peer: self.link.peer, payload }).await {
                return Ok(());
            }
        }
    }

    async fn watch_lifeline(self) -> Result<(), Failure> {
        lifeline::watch(&self.shared, &self.link).await;
        Ok(())
    }

    async fn read_lane(self, mut stream: RecvStream) -> Result<(), Failure> {
        let mut prologue = [0; PROLOGUE];
        if stream.read_exact(&mut prologue).await.is_err() {
            return self.broken("a stream ended before its first bytes");
        }
        let lane = match Purpose::decode(prologue) {
            Ok(Purpose::Lane(lane)) => lane,
            Ok(Purpose::Link) => return self.broken("second link stream"),
            Err(error) => return self.broken(&error.to_string()),
        };
        if !self.lanes.lock().unwrap_or_else(PoisonError::into_inner).insert(lane) {
            return self.broken(&format!("second stream for lane {lane}"));
        }
        self.read_frames(lane, stream).await?;
        if !lane_ends(lane) {
            return self.broken(&format!("lane {lane} ended"));
        }
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).remove(&lane);
        Ok(())
    }

    /// Reads to the end of the stream, which must be the end of a frame.
    async fn read_frames(&self, lane: Lane, mut stream: RecvStream) -> Result<(), Failure> {
        let mut deframer = Deframer::new(self.link.limits.frame);
        let credits = Credits::new(self.link.limits.reported);
        loop {
            match stream.read_buf(deframer.space()).await {
                Ok(0) if deframer.is_empty() => return Ok(()),
                Ok(0) => return self.broken(&format!("lane {lane} ended within a frame")),
                Ok(_) => {}
                Err(error) => return self.broken(&format!("lane {lane}: {error}")),
            }
            let mut frames = Vec::new();
            let failed = loop {
                match deframer.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            if !frames.is_empty() {
                let bytes = frames.iter().map(|frame| frame.len() + size_of::<Bytes>()).sum();
                let Some(credit) = credits.take(bytes).await else { return Ok(()) };
                let peer = self.link.peer;
                if !self.emit(Event::Frames { peer, lane, frames, credit }).await {
                    return Ok(());
                }
            }
            if let Some(error) = failed {
                return self.broken(&format!("lane {lane}: {error}"));
            }
        }
    }

    /// Hands an event up, waiting for room; false if nobody takes events any more.
    async fn emit(&self, event: Event) -> bool {
        self.shared.events.send(event).await.is_ok()
    }

    /// The peer broke the protocol, unless it is only that the connection is gone.
    fn broken(&self, what: &str) -> Result<(), Failure> {
        match self.link.connection.close_reason() {
            Some(reason) => Err(Failure::Lost(reason.to_string())),
            None => Err(Refusal::Protocol(what.to_owned()).into()),
        }
    }
}
