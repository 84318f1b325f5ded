//! What arrives on the messages lane: one task per link, so that a flood of messages holds up no Raft bundle and no
//! beat.

use std::str::Utf8Error;
use std::sync::Arc;

use bytes::Bytes;
use flotilla_routes::interest::{RoutedMessage, Statement};
use flotilla_routes::{Credit, PeerId};
use flotilla_server_core::router::PeerBatch;
use flotilla_server_core::{Account, Interest, Message, Origin, RouterHandle};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::envelope::{Envelope, FrameError};
use crate::interest::Neighbours;
use crate::links::Links;
use crate::store::LocalStore;

/// What the tasks work with.
pub(crate) struct Messages {
    pub(crate) links: Arc<Links>,
    pub(crate) neighbours: Arc<Neighbours>,
    pub(crate) router: RouterHandle,
    /// Where clients are served.
    pub(crate) runtime: Handle,
    pub(crate) jetstream: Option<Arc<dyn LocalStore>>,
}

/// The task of one link. It ends, and the router forgets the server, when this is dropped.
pub(crate) struct Worker {
    /// Limited by the credit that belongs to the frames.
    frames: mpsc::UnboundedSender<(Vec<Bytes>, Credit)>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Begins when the task of the previous link to the same server has ended.
    pub(crate) fn start(
        messages: Arc<Messages>,
        peer: PeerId,
        previous: Option<JoinHandle<()>>,
    ) -> Self {
        let (frames, receiver) = mpsc::unbounded_channel();
        let task = messages.runtime.clone().spawn(async move {
            if let Some(previous) = previous {
                // It cannot have panicked without being logged; its end is all that counts.
                drop(previous.await);
            }
            messages.serve(peer, receiver).await;
        });
        Self { frames, task }
    }

    /// Takes frames of one event.
    pub(crate) fn take(&self, frames: Vec<Bytes>, credit: Credit) {
        // Fails only if the task panicked; the link is then good for nothing but what is no message.
        drop(self.frames.send((frames, credit)));
    }

    /// Ends the task after what waits.
    pub(crate) fn end(self) -> JoinHandle<()> {
        self.task
    }
}

impl Messages {
    async fn serve(&self, peer: PeerId, mut frames: mpsc::UnboundedReceiver<(Vec<Bytes>, Credit)>) {
        // Nothing is forwarded to a server before its interest is known, which is read behind this.
        self.neighbours.tell_all(peer, &self.router).await;
        // The credit goes when the frames are dealt with.
        while let Some((frames, _credit)) = frames.recv().await {
            if let Err(error) = self.deliver(peer, frames) {
                self.links.refuse(peer, &error);
            }
        }
        self.router.peer_gone(flotilla_server_core::PeerId(peer.get()));
    }

    fn deliver(&self, peer: PeerId, frames: Vec<Bytes>) -> Result<(), FrameError> {
        let mut delivery = Delivery {
            router: &self.router,
            peer: flotilla_server_core::PeerId(peer.get()),
            batch: self.router.batch_from_peer(),
            account: None,
        };
        let mut dealt_with = Ok(());
        for frame in frames {
            dealt_with = Envelope::decode(frame).and_then(|envelope| match envelope {
                Envelope::Message(message) => Ok(delivery.message(&message)?),
                Envelope::Statement(statement) => Ok(delivery.statement(&statement)?),
                Envelope::Forwarded(message) => self.give_to_jetstream(&message),
            });
            if dealt_with.is_err() {
                break;
            }
        }
        if let Some(jetstream) = &self.jetstream {
            jetstream.settle();
        }
        dealt_with
    }

    fn give_to_jetstream(&self, message: &RoutedMessage) -> Result<(), FrameError> {
        // A server without JetStream leads nothing: the sender is out of date.
        let Some(jetstream) = &self.jetstream else { return Ok(()) };
        let (account, subject) = (text(&message.account)?, text(&message.subject)?);
        let reply = message.reply.as_ref().map(text).transpose()?;
        let headers = message.headers.as_ref();
        jetstream.forwarded(account, subject, reply, headers, &message.payload);
        Ok(())
    }
}

/// The frames of one event on their way to this server's subscribers.
struct Delivery<'r> {
    router: &'r RouterHandle,
    peer: flotilla_server_core::PeerId,
    batch: PeerBatch<'r>,
    /// The account of the message before, which is most often that of the next.
    account: Option<Arc<Account>>,
}

impl Delivery<'_> {
    fn message(&mut self, message: &RoutedMessage) -> Result<(), FrameError> {
        let name = text(&message.account)?;
        if self.account.as_ref().is_none_or(|account| account.name() != name) {
            self.account = self.router.find_account(name);
        }
        // Nobody listens in an account that is not known here.
        let Some(account) = &self.account else { return Ok(()) };
        let queues = message.queues.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let message = Message {
            account,
            subject: text(&message.subject)?,
            shown: message.shown.as_ref().map(text).transpose()?,
            reply: message.reply.as_ref().map(text).transpose()?,
            headers: message.headers.as_ref(),
            payload: &message.payload,
            origin: Origin::Peer(self.peer),
        };
        self.batch.deliver(&message, &queues);
        Ok(())
    }

    fn statement(&self, statement: &Statement) -> Result<(), FrameError> {
        if statement.replaces {
            self.router.peer_gone(self.peer);
        }
        for interest in &statement.interests {
            let stated = Interest {
                account: text(&interest.account)?,
                subject: text(&interest.subject)?,
                queue: interest.queue.as_ref().map(text).transpose()?,
                weight: interest.weight,
            };
            // The other server took it from a client, so that a later version may know more subjects than this one.
            if let Err(error) = self.router.remote_interest(self.peer, stated) {
                log::warn!("Interest of another server is passed over: {error}");
            }
        }
        Ok(())
    }
}

fn text(bytes: &Bytes) -> Result<&str, Utf8Error> {
    std::str::from_utf8(bytes)
}
