//! Publishing into a stream: the headers that ask for checks, and the acknowledgement.

mod ack;
mod headers;

pub use ack::{PubAck, PubAckReply};
pub use headers::{PublishHeaders, Rollup, name};
