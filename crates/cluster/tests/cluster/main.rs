//! Real servers over loopback: real routes and routers, and shards that only remember what they were told. Every wait
//! has a deadline, none a length.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod liveness;
mod messages;
mod node;
mod store;
mod stores;
