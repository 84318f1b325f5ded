//! The NATS client protocol as pure data transformations: bytes in, operations out, and back.
//!
//! * [`parser`] turns what a client sends into [`ClientOp`]s, however the bytes are cut into reads, without copying
//!   payloads and without reserving memory for what was only announced.
//! * [`encoder`] writes what a server sends.
//! * [`error_reply`] holds every `-ERR` text a client may be told, and whether the connection ends with it.
//! * [`connect`] and [`info`] are the JSON bodies of `CONNECT` and `INFO`.
//! * [`headers`] reads and writes message header blocks.
//!
//! There is no I/O and no clock in here, and no notion of accounts or subscriptions.

pub mod connect;
pub mod encoder;
pub mod error_reply;
pub mod headers;
pub mod info;
pub mod parser;

pub use connect::Connect;
pub use encoder::Delivery;
pub use error_reply::ErrorReply;
pub use headers::{HeaderBlock, HeaderBuilder};
pub use info::Info;
pub use parser::{ClientOp, Limits, Parser, ProtocolError, Publish};
