//! Real servers, real sockets on loopback; every wait has a deadline, none a length.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod certificates;
mod cluster;
mod lanes;
mod lifeline;
mod mesh;
mod network;
mod strangers;
