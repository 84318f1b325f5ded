//! JetStream's shell: shard threads, calls between servers, the directory, and the API dispatcher.
//!
//! * [`JetStream`] is all of it on one server: [`open`] its store, [`Opened::start`] its threads.
//! * [`Directory`] is what the meta group decided, [`Leaders`] who leads what, [`Calls`] asks a group's leader.
//! * [`Api`] answers `$JS.API.…`; [`Ingest`] takes what clients send to streams and consumers.

mod advisories;
mod api;
mod buffers;
mod calls;
mod clock;
mod directory;
mod driver;
#[cfg(test)]
mod fixture;
mod hands;
mod inbox;
mod inboxes;
mod ingest;
mod leaders;
mod opened;
mod opening;
mod peer_id;
mod room;
mod service;
mod shards;

pub use api::{Api, ApiOptions};
pub use buffers::Buffers;
pub use calls::{Calls, Remote, Wire};
pub use directory::Directory;
pub use ingest::Ingest;
pub use leaders::{Claim, Leaders};
pub use opened::{JetStreamOptions, OpenError, Opened, open, open_on};
pub use opening::{Opening, Stage};
pub use peer_id::peer_id;
pub use service::JetStream;
