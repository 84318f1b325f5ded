//! QUIC links between the servers of one cluster.
//!
//! A [`Routes`] service keeps a full mesh: one QUIC connection to every other server it can find,
//! starting from one seed. It carries opaque frames on [lanes](Lane) for the server above, and
//! beats as datagrams. It knows nothing of Raft, and of NATS subjects only the [`interest`] codec.
//!
//! # What it guarantees
//!
//! - At most one link per pair of servers. Both sides may dial; of the two, the one whose
//!   (server name, server id) is smaller decides which connection becomes the link, so the two
//!   sides never disagree and nothing flaps.
//! - Frames of one lane arrive in the order they were sent, each once, for as long as the link
//!   lives. [`Event::PeerDown`] ends that promise: what was under way is lost, a new link starts
//!   anew.
//! - Per peer the events are [`Event::PeerUp`], then anything else, then [`Event::PeerDown`].
//! - TLS 1.3 always, without 0-RTT. With [`TlsFiles`] both sides are verified against the
//!   certificate authority before a single frame is read. Without, see [`Options::warning`].
//! - Whatever arrives is bounded before memory is set aside for it: 64 KiB in all before a server
//!   has said who it is, one frame of [`Limits::frame`] per lane after.
//!
//! # What it does not do
//!
//! - No retry and no acknowledgement: a full lane refuses ([`SendError::Full`]) and the caller
//!   treats the frame as lost, or tries again.
//! - No failure detector beyond QUIC's idle timeout. The server above judges its peers by their
//!   beats, and by what is said of [lifelines](Event::LifelineCut).
//!
//! # Where to start reading
//!
//! `handshake` says how two servers come to trust each other, `mesh` decides which connection
//! becomes a link, `link` carries frames over it.

mod accept;
mod credit;
mod crypto;
mod dial;
mod error;
mod event;
mod frame;
mod handle;
mod handshake;
mod identity;
pub mod interest;
mod lane;
mod lifeline;
mod link;
mod mesh;
mod options;
mod outbox;
mod reader;
mod shared;
mod transport;
mod wire;
mod writer;

pub use credit::Credit;
pub use error::{DownReason, OptionError, Refusal, SendError, StartError};
pub use event::Event;
pub use handle::{Handle, LinkStats, Routes};
pub use identity::{Identity, PeerId, PeerInfo};
pub use lane::Lane;
pub use options::{Authorization, Limits, Options, RouteUrl, Timing, TlsFiles};
pub use outbox::Parts;
