//! The machine of one stream.
//!
//! `machine` applies commands, with `publish` deciding about each message and `limits` making room
//! and `interest` keeping what consumers still need;
//! `messages` is what is kept in memory of each message; `query` answers consumers and the API;
//! `base` is how the whole of it is written down and read again.

mod base;
mod chunk;
mod dedup;
mod filter;

mod index;
mod interest;
mod limits;
mod machine;
mod messages;
mod outcome;
mod publish;
mod query;
mod ranges;
mod subjects;

pub use base::RestoreError;
pub use filter::FilterSet;
pub use machine::Stream;
pub use outcome::{Applied, ChangeError, ChangeOutcome, PublishError, PublishOutcome};
pub use query::{MessageInfo, StreamState};

#[cfg(test)]
mod tests;
