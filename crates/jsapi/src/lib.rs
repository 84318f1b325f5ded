//! The JetStream API as it is on the wire: subjects, requests, replies, errors, and the rules by
//! which a request becomes a configuration that the state machines obey.
//!
//! The way of a request: [`ApiSubject::parse`] says what it is, [`level::check_required_level`]
//! whether we may answer, [`request`] reads its body, [`stream`] or [`consumer`] check it into the
//! types of `flotilla_stream`, and [`ReplyKind`] writes the answer. What goes with every message is
//! apart from that and never passes through a JSON tree: [`publish`], [`pull`], [`ack`], [`direct`]
//! and [`Status`].
//!
//! Nothing here does I/O, keeps state, or reads a clock. Every input is foreign and may be anything.

pub mod ack;
pub mod advisory;
pub mod cluster;
pub mod consumer;
pub mod direct;
pub mod level;
pub mod message;
pub mod publish;
pub mod pull;
pub mod request;
pub mod stream;

mod account;
mod decimal;
mod duration;
mod error;
mod header;
mod omission;
mod reply;
mod status;
mod subject;
mod time;

pub use account::{AccountInfo, AccountLimits, ApiStats, Tier};
pub use duration::GoDuration;
pub use error::{ApiError, ErrorKind};
pub use reply::{
    DESCRIPTIONS_PER_PAGE, NAMES_PER_PAGE, Paging, ReplyError, ReplyKind, SUBJECTS_PER_PAGE,
    Success,
};
pub use status::{Remaining, Status};
pub use subject::{API_PREFIX, ApiSubject, CreateForm, UnsupportedApi};
pub use time::Time;
