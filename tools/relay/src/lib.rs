//! A bad network between servers on one host.
//!
//! Every server gets a *front*: a UDP address at which the relay listens in its place, and which the
//! server advertises as its own. What arrives at B's front from A's real address is traffic from A
//! to B; it leaves for B from a socket of its own (as through a NAT), and what B answers to that
//! socket returns to A from B's front. So the relay knows who speaks to whom, without looking into
//! a single datagram, and can lose, delay, duplicate, reorder or cut each direction of each pair:
//!
//! ```text
//!  A 127.0.0.1:6221                      front of B 127.0.0.1:7222          B 127.0.0.1:6222
//!        | ---- datagram to 7222 ------------> | -- fate of (A, B) ------------> |
//!        | <--- datagram from 7222 ----------- | <----------- fate of (B, A) --- |
//! ```
//!
//! The n-th datagram of a direction meets the fate that the seed, the direction and n give it,
//! whatever else goes on. (Which datagram is the n-th is still up to the servers.)
//!
//! A relay costs two more hops through the kernel and one thread per flow: measure nothing but
//! behaviour through it. Datagrams that the kernel's buffers cannot hold are lost, as elsewhere.

mod command;
mod conditions;
mod delivery;
mod front;
mod relay;

pub use command::{Command, CommandError};
pub use conditions::{Change, Conditions};
pub use relay::{Pairs, Relay, Server, Traffic, UnknownServer};
