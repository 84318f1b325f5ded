//! The client listener over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod authorization;
mod delivery;
mod lifecycle;
mod limits;
mod protocol;
mod wire;
