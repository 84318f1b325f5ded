//! The server's shell: accounts, the router between them and their clients, and the client listener.
//!
//! * [`account`] is a subject space of its own; [`auth`] says who may enter which.
//! * [`router`] carries a message from whoever publishes it to everyone who listens: clients, parts of this server,
//!   and other servers. JetStream, routes and monitoring attach to its [`RouterHandle`].
//! * [`client`] speaks the NATS client protocol over TCP.

pub mod account;
pub mod auth;
pub mod client;
mod lock;
pub mod router;

pub use account::Account;
pub use auth::{AuthOptions, UnsupportedSecret, User};
pub use client::{ClientListener, ClientOptions, ConnectionInfo, ConnectionObserver};
pub use router::{
    CloseReason, ConnectionId, Deliver, Interest, InternalSubscription, Message, Origin, PeerId,
    Peers, RouterHandle, Scope,
};
