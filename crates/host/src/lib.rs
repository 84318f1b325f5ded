//! Many Raft groups on one server: a shard's turn, sleep and liveness, the meta machine's hands, membership and
//! catch-up (docs/raft.md).
//!
//! Start with [`Shard::turn`]: inputs in, one [`Output`] out. A group's replica is a `Replica` around its machine:
//! the meta machine, a stream, or a consumer. Nothing here has a clock, a thread or a socket; files are reached
//! through [`Disk`](flotilla_disk::Disk).
//!
//! Invariants:
//! - what a replica says leaves only after what it rests on is on stable storage: `Replica::persisted`;
//! - a client is told "stored" only after its entry is applied, at the (index, term) it was proposed at;
//! - a replica is created once per id, and destroyed only on a committed record that says so.

mod ack;
mod asset;
mod bundle;
mod consumer;
mod liveness;
mod mend;
mod meta;
mod notice;
mod peers;
mod random;
mod replica;
mod request;
mod shard;
mod share;
mod standings;
mod stream;
mod thresholds;
mod time;
mod timers;
mod turn;

pub use bundle::{
    BUNDLE_VERSION, Bundle, BundleError, Compare, Digest, Digests, Entries, Fetch, Lack, Offer,
    Piece, PieceAt, Say, Segment, Sleep, State, Taken, Unknown, addressed, unbundle,
};
pub use consumer::ConsumerInput;
pub use flotilla_disk::Room;
pub use liveness::{Behind, Detector, Sign, WATCH_TICK};
pub use mend::{At, Part};
pub use meta::MetaFeed;
pub use notice::Notice;
pub use peers::{PeerChange, PeerTable};
pub use random::Random;
pub use request::{
    Answer, Call, CallId, ClusterAnswer, ConsumerAnswer, ConsumerRequest, Get, MemberAnswer,
    MetaRequest, Request, StoredMessage, StreamAnswer, StreamRequest,
};
pub use shard::{
    Addressee, Input, Join, ReplicaView, Shard, ShardOptions, StateView, Totals, log_end,
};
pub use share::{Share, shard_of};
pub use standings::Standings;
pub use stream::{Capacity, Inbound, InboundMessage};
pub use thresholds::Thresholds;
pub use time::{MILLISECOND, Now, SECOND};
pub use turn::{Leading, Output, Publish, WalTicket};
