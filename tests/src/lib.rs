//! Black-box tests: real server processes, real clients, real faults.
//!
//! Nothing here knows how the server works. A test starts a [`Cluster`], lets clients or the official tools use
//! it, does it harm, and compares what was promised with what is there. The same tests run against nats-server
//! ([`Flavour`]): what the reference does there is what is expected here, and where this project promises more,
//! the test says so.
//!
//! One cluster runs at a time on a machine, whatever the test runner does in parallel ([`Cluster::start`]).

pub mod cluster;
pub mod condition;
pub mod flavour;
pub mod history;
pub mod power;
pub mod publisher;
pub mod tool;

mod ports;
mod server;

pub use cluster::{Cluster, Plan};
pub use condition::eventually;
pub use flavour::Flavour;
pub use history::{History, Verdict};
pub use publisher::Publisher;
pub use server::Server;
