//! Clients that speak the NATS protocol over TCP.
//!
//! Of each connection one task reads (`reader`) and one writes (`writer`). The reader takes all that has arrived,
//! applies every operation in it (`session`), and hands the outcome to the outboxes as one batch; the writer sleeps
//! until its outbox holds something, and writes all of it at once.

mod connection;
mod listener;
mod options;
mod ping;
mod reader;
mod registry;
mod service;
mod session;
mod writer;

pub use connection::{ConnectionInfo, SubscriptionInfo};
pub use listener::{BindError, ClientListener};
pub use options::{ClientOptions, ClientOptionsError};
pub use service::ConnectionObserver;
