//! What the server's program needs around the server itself: flags, signals, the log, and files.
//!
//! The server is crate `flotilla-server-core`; this is the shell that an operator touches, kept as a
//! library so that it can be tested without starting a process.

pub mod flags;
pub mod log;
pub mod server;
pub mod signals;
pub mod source;
