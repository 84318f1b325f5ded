//! The stream and consumer state machines: committed commands in, replies and effects out.
//!
//! Nothing here knows Raft, files, sockets or clocks: the host commits a command, applies it to
//! every replica in the same order, and carries out what comes back. Two replicas that applied the
//! same commands are equal, and their running hashes say so.
//!
//! * [`PublishBatchBuilder`] and [`StreamCommand`] make the entries of a stream's log.
//! * [`Stream`] applies them and answers questions about what it holds, without reading a body.
//! * [`Consumer`] applies the entries of a consumer's log, which [`Leader`] plans, at its leader, from
//!   pull requests, acknowledgements and its replica of the stream.

mod codec;
mod command;
mod config;
mod consumer;
mod duration;
mod hash;
mod headers;
mod record;
mod sequence;
mod stream;
mod time;

pub use codec::DamagedCommand;
pub use command::{
    MAX_HEADERS_LEN, MAX_SUBJECT_LEN, PublishBatchBuilder, PushError, StreamChange, StreamCommand,
    is_publish,
};
pub use config::{
    AckPolicy, ConsumerConfig, ConsumerLimits, DeliverPolicy, Discard, Placement, Retention,
    StorageKind, StreamConfig,
};
pub use consumer::{
    Ack, AckKind, AckSubject, AckVerb, Closing, Consumer, ConsumerAdvisory, ConsumerApplied,
    ConsumerEffect, ConsumerInput, Delivery, Leader, Pending, PlannedSend, Position, PullRequest,
    Settled, Settlement, Status, Ticket, encode_consumer_update,
};
pub use record::{Record, RecordMeta, message_size};
pub use sequence::SequenceRange;
pub use stream::{
    Applied, ChangeError, ChangeOutcome, FilterSet, MessageInfo, PublishError, PublishOutcome,
    RestoreError, Stream, StreamState,
};
pub use time::Timestamp;
