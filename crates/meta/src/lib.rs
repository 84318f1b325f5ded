//! The meta machine: which servers there are, which assets, and where each of them lives.
//!
//! One Raft group, [`GroupId::META`](flotilla_raft::GroupId::META), spans the cluster. Its log is
//! made of [`Command`]s; every server applies them to a [`Meta`] and so knows the same assets,
//! members and tombstones. This crate decides and never acts: the host commits the commands,
//! carries out the deltas, and asks again. It has no clock, no randomness and no I/O.
//!
//! * [`Command`] and [`Meta`] are the replicated machine: `apply(command) -> reply + deltas`.
//! * [`place`] chooses stores, as the JetStream meta leader does.
//! * [`Standing`] is how one group stands, as a store needs to know it: what shards work from.
//! * [`reconcile`] compares what is wanted with what is there: on one store ([`StoreReconciler`]),
//!   in one group ([`next_step`]), and over the whole fleet ([`heal`], [`replace_peer`], [`scale`],
//!   [`relocate`]).
//! * [`Bootstrap`] chooses the very first configuration, exactly once.
//!
//! The life of a membership change: the meta leader plans seats, commits [`Command::SetMembers`],
//! every store creates the replicas it is newly asked for, the asset's leader takes one [`Step`] at
//! a time and commits [`Command::ReportMembers`], and the stores that are out destroy theirs and
//! confirm.

mod asset;
mod bootstrap;
mod codec;
mod command;
mod error;
#[cfg(test)]
mod fixture;
mod machine;
mod placement;
mod quorum;
pub mod reconcile;
mod server;
mod spread;
mod standing;

pub use asset::{
    Asset, AssetGroup, AssetName, ConsumerAsset, Incarnation, Member, Reported, StreamAsset,
    Tombstone, consumer_replicas,
};
pub use bootstrap::{
    Ballot, Bootstrap, BootstrapOptions, Decision, Effect, Input, Message, Ticket,
};
pub use codec::DamagedCommand;
pub use command::{Command, ConsumerAction, Seat, SeatChange, ServerInfo};
pub use error::{MetaError, Stale};
pub use machine::{AssetChange, AssetRef, Delta, Meta, Outcome, Reply, RestoreError, StoreLoad};
pub use placement::{Fleet, NoPeers, Peer, Placed, PlacementRequest, Reason, place};
pub use quorum::{is_wasteful, quorum, tolerates};
pub use reconcile::{
    Action, GroupView, LocalReplica, NewReplica, Replacement, SeatPlan, Step, StoreReconciler,
    Wait, heal, meta_members, next_step, relocate, replace_peer, scale,
};
pub use server::{ClusterId, PeerLimits, Server, ServerState};
pub use standing::{AssetConfig, LiveAsset, Standing};
