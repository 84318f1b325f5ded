//! One consumer: its replicated state, and what only its leader knows.
//!
//! [`Consumer`] is the machine every replica runs. It never looks at a stream: what depends on one (where
//! to start, which messages match, which are gone) its leader finds out from its replica of the stream
//! and proposes. [`Leader`] is that part: pull requests, timers and plans, all of which may be lost.

mod ack;
mod acks;
mod applied;
mod base;
mod command;
mod effect;
mod landing;
mod leader;
mod machine;
mod pending;
mod plan;
mod query;
mod redelivery;
mod runs;
mod upcoming;
mod waiting;

pub use ack::{AckSubject, AckVerb};
pub use acks::{Ack, AckKind};
pub use applied::{ConsumerApplied, Delivery, Settled, Settlement};
pub use command::{Ticket, encode_consumer_update};
pub use effect::{Closing, ConsumerAdvisory, ConsumerEffect, ConsumerInput, PlannedSend, Status};
pub use leader::Leader;
pub use machine::{Consumer, Position};
pub use pending::Pending;
pub use waiting::PullRequest;

#[cfg(test)]
mod tests;
